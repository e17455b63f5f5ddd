"""Children that die, crash, hang or cannot be had, and who follows them (P17-P19, lonc.md 2)."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import time
from collections.abc import Callable

import pytest

from tests.process import procs
from tests.process.parent_site import ParentSite, parent_site
from tests.process.procs import strace_works
from tests.process.waiting import stays, wait_until


@pytest.mark.timing
def test_a_killed_child_is_replaced_within_a_second_and_told() -> None:
    with parent_site() as site:
        site.begin()
        first, other = site.who("p1"), site.who("p2")
        procs.send(first, signal.SIGKILL)
        began = time.monotonic()
        wait_until(lambda: len(site.births("p1")) == 2, 1.0, "a second child")
        assert site.who("p1") != first
        assert time.monotonic() - began < 1.5
        assert site.who("p2") == other
        assert "Trying to reconnect for p1 (1 of 5 attempts)" in site.log_text()
        assert f"WARNING: Child {first} is dead: that of p1 was killed by signal 9" in site.log_text()
        assert site.finish() == 0


def test_after_the_maximum_the_peer_is_skipped_and_usr1_brings_it_back() -> None:
    with parent_site(loncGrace="30") as site:
        site.set_mode("exit 10", "p1")
        parent = site.begin()
        site.wait_log("WARNING: Skipped p1")
        assert len(site.births("p1")) == 6
        assert [attempts for _, attempts, _ in site.births("p1")] == ["0", "1", "2", "3", "4", "5"]
        wait_until(lambda: not site.socket_path("p1").exists(), 2, "no socket")
        assert site.refused("p1")
        assert site.who("p2")
        site.set_mode("serve", "p1")
        parent.send_signal(signal.SIGUSR1)
        site.wait_log("Restarting child for server: p1")
        wait_until(lambda: not site.refused("p1"), 5, "a socket")
        assert site.who("p1")
        assert site.births("p1")[-1][1] == "0"
        assert site.finish() == 0


@pytest.mark.parametrize("code", ["0", "11"])
def test_ordered_ends_and_close_connection_exit_are_not_counted(code: str) -> None:
    with parent_site(["p1"]) as site:
        site.set_mode(f"exit {code}", "p1")
        site.begin()
        wait_until(lambda: len(site.births("p1")) > 12, 8, "many children")
        assert {attempts for _, attempts, _ in site.births("p1")} == {"0"}
        assert "Skipped" not in site.log_text()
        assert site.finish() == 0


def test_a_stable_link_sets_the_count_back() -> None:
    with parent_site(["p1"]) as site:
        site.set_mode("stable 10", "p1")
        site.begin()
        wait_until(lambda: len(site.births("p1")) > 10, 8, "many children")
        assert {attempts for _, attempts, _ in site.births("p1")[1:]} == {"1"}
        assert site.finish() == 0


def test_a_crash_is_one_line_and_quotes_nothing() -> None:
    with parent_site(["p1", "p2"]) as site:
        site.set_mode("raise", "p1")
        site.begin()
        site.wait_log("Skipped p1")
        pid = site.births("p1")[0][0]
        lines = [line for line in site.log("p1") if line.pid == int(pid)]
        assert len(lines) == 1
        assert f"CRITICAL: {pid} p1 ABNORMAL EXIT: RuntimeError at stub_parent.py:" in lines[0].message
        assert "in run\n" in site.error_text()
        assert "password" not in site.log_text()
        assert "password" not in site.error_text().replace('raise RuntimeError("a secret password")', "")
        assert site.who("p2")
        assert site.finish() == 0


def test_a_crash_loop_is_throttled_with_growth() -> None:
    with parent_site(["p1"], loncMaxAttempts="0", loncRestartMin="0.1") as site:
        site.set_mode("exit 70", "p1")
        site.begin()
        wait_until(lambda: len(site.births("p1")) >= 5, 8, "five children")
        times = [float(when) for _, _, when in site.births("p1")]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(0.08 * 2**n <= pause + 0.02 for n, pause in enumerate(pauses[:4])), pauses
        assert pauses[0] < 1.0
        assert site.finish() == 0


def test_many_children_that_die_at_once_all_come_back_at_most_twenty_a_second() -> None:
    names = [f"p{number}" for number in range(50)]
    with parent_site(names) as site:
        site.begin()
        first = {name: site.who(name) for name in names}
        for pid in first.values():
            procs.send(pid, signal.SIGKILL)
        wait_until(lambda: all(len(site.births(name)) == 2 for name in names), 8, "fifty new children")
        times = sorted(float(site.births(name)[1][2]) for name in names)
        assert all(later - earlier > 0.8 for earlier, later in zip(times, times[20:], strict=False))
        assert times[-1] - times[0] < 4
        assert all(site.who(name) != first[name] for name in names)
        assert site.finish() == 0


@pytest.mark.parametrize("how", ["spin", "stop"])
def test_a_stuck_child_is_found_and_replaced(how: str) -> None:
    with parent_site() as site:
        (site.root / "quick").touch()
        if how == "spin":
            site.set_mode("spin", "p1")
        site.begin()
        wait_until(lambda: site.births("p1"), 5, "a child")
        stuck, other = int(site.births("p1")[0][0]), site.who("p2")
        site.set_mode("serve", "p1")
        if how == "stop":
            procs.send(stuck, signal.SIGSTOP)
        site.wait_log(f"CRITICAL: Child {stuck} of p1 is stuck")
        assert site.who("p1") != stuck
        assert site.who("p2") == other
        assert "Trying to reconnect for p1 (1 of 5 attempts)" in site.log_text()
        if how == "spin":
            assert "in spin_for_ever" in site.log_text()
        else:
            assert "process state T" in site.log_text()
        assert site.log()  # every line is whole
        assert site.finish() == 0


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "directory"])
def test_a_foreign_file_at_a_socket_path_costs_only_that_peer(make: Callable[[str], None]) -> None:
    with parent_site() as site:
        path = site.socket_path("p2")
        make(str(path))
        parent = site.begin()
        assert f"CRITICAL: No socket for p2: {path}:" in site.log_text()
        assert site.who("p1")
        assert site.who("p3")
        assert path.exists()
        assert site.births("p2") == []
        path.rename(site.root / "moved")
        parent.send_signal(signal.SIGUSR1)
        wait_until(lambda: not site.refused("p2"), 5, "a socket")
        assert site.who("p2")
        assert site.finish() == 0


def test_a_foreign_file_survives_the_end_too() -> None:
    with parent_site() as site:
        site.begin()
        path = site.socket_path("p1")
        path.unlink()
        path.write_text("mine")
        assert site.finish() == 0
        assert path.read_text() == "mine"


def test_usr1_reports_and_reaches_every_child() -> None:
    with parent_site() as site:
        parent = site.begin()
        pids = {site.who(peer) for peer in ("p1", "p2", "p3")}
        site.status_path.write_text("old\n" * 100)
        parent.send_signal(signal.SIGUSR1)
        called = site.root / "called"
        wait_until(lambda: called.exists() and called.read_text().count("\n") == 3, 5, "three calls")
        assert {int(line.split()[1]) for line in called.read_text().splitlines()} == pids
        lines = site.status_path.read_text().splitlines()
        assert lines[0].startswith("LONC status ")
        assert lines[0].endswith(f"- parent {parent.pid}")
        assert lines[1] == ""
        assert lines[2].split("\t")[:2] == [str(parent.pid), "PARENT"]
        assert "3 up" in lines[3]
        assert site.finish() == 0


def test_sigchld_by_hand_is_harmless() -> None:
    with parent_site() as site:
        parent = site.begin()
        pid = site.who("p1")
        for _ in range(200):
            parent.send_signal(signal.SIGCHLD)
        stays(lambda: parent.poll() is None, 0.3, "a living parent")
        assert site.who("p1") == pid
        assert site.finish() == 0


@pytest.mark.skipif(not strace_works(), reason="strace cannot trace here")
def test_a_fork_that_fails_is_tried_again_and_never_ends_the_parent() -> None:
    with parent_site(["p1", "p2"], loncGrace="1") as site:
        inject = "--inject=clone,clone3,fork,vfork:error=EAGAIN:when=1..5"
        site.begin(["strace", "-D", "-qq", "-o", "/dev/null", "-e", "trace=clone,clone3,fork,vfork", inject])
        assert site.births("p1") == []
        site.wait_log("No child can be forked: Resource temporarily unavailable")
        wait_until(lambda: len(site.births("p1") + site.births("p2")) == 2, 8, "children at last")
        site.wait_log("Children can be forked again")
        wait_until(lambda: not site.refused("p1") and not site.refused("p2"), 2, "two sockets")
        assert [site.births(peer)[0][1] for peer in ("p1", "p2")] == ["0", "0"]
        assert site.log_text().count("No child can be forked") == 1
        assert answers(site, "p1")
        assert site.finish() == 0


def answers(site: ParentSite, peer: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(site.socket_path(peer)))
        return client.recv(100).startswith(peer.encode())
