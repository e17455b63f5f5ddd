"""loncctl's orders to real daemons: each waits for its effect, says what happened, and its exit code tells."""

from __future__ import annotations

import json
import signal
from typing import Any

import jsonschema
import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.ctl_run import loncctl
from tests.process.harness import TREE, Entry, Site, wait_until
from tests.process.peer import next_address

QUICK = {"loncGrace": "0.3", "loncRestartMin": "0.05"}


def order(site: Site, *words: str) -> tuple[int, dict[str, Any]]:
    """Give an order with --json; return the exit code and the document, which fits its schema."""
    done = loncctl(site, *words, "--json")
    assert done.errors == ""
    document = json.loads(done.out)
    schema = json.loads((TREE / "doc" / "schema" / f"{words[0]}.json").read_text("utf-8"))
    jsonschema.validate(document, schema, jsonschema.Draft202012Validator)
    return done.code, document


def begin(make_site: MakeSite, *hosts: str, **settings: str) -> Site:
    """Return a daemon whose peers are all ready."""
    site = make_site(list(hosts or ("msul1",)), settings=QUICK | settings)
    for name in hosts or ("msul1",):
        site.peer(name)
    site.start()
    site.wait_ready()
    return site


@pytest.mark.parametrize(
    "words",
    [("stop",), ("restart",), ("retry",), ("rehash",), ("reconnect", "msul1"), ("pause", "msul1"),
     ("debug", "msul1", "on")],
)  # fmt: skip
def test_without_a_daemon_the_exit_code_is_3(site: Site, words: tuple[str, ...]) -> None:
    code, document = order(site, *words)
    assert (code, document["done"]) == (3, False)
    assert "not running" in document["text"]


def test_words_for_people_go_to_stdout_and_what_failed_to_stderr(site: Site) -> None:
    done = loncctl(site, "stop")
    assert (done.code, done.out, done.errors) == (3, "", "loncctl: lonc is not running\n")


def test_stop_returns_when_nothing_is_left(make_site: MakeSite) -> None:
    site = begin(make_site)
    family = [site.pid(), *site.children()]
    code, document = order(site, "stop")
    assert (code, document["left"]) == (0, [])
    assert not any(procs.alive(pid) for pid in family)


def test_restart_returns_when_the_new_self_serves_and_tells_why_it_was_refused(make_site: MakeSite) -> None:
    site = begin(make_site)
    pid = site.pid()
    for times in (1, 2):
        code, document = order(site, "restart")
        assert (code, document["restarts"]) == (0, times)
        assert site.pid() == pid
        assert site.ask("msul1", b"echo:x") == b"x"
    site.hosts_path.write_text("nothing of use\n")
    code, document = order(site, "restart")
    assert code == 1
    assert "no usable host" in document["text"]
    assert "goes on" in document["text"]
    assert site.ask("msul1", b"echo:y") == b"y"
    assert "Restart refused, the running one goes on: " in loncctl(site, "status").out


def test_retry_brings_back_a_peer_that_was_given_up(make_site: MakeSite) -> None:
    site = make_site(
        ["msul1"], settings=QUICK | {"loncMaxAttempts": "1", "loncRetryMin": "0.2", "loncRetryMax": "0.2"}
    )
    site.start()
    wait_until(lambda: site.board("msul1").parent.state == "given up", 20, "a peer that is given up")
    code, document = order(site, "reconnect", "msul1")
    assert code == 1
    assert "given up" in document["text"]
    site.peer("msul1")
    code, document = order(site, "retry")
    assert (code, document["started_again"], document["were_away"]) == (0, ["msul1"], ["msul1"])
    site.wait_ready()


def test_rehash_dry_run_says_what_the_rehash_then_does(make_site: MakeSite) -> None:
    site = begin(make_site, "msul1", "msul2", "b")
    before = {name: site.child(name) for name in ("msul1", "msul2", "b")}
    kept, moved, b = (site.entry(name) for name in ("msul1", "msul2", "b"))
    entries = [
        kept,
        Entry("msul2", next_address()),
        b,
        Entry("new1", next_address()),
        Entry("a.b", next_address()),
    ]
    site.write_hosts(entries)
    code, told = order(site, "rehash", "--dry-run")
    assert code == 0
    assert (told["start"], told["stop"], told["move"], told["replace"], told["keep"]) == (
        ["new1", "a.b"], [], ["msul2"], ["msul2", "b"], 1,
    )  # fmt: skip
    assert {name: site.child(name) for name in before} == before  # nothing was done
    code, done = order(site, "rehash")
    assert code == 0, done
    assert (done["start"], done["move"]) == (told["start"], told["move"])
    after = {name: site.child(name) for name in before}
    assert [name for name in before if before[name] != after[name]] == ["msul2", "b"]
    site.write_hosts([kept, moved])
    code, done = order(site, "rehash")
    assert (code, sorted(done["stop"]), done["move"]) == (0, ["a.b", "b", "new1"], ["msul2"])
    site.hosts_path.write_text("nothing of use\n")
    code, done = order(site, "rehash")
    assert code == 1
    assert "the old one stays" in done["text"]
    assert order(site, "rehash", "--dry-run")[0] == 1


def test_reconnect_returns_with_the_link_of_a_new_child(make_site: MakeSite) -> None:
    site = begin(make_site)
    old = site.child("msul1")
    code, document = order(site, "reconnect", "msul1")
    assert (code, document["ready"], document["old_pid"]) == (0, True, old)
    assert document["new_pid"] == site.child("msul1") != old
    site.peers["msul1"].kill()
    code, document = order(site, "reconnect", "msul1")
    assert (code, document["ready"]) == (1, False)
    assert "refused" in document["text"].lower()
    code, document = order(site, "reconnect", "nobody")
    assert (code, "not served" in document["text"]) == (1, True)


def test_pause_and_resume_are_idempotent_and_outlive_the_child(make_site: MakeSite) -> None:
    site = begin(make_site, "msul1", "msul2")
    wanted = site.logs_dir / "lonc.wanted"
    wanted.write_text("msul2\tlater words\nsomething else\n")
    for changed in (True, False):
        code, document = order(site, "pause", "msul1")
        assert (code, document["changed"]) == (0, changed)
        assert site.ask("msul1", b"echo:x") == b"con_lost"
    assert site.ask("msul2", b"echo:x") == b"x"
    assert wanted.read_text() == "msul2\tlater words\nsomething else\nmsul1\tpaused\n"
    old = site.child("msul1")
    site.signal(signal.SIGTERM, old)
    wait_until(lambda: site.board("msul1").child.pid not in (0, old), 20, "another child")
    assert site.ask("msul1", b"echo:x") == b"con_lost"
    for changed in (True, False):
        code, document = order(site, "resume", "msul1")
        assert (code, document["changed"]) == (0, changed)
    site.wait_ready()
    assert site.ask("msul1", b"echo:x") == b"x"
    code, document = order(site, "pause", "nobody")
    assert code == 2
    assert "not in" in document["text"]


def test_debug_ends_with_its_time_and_a_new_child_keeps_to_it(make_site: MakeSite) -> None:
    site = begin(make_site, loncDebugFor="600")
    assert order(site, "debug", "msul1", "on")[0] == 0
    site.wait_log("Debug on by lonc.wanted")
    old = site.child("msul1")
    assert order(site, "reconnect", "msul1")[0] == 0
    site.wait_log("Debug on by lonc.wanted", count=2)
    assert site.child("msul1") != old
    assert order(site, "debug", "msul1", "off")[0] == 0
    site.wait_log("Debug off by lonc.wanted")
    assert order(site, "debug", "msul1", "off")[1]["changed"] is False
    line = "msul1\tdebug\t1000000000\n"  # its time is over long since
    (site.logs_dir / "lonc.wanted").write_text(line)
    site.signal(signal.SIGUSR1)
    assert order(site, "retry")[0] == 0
    assert site.log_text().count("Debug on") == 2


def test_a_peer_without_a_child_is_told_so_and_the_wish_is_kept(make_site: MakeSite) -> None:
    site = make_site(
        ["msul1"], settings=QUICK | {"loncMaxAttempts": "1", "loncRetryMin": "0.2", "loncRetryMax": "0.2"}
    )
    site.start()
    wait_until(lambda: site.board("msul1").parent.state == "given up", 20, "a peer that is given up")
    code, document = order(site, "pause", "msul1")
    assert (code, document["changed"]) == (0, True)
    assert "no child" in document["text"]
    site.peer("msul1")
    assert order(site, "retry")[0] == 0
    site.wait_log("Paused by lonc.wanted")
