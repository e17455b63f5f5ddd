"""`loncctl doctor` beside the real daemons: a real lond answers, and what lonc says of its own link is told."""

from __future__ import annotations

import signal

from tests.conftest import MakeSite
from tests.process.conftest import MakePair
from tests.process.harness import wait_until
from tests.process.test_ctl_doctor import FINE, SHORT, doctor


def test_a_real_lond_is_examined_while_lonc_uses_it(make_lonc_and_lond: MakePair) -> None:
    pair = make_lonc_and_lond()
    pair.start()
    found = doctor(pair.lonc, peer="srv1")
    for step in ("connect", "init", "challenge", "ekey", "encrypted", "exit", "lonc"):
        assert found.verdict(step) in FINE, found.text(step)
    # nothing serves our id over there: the one thing that is bad
    assert found.code == 1
    assert "has no link to us (con_lost), also when asked again" in found.text("way back")
    assert pair.ask(b"ping") == b"srv1"
    assert "WARNING" not in pair.lond.log_text()


def test_a_lond_that_does_not_know_us_refuses(make_lonc_and_lond: MakePair) -> None:
    pair = make_lonc_and_lond()
    pair.lond.write_hosts([entry for entry in pair.lond.entries if entry.id != "own1"])
    pair.lond.start()
    found = doctor(pair.lonc, peer="srv1")
    assert found.code == 1
    assert "does not know our address 127.0.0.1" in found.text("init")
    assert "have the line of own1 in the hosts.tab of srv1 say 127.0.0.1" in str(found.document["advice"])


def test_a_peer_that_lonc_has_given_up(make_site: MakeSite) -> None:
    site = make_site(
        ("msul1", "own1"),
        settings={"loncMaxAttempts": "1", "loncRetryMin": "0.1", "loncRetryMax": "0.2", "loncRestartMin": "0.1"},
    )
    site.start()
    wait_until(lambda: not site.socket_path("msul1").exists(), 30, "a peer that is given up")
    site.peer("msul1")
    found = doctor(site)
    assert found.code == 0
    assert found.verdict("lonc") == "warning"
    assert "given msul1 up" in found.text("lonc")
    assert "`loncctl retry msul1`" in found.text("lonc")


def test_a_peer_that_is_paused(make_site: MakeSite) -> None:
    site = make_site(("msul1", "own1"))
    site.peer("msul1")
    site.start()
    site.wait_ready("msul1")
    (site.logs_dir / "lonc.wanted").write_text("msul1\tpaused\n")
    site.signal(signal.SIGUSR1, site.child("msul1"))
    wait_until(lambda: not site.ready("msul1"), 10, "a link that is paused")
    found = doctor(site)
    assert found.code == 0
    assert "an operator has paused this peer" in found.text("lonc")
    assert "`loncctl resume msul1`" in found.text("lonc")


def test_messages_that_wait_and_that_were_refused(make_site: MakeSite) -> None:
    site = make_site(("msul1", "own1"))
    site.delay("msul1", b"put:s3cr3t", age_s=7300)
    found = doctor(site, *SHORT)
    assert "1 waiting, the oldest 2 h old" in found.text("delayed")
    (site.delayed_dir / "rejected").mkdir(mode=0o700)
    site.delay("msul1", b"put:s3cr3t").rename(site.delayed_dir / "rejected" / "1700000000.1.5.put.msul1")
    found = doctor(site, *SHORT)
    assert "1 rejected" in found.text("delayed")
    assert "`loncctl queue msul1`" in found.text("delayed")
    assert "s3cr3t" not in str(found.document)
