"""The parent's part of on demand, with stand-in children: who is started, and that no client is lost by it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.process import memory, procs
from tests.process.harness import Entry, stays, wait_until
from tests.process.parent_site import ParentSite, parent_site
from tests.process.procs import strace_works

IDLE = "idle 0.3"


@contextlib.contextmanager
def resting(hosts: Sequence[str] = ("p1", "p2", "p3"), mode: str = IDLE, **settings: str) -> Iterator[ParentSite]:
    """Give a begun site on demand whose stand-ins leave when they are idle."""
    with parent_site(hosts, loncOnDemand="on", **settings) as site:
        site.set_mode(mode)
        site.begin()
        yield site


def state(site: ParentSite, peer: str) -> str:
    """Return the word of supervision for a peer, by the scoreboard."""
    return site.board(peer).parent.state


def wait_rest(site: ParentSite, *peers: str) -> None:
    """Return when these peers have no child any more."""
    for peer in peers:
        wait_until(lambda peer=peer: state(site, peer) == "on demand", 10, f"{peer} without a child")  # type: ignore[misc]  # mypy cannot infer a lambda with a default


def pending(site: ParentSite, peer: str) -> socket.socket:
    """Return a client that has connected and not read yet."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(15)
    client.connect(str(site.socket_path(peer)))
    return client


def served(client: socket.socket, peer: str) -> int:
    """Return who answers a pending client; nobody is an error."""
    with client, client.makefile("rb") as stream:
        words = stream.readline().split()
    assert words[:1] == [peer.encode()], words
    return int(words[1])


def test_nobody_is_started_and_whoever_looks_is_told_so() -> None:
    with resting() as site:
        assert site.process is not None
        assert procs.descendants(site.process.pid) == []
        assert site.log("PARENT")[-1].message == "Done starting initial servers"
        for peer in ("p1", "p2", "p3"):
            shown = site.board(peer).parent
            assert (shown.state, shown.pid, shown.attempts) == ("on demand", 0, 0)
            assert abs(shown.since - time.time()) < 30
            assert site.socket_path(peer).is_socket()
        site.signal(signal.SIGUSR1)
        wait_until(lambda: site.status_path.exists() and site.status_path.read_text(), 5, "the status file")
        lines = site.status_path.read_text().splitlines()
        assert lines[3:] == ["Peers: 3 on demand"]
        stays(lambda: not site.births("p1"), 0.3, "nobody started by USR1")
        assert site.finish() == 0


def test_a_client_starts_the_child_of_its_peer_alone_and_again_when_that_has_left() -> None:
    with resting() as site:
        first = site.who("p1")
        assert site.who("p1") == first
        assert state(site, "p1") == "up"
        wait_rest(site, "p1")
        shown = site.board("p1").parent
        assert (shown.pid, shown.why, shown.attempts) == (0, "was idle", 0)
        assert not procs.alive(first)
        second = site.who("p1")
        assert second != first
        assert [birth[1] for birth in site.births("p1")] == ["0", "0"]
        assert site.births("p2") == site.births("p3") == []
        assert "is dead" not in site.log_text()
        assert site.finish() == 0


def test_clients_at_every_moment_around_the_leaving_are_all_served() -> None:
    lives = 12
    with resting(["p1"], "idle 0.15") as site:
        dice = random.Random(7)
        for _ in range(lives):
            aim = time.monotonic() + 0.15  # when the child leaves, if it was asked just now
            asking = []
            for _ in range(6):
                time.sleep(max(0.0, aim + dice.uniform(-0.01, 0.01) - time.monotonic()))
                asking.append(pending(site, "p1"))
            assert all(served(client, "p1") for client in asking)
        wait_rest(site, "p1")
        assert len(site.births("p1")) >= 2
        assert {birth[1] for birth in site.births("p1")} == {"0"}
        assert site.finish() == 0


def test_clients_that_hang_up_at_once_leave_nothing_behind() -> None:
    with resting() as site:
        site.who("p1")
        wait_rest(site, "p1")
        before = site.descriptors()
        for _ in range(30):
            pending(site, "p1").close()
        wait_until(lambda: len(site.births("p1")) >= 2, 10, "a child that finds nobody")
        wait_rest(site, "p1")
        assert site.descriptors() == before
        assert site.who("p1") > 0
        assert site.finish() == 0


def test_many_peers_that_are_asked_at_once_are_all_served() -> None:
    names = [f"p{number}" for number in range(60)]
    with resting(names, "idle 1") as site:
        clients = {name: pending(site, name) for name in names}
        assert len({served(client, name) for name, client in clients.items()}) == len(names)
        wait_rest(site, *names)
        assert site.finish() == 0


def test_a_parent_at_rest_sleeps() -> None:
    with resting() as site:
        assert site.process is not None
        site.who("p1")
        wait_rest(site, "p1")
        before, used = memory.waits(site.process.pid), memory.cpu_s(site.process.pid)
        time.sleep(3)
        assert memory.waits(site.process.pid) - before <= 3
        assert memory.cpu_s(site.process.pid) - used <= 0.1
        assert site.finish() == 0


# ------------------------------------------------------------------------------------------ signals, the table


def test_restarts_with_and_without_children_and_with_a_client_that_waits() -> None:
    with resting(mode="idle 1") as site:
        pid = site.pid()
        for number in range(1, 4):
            (site.root / "ready").unlink()
            site.signal(signal.SIGHUP)
            wait_until((site.root / "ready").exists, 15, "the new self")
            assert site.pid() == pid
            assert state(site, "p2") == "on demand"
            old = site.who("p1")
            (site.root / "ready").unlink()
            site.signal(signal.SIGHUP)
            asking = [(peer, pending(site, peer)) for peer in ("p1", "p2", "p1")]
            answers = [served(client, peer) for peer, client in asking]
            wait_until((site.root / "ready").exists, 15, "the new self")
            wait_until(lambda old=old: not procs.alive(old), 10, "the old child's end")  # type: ignore[misc]  # as above
            assert all(answers)
            wait_rest(site, "p1", "p2")
            assert site.births("p3") == [], number
        assert site.finish() == 0


def test_a_table_that_changes_touches_nobody_at_rest() -> None:
    with resting(mode="idle 1") as site:
        changed = [Entry(entry.id, "127.9.9.9") if entry.id == "p2" else entry for entry in site.entries[:2]]
        site.write_hosts([*changed, Entry("p9", "127.9.9.8")])
        leaving = site.who("p2")
        asking = pending(site, "p1")
        site.signal(signal.SIGUSR2)
        site.wait_log("hosts.tab read again: 1 new, 1 gone, 1 changed")
        assert served(asking, "p1") > 0
        wait_until(lambda: site.refused("p3"), 5, "no socket of a host that is gone")
        wait_until(lambda: site.who("p2") != leaving, 5, "another child")  # the old one serves until it is told
        assert site.who("p9") > 0
        wait_rest(site, "p1", "p2", "p9")
        assert site.births("p3") == []
        site.write_hosts([*site.entries, Entry("p3", "127.9.9.7")])
        site.signal(signal.SIGUSR2)
        site.wait_log("hosts.tab read again: 1 new, 0 gone, 0 changed")
        assert state(site, "p3") == "on demand"
        assert site.who("p3") > 0
        assert site.finish() == 0


def test_the_child_of_an_id_that_another_one_ends_with_makes_room() -> None:
    """Whose a delayed file is has changed: `x.a.b` was b's, and is a.b's now."""
    with resting(["b", "c"], "serve") as site:
        old, other = site.who("b"), site.who("c")
        site.write_hosts([*site.entries, Entry("a.b", "127.9.9.8")])
        site.signal(signal.SIGUSR2)
        site.wait_log("hosts.tab read again: 1 new, 0 gone, 0 changed")
        wait_until(lambda: not procs.alive(old), 10, "its end")
        assert site.who("b") != old
        assert site.who("c") == other
        assert site.finish() == 0


@pytest.mark.parametrize("moment", ["at rest", "just asked", "serving", "leaving"])
def test_the_end_in_any_state(moment: str) -> None:
    with resting() as site:
        clients = []
        if moment in ("serving", "leaving"):
            site.who("p1")
        if moment == "leaving":
            wait_until(lambda: state(site, "p1") == "on demand", 5, "its leaving")
        if moment != "at rest":
            clients.append(pending(site, "p2"))
        began = time.monotonic()
        assert site.finish() == 0
        assert time.monotonic() - began < 8
        assert not any(site.socket_path(peer).exists() for peer in ("p1", "p2", "p3"))
        for client in clients:  # answered or closed, never left hanging
            with client, contextlib.suppress(ConnectionResetError):
                client.recv(100)
        assert site.begin().poll() is None
        assert site.who("p1") > 0
        assert site.finish() == 0


# ------------------------------------------------------------------------------------------------- failures


def test_a_child_that_crashes_costs_those_in_the_backlog_nothing() -> None:
    with resting(mode="exit 70") as site:
        asking = [pending(site, "p1") for _ in range(5)]
        wait_until(lambda: len(site.births("p1")) >= 2, 10, "a second try")
        site.set_mode(IDLE)
        assert all(served(client, "p1") for client in asking)
        assert 1 <= site.board("p1").parent.attempts <= 5
        wait_rest(site, "p1")
        assert site.finish() == 0


def test_a_killed_child_is_followed_by_one_for_those_in_the_backlog() -> None:
    with resting(mode="serve") as site:
        first = site.who("p1")
        os.kill(first, signal.SIGSTOP)
        asking = [pending(site, "p1") for _ in range(5)]
        os.kill(first, signal.SIGKILL)
        found = {served(client, "p1") for client in asking}
        assert first not in found
        assert site.board("p1").parent.attempts == 1
        assert site.finish() == 0


def test_a_peer_that_is_given_up_has_no_socket_until_somebody_calls() -> None:
    with resting(mode="exit 70", loncMaxAttempts="2") as site:
        with contextlib.suppress(ConnectionResetError):
            pending(site, "p1").recv(10)
        wait_until(lambda: state(site, "p1") == "given up", 10, "the end of all attempts")
        assert site.refused("p1")
        assert len(site.births("p1")) == 3
        assert not site.refused("p2")
        site.set_mode(IDLE)
        wait_until(lambda: state(site, "p2") != "up", 10, "p2 without a living child")
        site.signal(signal.SIGUSR1)
        site.wait_log("Restarting child for server: p1")
        wait_until(lambda: not site.refused("p1"), 5, "its socket")
        assert site.who("p1") > 0
        assert site.finish() == 0


@pytest.mark.skipif(not strace_works(), reason="strace cannot trace here")
def test_a_client_that_comes_while_forks_fail_is_served_when_they_work_again() -> None:
    calls = "clone,clone3,fork,vfork"
    strace = ["strace", "-D", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    with parent_site(["p1", "p2"], loncOnDemand="on") as site:
        site.set_mode(IDLE)
        site.begin([*strace, f"--inject={calls}:error=EAGAIN:when=1"])
        asking = [pending(site, "p1") for _ in range(3)]
        assert all(served(client, "p1") for client in asking)
        assert site.log_text().count("No child can be forked") == 1
        site.wait_log("Children can be forked again after ")
        assert site.board("p1").parent.attempts == 0
        wait_rest(site, "p1")
        assert site.finish() == 0


# ------------------------------------------------------------------------------------------ delayed messages


def test_a_delayed_message_starts_a_child_and_what_nobody_can_send_only_once() -> None:
    with parent_site(["p1", "p2"], loncOnDemand="on", loncDelayedScan="0.2") as site:
        site.set_mode(IDLE)
        site.delay("p1", b"put:x")
        site.begin()
        wait_until(lambda: len(site.births("p1")) == 1, 5, "a child for the message")
        wait_rest(site, "p1")
        # The stand-in has sent nothing, and has left all the same.
        stays(lambda: len(site.births("p1")) == 1, 2, "no child again for the same file")
        site.delay("p1", b"put:y")
        wait_until(lambda: len(site.births("p1")) == 2, 5, "a child for the new one")
        wait_rest(site, "p1")
        stays(lambda: len(site.births("p1")) == 2, 1, "no third one")
        site.signal(signal.SIGUSR1)
        wait_until(lambda: len(site.births("p1")) == 3, 5, "somebody has asked")
        wait_rest(site, "p1")
        site.signal(signal.SIGHUP)
        wait_until(lambda: len(site.births("p1")) == 4, 15, "the new self")
        assert site.births("p2") == []
        assert site.finish() == 0


def test_messages_and_clients_at_once_start_one_child() -> None:
    with parent_site(["p1"], loncOnDemand="on", loncDelayedScan="0.1") as site:
        site.set_mode("idle 0.2")
        site.begin()
        stop = threading.Event()

        def write() -> None:
            while not stop.wait(0.05):
                site.delay("p1", b"put:x")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(40):
                assert site.who("p1") > 0
                time.sleep(random.uniform(0.0, 0.1))
        finally:
            stop.set()
            writer.join(5)
        assert len(procs.descendants(site.pid())) <= 1
        assert site.finish() == 0


def test_a_restart_takes_on_demand_up_and_gives_it_up() -> None:
    with parent_site(["p1", "p2"], loncOnDemand="off") as site:
        site.set_mode("serve")
        site.begin()
        old = [site.who("p1"), site.who("p2")]
        site.write_config(loncOnDemand="on")
        site.signal(signal.SIGHUP)
        wait_until(lambda: not any(map(procs.alive, old)), 15, "the old children's end")
        wait_rest(site, "p1", "p2")
        assert site.who("p1") not in old
        assert len(site.births("p2")) == 1
        site.write_config(loncOnDemand="off")
        site.signal(signal.SIGHUP)
        wait_until(lambda: state(site, "p1") == state(site, "p2") == "up", 15, "a child for everybody")
        assert site.finish() == 0
