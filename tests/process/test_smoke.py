"""The daemon as a whole, once through its life: start, talk, lose a peer, keep a message, restart, stop."""

from __future__ import annotations

import re
import signal
import time

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import Site, wait_until


def test_start_ask_stop(site: Site) -> None:
    peer = site.peer("msul1")
    pid = site.start()
    site.wait_ready()
    assert site.ask("msul1", b"ping") == b"msul1"
    assert site.ask("msul1", b"echo:a:b\x00\xff") == b"a:b\x00\xff"
    assert site.ask("msul1", b"encrypt:echo:sealed") == b"sealed"
    assert site.ask("msul1", b"encrypt:eecho:both ways") == b"both ways"
    with site.connect("msul1") as client:
        client.send(b"echo:1", b"echo:2", b"", b"echo:3")
        assert client.lines(4) == [b"1", b"2", b"unknown_cmd", b"3"]
        client.send(b"echo:4")
        client.half_close()
        assert client.line() == b"4"
        client.wait_closed()
    assert [record.kind for record in peer.records("ce")].count("e") == 2
    assert site.pid() == pid
    assert len(site.children()) == 1
    assert site.stop() < 12
    assert not site.pid_path.exists()
    assert not site.socket_path("msul1").exists()
    assert site.processes() == [peer.pid]


def test_the_log_of_a_plain_life(site: Site) -> None:
    site.peer("msul1")
    site.start()
    site.wait_ready()
    site.stop()
    # the table of this site does not hold its own id, which is told and no fault here
    # and every line has the right form, else log() raises
    said = [line.message for line in site.log() if "our own id" not in line.message]
    for text in (
        "Attempting to start child for server msul1",
        "Done starting initial servers",
        "Pong reply: >msul1:own1<",
        "Secure connection initialized",
        "msul1 online",
        "Shutting down",
    ):
        assert any(text in message for message in said), f"{text!r} not in {said}"
    assert not [text for text in said if re.search("ABNORMAL EXIT|WARNING|CRITICAL", text)]


def test_the_dialogue_is_the_original_one(site: Site) -> None:
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    lines = [record.text for record in peer.records("d")]
    assert [line.partition(":")[0] for line in lines[2:]] == ["sethost", "version", "pong", "ekey"]
    assert lines[0] == "init"
    assert lines[2] == "sethost:msul1"


def test_foreground(site: Site) -> None:
    site.peer("msul1")
    pid = site.start_foreground()
    assert site.foreground is not None
    assert site.foreground.pid == pid
    site.wait_ready()
    assert site.ask("msul1", b"ping") == b"msul1"
    site.stop()
    assert site.foreground.returncode == 0


def test_no_peer_means_con_lost_after_the_grace(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncGrace": "1.5"})
    site.start()
    began = time.monotonic()
    assert site.ask("msul1", b"echo:x") == b"con_lost"
    assert time.monotonic() - began < 5
    began = time.monotonic()
    assert site.ask("msul1", b"echo:x") == b"con_lost"
    assert time.monotonic() - began < 1.5  # no second grace


def test_a_peer_that_comes_back_is_found_and_gets_its_delayed_messages(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncGrace": "0.2", "loncDelayedScan": "1"})
    peer = site.peer("msul1", start=False)
    site.start()
    assert site.ask("msul1", b"echo:x") == b"con_lost"
    for number in range(12):
        site.delay("msul1", b"put:msu:u:ns:a=%d" % number)
    peer.start()
    site.signal(signal.SIGUSR1)
    site.wait_ready()
    assert peer.wait_executed(12) == [f"put:msu:u:ns:a={number}" for number in range(12)]
    wait_until(lambda: not site.waiting(), 5, "an empty directory")
    assert len(site.perm_log("S")) == 12


def test_restart_in_place(site: Site) -> None:
    site.peer("msul1")
    pid = site.start()
    site.wait_ready()
    first = site.child("msul1")
    site.signal(signal.SIGHUP)
    wait_until(lambda: first not in site.children(), 10, "the end of the old child")
    # not `ping`: that one is answered con_lost at once until the new link is ready
    assert site.ask("msul1", b"echo:x") == b"x"
    assert site.pid() == pid
    assert site.child("msul1") != first


def test_status_on_request(site: Site) -> None:
    site.peer("msul1")
    pid = site.start()
    site.wait_ready()
    site.signal(signal.SIGUSR1)
    wait_until(site.status_path.exists, 5, "the status file")
    wait_until(lambda: "State: " in site.status_path.read_text(), 5, "a child's block")
    text = site.status_path.read_text()
    assert text.startswith("LONC status ")
    assert f"- parent {pid}\n\n" in text
    assert "State: Idle" in text


def test_a_killed_parent_leaves_nobody(site: Site) -> None:
    site.peer("msul1")
    site.start()
    site.wait_ready()
    left = site.kill()
    assert left
    wait_until(lambda: not any(procs.alive(pid) for pid in left), 3, "the children's end")
    site.start()
    site.wait_ready()
    assert site.ask("msul1", b"ping") == b"msul1"


@pytest.mark.parametrize("rule", ["at ekey=rst@1-2", "at init=answer-close:refused@1-2", "at pong=close@1-2"])
def test_a_dialogue_that_fails_twice_succeeds_in_the_end(site: Site, rule: str) -> None:
    site.peer("msul1", rule)
    site.start()
    site.wait_ready()
    assert site.ask("msul1", b"ping") == b"msul1"
