"""The client library over the real daemon: questions, critical messages, sealed ones from end to end."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from lonc.delayed.sealing import Keys, sealed_with
from lonc.lonnet.answers import AuthKind, Status
from lonc.lonnet.network import Network
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from tests.conftest import MakeSite
from tests.process.harness import Entry, Site, wait_until
from tests.process.messages import empty, records
from tests.process.procs import alive

COMMAND = b"encrypt:passwd:msu:jane:oldsecret:newsecret"


def network(site: Site, *, keep_connections: bool = False) -> Network:
    return Network(conf_dir=str(site.conf_dir), retry_pause_s=0.05, keep_connections=keep_connections)


def clear_text(site: Site) -> list[Path]:
    """Return every file of the site, but the peers' own, that holds or is named what must be secret."""
    files = [path for path in site.root.rglob("*") if path.is_file() and ".peer." not in path.name]
    return [path for path in files if b"secret" in path.read_bytes() or "secret" in str(path)]


def executed(site: Site, text: bytes) -> bool:
    return text.decode() in site.peers["msul1"].executed()


def test_questions_through_the_daemon(make_site: MakeSite) -> None:
    site = make_site(["msul1", Entry("msul2", domain="other")])
    site.peer("msul1", "on home:*=reply:found")
    site.peer("msul2")
    site.start()
    for keep in (False, True):
        with network(site, keep_connections=keep) as asking:
            assert asking.server("msul1").ping().value == "msul1"
            assert asking.server("msul2").ping().value == "msul2"
            assert asking.reply(b"echo:a\x00\xff", "msul1").line == b"a\x00\xff"
            assert asking.homeserver("jane", "msu").host == "msul1"
            jane = asking.user("jane", "msu")
            assert jane.put("prefs", {"a b": "ä", "n": "5"}, critical=True).done
            assert jane.get("prefs", ["n", "none"]).value == {"n": "5", "none": ""}
            assert jane.get("prefs", ["a b"], secret=True).value == {"a b": "ä"}
            assert asking.authenticate("jane", "msu", "any").kind is AuthKind.AUTHORIZED
            assert asking.reply(b"auth:msu:jane:clear", "msul1").status is Status.FAILED
            assert asking.reconlonc("msul1")
    assert site.waiting() == []


def test_a_sealed_message_waits_unreadable_and_is_delivered(make_site: MakeSite) -> None:
    site = make_site(settings={"loncGrace": "0.2", "loncDelayedScan": "1"})
    site.start()
    asking = network(site)
    assert asking.critical(COMMAND, "msul1").status is Status.DELAYED
    assert asking.critical(b"update:/res/a.html", "msul1").status is Status.DELAYED
    sealed, plain = site.waiting()
    assert re.fullmatch(r"\d+\.\d{6}\.\d+\.encrypt\.msul1", sealed)
    assert (site.delayed_dir / sealed).read_bytes().startswith(b"sealed:1:")
    assert (site.delayed_dir / plain).read_bytes() == b"update:/res/a.html\n"
    assert clear_text(site) == []
    assert records(site, "D", 2)[0][2:5] == ["msul1", "encrypt", "passwd"]
    site.peer("msul1", "on update:*=reply:ok")
    empty(site, 40)
    assert site.peers["msul1"].executed()[-2:] == [COMMAND[8:].decode(), "update:/res/a.html"]
    assert records(site, "S", 2)[0][2:5] == ["msul1", "encrypt", "passwd"]
    site.wait_log("Delayed encrypt:passwd (43 bytes): >ok<")
    assert clear_text(site) == []


def test_a_lost_key_and_a_changed_message_are_set_aside_and_can_be_mended(make_site: MakeSite) -> None:
    site = make_site(settings={"loncGrace": "0.2", "loncDelayedScan": "1"})
    keys_path = site.logs_dir / "lonc.keys"
    asking = network(site)
    for command in (COMMAND, b"encrypt:passwd:msu:joe:a:b"):
        assert asking.critical(command, "msul1").status is Status.DELAYED
    first, second = site.waiting()
    kept = keys_path.rename(site.root / "backup")
    content = (site.delayed_dir / second).read_bytes()
    (site.delayed_dir / second).write_bytes(content[:-9] + b"AAAAA" + content[-4:])
    site.peer("msul1")
    site.start()
    wait_until(lambda: len(list(site.delayed_dir.glob("corrupt/*.reason"))) == 2, 40, "both set aside")
    empty(site)
    site.wait_log("WARNING: Delayed file", count=2)
    assert str(keys_path) in (site.delayed_dir / "corrupt" / f"{first}.reason").read_text()
    assert "passwd" not in site.log_text()
    assert site.peers["msul1"].executed() == []
    kept.rename(keys_path)
    for name in (first, second):
        (site.delayed_dir / "corrupt" / name).rename(site.delayed_dir / name)
        (site.delayed_dir / "corrupt" / f"{name}.reason").unlink()
    wait_until(lambda: executed(site, COMMAND[8:]), 40, "the first one at the peer")
    empty(site, 40)
    told = site.delayed_dir / "corrupt" / f"{second}.reason"
    wait_until(told.exists, 20, "the second one set aside again")
    assert sorted(os.listdir(told.parent)) == [second, told.name]
    reason = told.read_text()
    assert "changed since, or not sealed for msul1" in reason


def test_messages_sealed_before_a_rotation_are_delivered_after_it(make_site: MakeSite) -> None:
    site = make_site(settings={"loncGrace": "0.2", "loncDelayedScan": "1"})
    keys = Keys(str(site.logs_dir / "lonc.keys"), files=SystemFiles(), clock=SystemClock())
    asking = network(site)
    assert asking.critical(COMMAND, "msul1").status is Status.DELAYED
    keys.rotate(in_use=sealed_with(SystemFiles(), str(site.delayed_dir)))
    assert asking.critical(COMMAND + b"er", "msul1").status is Status.DELAYED
    assert len({(site.delayed_dir / name).read_bytes()[:17] for name in site.waiting()}) == 2
    site.peer("msul1")
    site.start()
    empty(site, 40)
    text = COMMAND[8:].decode()
    assert site.peers["msul1"].executed() == [text, text + "er"]


def test_reconlonc_brings_back_a_peer_that_was_given_up(make_site: MakeSite) -> None:
    settings = {"loncMaxAttempts": "1", "loncRetryMin": "1", "loncRetryMax": "1", "loncRestartMin": "0.1"}
    site = make_site(settings=settings | {"loncGrace": "0.2"})
    site.start()
    wait_until(lambda: not site.socket_path("msul1").exists(), 60, "the end of all attempts")
    site.peer("msul1")
    asking = network(site)
    assert asking.subreply(b"ping", "msul1").status is Status.LOST
    answers = []

    def answered() -> bool:
        answers.append(asking.critical(b"echo:x", "msul1"))
        return answers[-1].line == b"x"

    wait_until(answered, 40, "an answer")
    assert all(answer.status in (Status.OK, Status.DELAYED) for answer in answers)


def test_a_dead_lonc_is_not_woken_and_the_message_is_kept(site: Site) -> None:
    site.peer("msul1")
    parent = site.start()
    asking = network(site)
    assert asking.reconlonc("msul1")
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: not alive(parent), 20, "the end of the parent")
    wait_until(lambda: asking.subreply(b"ping", "msul1").status is Status.LOST, 20, "the end of the child")
    assert not asking.reconlonc("msul1")
    assert asking.critical(b"echo:kept", "msul1").status is Status.DELAYED
    site.start()
    wait_until(lambda: executed(site, b"echo:kept"), 40, "the message at the peer")
    empty(site)
