"""Ends, ordered and not, signals in any order, any starter: nothing is ever left behind (P16, P20, P21)."""

from __future__ import annotations

import functools
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import Peer, Site, stays, wait_until
from tests.process.restarting import family, gone, restart, restarts

PEERS = ("msul1", "msul2", "msul3")
ORPHANS_S = 2.0  # P20
# Starts its arguments as a careless supervisor does: every signal of ours blocked, HUP and INT ignored.
CARELESS = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {1, 2, 3, 10, 12, 15, 17})
for number in (1, 2, 13, 17):
    signal.signal(number, signal.SIG_IGN)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def three(make_site: MakeSite) -> Site:
    """A daemon with three peers, their links ready."""
    site = make_site(PEERS)
    for name in PEERS:
        site.peer(name)
    site.start()
    site.wait_ready()
    return site


def reported(site: Site, count: int) -> bool:
    """Return whether children have appended so many blocks to the status file."""
    return site.status_path.exists() and site.status_path.read_text().count("State: ") >= count


def named_lonc(pids: list[int]) -> bool:
    """Return whether that is the short name of every one of them."""
    return {Path(f"/proc/{pid}/comm").read_text() for pid in pids} == {"lonc\n"}


def said_exit(peer: Peer) -> bool:
    """Return whether that was the last line that this peer heard."""
    return peer.records("d")[-1].text == "exit"


def nothing_left(site: Site) -> None:
    """No process but the test's peers, no pid file, no socket."""
    peers = {peer.pid for peer in site.peers.values()}
    wait_until(lambda: set(site.processes()) <= peers, 5, "nobody left")
    assert not site.pid_path.exists()
    assert [path.name for path in site.sock_dir.iterdir() if path.name != "delayed"] == []


# ------------------------------------------------------------------------------------------------ in order


def test_term_says_exit_to_every_lond_and_leaves_nothing(three: Site) -> None:
    assert three.stop() < 12
    nothing_left(three)
    for peer in three.peers.values():
        wait_until(functools.partial(said_exit, peer), 2, "the farewell")
    assert three.log("PARENT")[-1].message == "Shutting down"


@pytest.mark.parametrize("parent_first", [True, False])
def test_term_to_all_processes_at_once_is_one_end(three: Site, parent_first: bool) -> None:
    """What `killall lonc` does, with requests in flight and a message on disk."""
    three.peers["msul1"].script("on echo:slow=late:700")
    three.delay("msul2", b"put:msu:u:ns:a=1", age_s=0.0)
    with three.connect("msul1") as busy, three.connect("msul2") as idle:
        busy.send(b"echo:slow")
        three.peers["msul1"].wait_executed(1)
        pids = sorted(family(three), reverse=not parent_first)
        for pid in pids:
            procs.send(pid, signal.SIGTERM)
        assert busy.line() == b"slow"
        busy.wait_closed()
        idle.wait_closed()
    wait_until(lambda: gone(pids), 12, "the end of all")
    nothing_left(three)
    assert "ABNORMAL" not in three.log_text()
    assert len(three.waiting()) + len(three.peers["msul2"].executed()) == 1
    three.start()
    three.wait_ready()
    assert three.peers["msul2"].wait_executed(1) == ["put:msu:u:ns:a=1"]


def test_every_process_is_called_lonc(three: Site) -> None:
    """What `killall lonc` and `pgrep lonc` go by, at the start and after a restart."""
    for _ in range(2):
        assert len(family(three)) == 4
        wait_until(functools.partial(named_lonc, family(three)), 5, "the names")
        restart(three)


def test_term_waits_for_what_is_in_flight_but_not_for_ever(make_site: MakeSite) -> None:
    site = make_site(["msul1", "msul2"], settings={"loncStopTimeout": "3"})
    site.peer("msul1", "on echo:never=stall")
    site.peer("msul2", "on echo:slow=late:900")
    site.start()
    site.wait_ready()
    with site.connect("msul1") as never, site.connect("msul2") as slow:
        never.send(b"echo:never")
        slow.send(b"echo:slow")
        site.peers["msul2"].wait_executed(1)
        pids = family(site)
        began = time.monotonic()
        site.signal(signal.SIGTERM)
        assert slow.line() == b"slow"
        assert never.line() == b"con_lost"
        wait_until(lambda: gone(pids), 13, "the end of all")
    assert time.monotonic() - began > 1.5
    nothing_left(site)
    assert "killed" not in site.log_text()


def test_a_second_term_does_not_wait(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncStopTimeout": "60"})
    site.peer("msul1", "on echo:never=stall")
    site.start()
    site.wait_ready()
    with site.connect("msul1") as client:
        client.send(b"echo:never")
        pids = family(site)
        site.signal(signal.SIGTERM)
        site.wait_log("Shutting down")
        began = time.monotonic()
        site.signal(signal.SIGTERM)
        wait_until(lambda: gone(pids), 10, "the end of all")
        assert time.monotonic() - began < 5
    nothing_left(site)


def test_quit_is_an_abnormal_end_that_leaves_nothing(three: Site) -> None:
    pids = family(three)
    three.signal(signal.SIGQUIT)
    wait_until(lambda: gone(pids), 13, "the end of all")
    nothing_left(three)
    assert f"CRITICAL: {pids[0]} PARENT ABNORMAL EXIT" in three.log_text()


def test_the_exit_code_of_a_foreground_daemon(site: Site) -> None:
    for signum, code in ((signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGQUIT, 70)):
        site.start_foreground()
        assert site.foreground is not None
        site.signal(signum)
        assert site.foreground.wait(15) == code
        nothing_left(site)


# ---------------------------------------------------------------------------------------------- in any order


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_signals_in_any_order_and_then_term(three: Site, seed: int) -> None:
    chance = random.Random(seed)
    pid = three.pid()
    kinds = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)
    deadline = time.monotonic() + 3.0
    sent = 0
    while time.monotonic() < deadline:
        three.signal(chance.choice(kinds), pid)
        if chance.random() < 0.2:
            three.signal(chance.choice(kinds[1:3]), chance.choice([pid, *procs.descendants(pid)]))
        sent += 1
        time.sleep(chance.choice((0.0, 0.001, 0.03, 0.2)))
    pids = family(three)
    three.signal(signal.SIGTERM, pid)
    for _ in range(20):
        procs.send(pid, chance.choice(kinds))
    wait_until(lambda: gone(pids), 20, "the end of all")  # loncStopTimeout and 10 s
    nothing_left(three)
    assert "ABNORMAL" not in three.log_text()
    assert sent > 10


def began(site: Site) -> tuple[subprocess.Popen[bytes], int]:
    """Run the starting command; return it and the daemon as soon as there is one."""
    with open(site.error_path, "ab") as errors:
        starter = subprocess.Popen(site.command(), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
    found = wait_until(lambda: procs.descendants(starter.pid) or starter.poll() is not None, 20, "the daemon")
    assert isinstance(found, list), "the starter was faster"
    return starter, found[0]


@pytest.mark.parametrize("delay_ms", [0, 20, 80, 150])
def test_signals_during_the_start_are_carried_out_after_it(site: Site, delay_ms: int) -> None:
    """Before the lock, before the pid file, between the first children: none is lost and none harms."""
    site.peer("msul1")
    starter, daemon = began(site)
    time.sleep(delay_ms / 1000)  # into another moment each time
    for signum in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        site.signal(signum, daemon)
    assert starter.wait(20) == 0, site.error_text()
    assert site.pid() == daemon
    site.wait_log("Going to check on the children")
    site.wait_log("hosts.tab read again")
    site.wait_log("children hand over to new ones", 20)
    site.wait_ready()
    assert site.ask("msul1", b"echo:x") == b"x"
    assert site.stop() < 12
    nothing_left(site)


@pytest.mark.parametrize("delay_ms", [0, 20, 80, 150])
def test_term_during_the_start_ends_it(site: Site, delay_ms: int) -> None:
    site.peer("msul1")
    starter, daemon = began(site)
    time.sleep(delay_ms / 1000)  # into another moment each time
    site.signal(signal.SIGTERM, daemon)
    assert starter.wait(20) == 0, site.error_text()  # it did start, and then did as it was told
    wait_until(lambda: gone([daemon]), 13, "the end")
    nothing_left(site)
    site.start()


def test_signals_to_the_children_alone(three: Site) -> None:
    """Each does what the table of signals says; the parent lives on and replaces those that leave."""
    pid, child = three.pid(), three.child("msul1")
    for signum, said in (
        (signal.SIGINT, "Debug on"),
        (signal.SIGINT, "Debug off"),
        (signal.SIGUSR2, "Transaction logging on"),
        (signal.SIGUSR2, "Transaction logging off"),
    ):
        three.signal(signum, child)
        three.wait_log(said)
    for signum in (signal.SIGHUP, signal.SIGUSR1):
        blocks = three.status_path.read_text().count("State: ") if three.status_path.exists() else 0
        three.signal(signum, child)
        wait_until(functools.partial(reported, three, blocks + 1), 5, "its report")
    assert three.ask("msul1", b"echo:x") == b"x"
    assert three.child("msul1") == child
    for signum in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
        child = three.child("msul1")
        three.signal(signum, child)
        wait_until(functools.partial(gone, [child]), 12, "its end")
        assert three.child("msul1") != child
        three.wait_ready("msul1")
    assert three.pid() == pid
    assert three.stop() < 12


@pytest.mark.parametrize("wrapper", [["nohup"], [sys.executable, "-c", CARELESS]], ids=["nohup", "all blocked"])
@pytest.mark.parametrize("foreground", [False, True])
def test_whatever_the_starter_had_blocked_or_ignored(site: Site, wrapper: Sequence[str], foreground: bool) -> None:
    peer = site.peer("msul1")
    pid = site.start_foreground(wrapper=wrapper) if foreground else site.start(wrapper=wrapper)
    site.wait_ready()
    for one in family(site):
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{one}/status").read_text().splitlines())
        assert int(status["SigBlk"], 16) == 0
        ignored = {number for number in range(1, 32) if int(status["SigIgn"], 16) >> (number - 1) & 1}
        assert ignored <= {signal.SIGPIPE, signal.SIGXFSZ}
    restart(site)
    restart(site)
    site.signal(signal.SIGUSR1)
    wait_until(lambda: site.status_path.exists() and "State: " in site.status_path.read_text(), 10, "the status")
    site.signal(signal.SIGUSR2)
    site.wait_log("hosts.tab read again")
    child = site.child("msul1")
    site.signal(signal.SIGKILL, child)
    wait_until(lambda: site.child("msul1") != child, 10, "another child")  # SIGCHLD is heard
    assert site.pid() == pid
    assert site.stop() < 12
    assert site.processes() == [peer.pid]


# ------------------------------------------------------------------------------------------ without a word


def test_a_killed_parent_takes_its_children_along_within_two_seconds(three: Site) -> None:
    three.peers["msul1"].script("on echo:never=stall")
    three.peers["msul2"].script("on echo:slow=late:300")
    with three.connect("msul1") as never, three.connect("msul2") as slow, three.connect("msul3") as idle:
        never.send(b"echo:never")
        slow.send(b"echo:slow")
        three.peers["msul2"].wait_executed(1)
        left = three.kill()
        began = time.monotonic()
        assert len(left) == 3
        wait_until(lambda: gone(left), 10, "the end of the children")
        took = time.monotonic() - began
        # what was in hand is finished or failed, never left hanging
        assert slow.line() == b"slow"
        assert never.line() == b"con_lost"
        idle.wait_closed()
    print(f"\nthe last of 3 children was gone {took:.2f} s after its parent")
    assert took < ORPHANS_S + 1.0  # the machine may be busy
    assert "The parent is gone" in three.log_text()


@pytest.mark.parametrize("delay_ms", [0, 50, 300, 900, 1400])
def test_a_start_after_the_parent_was_killed_needs_no_hand(three: Site, delay_ms: int) -> None:
    """At once, and in other moments of the two seconds in which its children are still there."""
    three.peers["msul1"].script("on echo:never=stall@1")
    with three.connect("msul1") as never:
        never.send(b"echo:never")  # keeps this child until its time is over
        never_child = three.child("msul1")
        old = three.pid()
        left = three.kill()
        time.sleep(delay_ms / 1000)  # into another moment each time
        assert three.start() != old
        assert never.line() == b"con_lost"
    wait_until(lambda: gone(left), 10, "the end of the orphans")
    three.wait_ready()
    for name in PEERS:
        assert three.ask(name, b"echo:x") == b"x"
    assert len(three.children()) == 3
    assert never_child not in three.children()
    assert "SKIPPED" not in three.log_text().upper()
    assert three.stop() < 12
    nothing_left(three)


@pytest.mark.parametrize("delay_ms", [0, 60, 150, 220, 300, 400])
def test_a_parent_killed_in_the_middle_of_a_restart(three: Site, delay_ms: int) -> None:
    pid = three.pid()
    three.signal(signal.SIGHUP)
    time.sleep(delay_ms / 1000)  # into another moment each time
    left = procs.descendants(pid)
    three.signal(signal.SIGKILL, pid)
    began = time.monotonic()
    wait_until(lambda: not procs.alive(pid), 5, "its end")
    assert three.start() != pid
    wait_until(lambda: gone(left), 10, "the end of the orphans")
    print(f"\nkilled {delay_ms} ms after HUP: orphans gone after {time.monotonic() - began:.2f} s")
    three.wait_ready()
    assert three.ask("msul1", b"echo:x") == b"x"
    assert len(three.children()) == 3
    number = restarts(three)
    restart(three)
    assert restarts(three) == number + 1
    assert three.stop() < 12
    nothing_left(three)


def test_a_check_that_outlives_its_parent_holds_nothing(three: Site) -> None:
    """The check of a restart is a process, too: it has neither lock nor sockets nor the lifeline."""
    pid, children = three.pid(), set(three.children())
    three.signal(signal.SIGHUP)

    def look() -> list[int]:  # past its exec: before, it has what its parent has
        new = [one for one in procs.descendants(pid) if one not in children]
        return [one for one in new if b"-t" in Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0")]

    check = wait_until(look, 5, "the check")[0]
    procs.send(check, signal.SIGSTOP)
    try:
        links = [str(path.readlink()) for path in Path(f"/proc/{check}/fd").iterdir()]
        assert not [link for link in links if link.startswith(("socket:", "pipe:")) or link.endswith("lonc.lock")]
        three.signal(signal.SIGKILL, pid)
        wait_until(lambda: gone(list(children)), 10, "the end of the orphans")
        assert three.start() != pid
    finally:
        procs.end([check])
    three.wait_ready()
    stays(three.running, 0.3, "a daemon")
