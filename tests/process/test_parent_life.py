"""The parent's start and end, its signals, what it leaves behind (P14-P16, P20, P21, P29)."""

from __future__ import annotations

import functools
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from tests.process import procs
from tests.process.parent_site import parent_site
from tests.process.waiting import stays, wait_until


def test_a_start_makes_sockets_pid_file_children_and_says_so() -> None:
    with parent_site() as site:
        parent = site.begin()
        assert site.pid() == parent.pid
        assert stat.S_IMODE(site.pid_path.stat().st_mode) == 0o644
        wait_until((site.root / "ready").read_text, 5, "the word that it is ready")
        assert (site.root / "ready").read_text() == f"{parent.pid} None"
        for peer in ("p1", "p2", "p3"):
            assert stat.S_IMODE(site.socket_path(peer).stat().st_mode) == 0o660
            assert site.who(peer) in procs.descendants(parent.pid)
        said = [line.message for line in site.log("PARENT")]
        assert said[1:] == [  # the first one: our own id is not in this table
            *(f"Attempting to start child for server {peer}" for peer in ("p1", "p2", "p3")),
            "Done starting initial servers",
        ]
        wait_until(lambda: "Parent keeping the flock" in site.title(parent.pid), 5, "the title")
        comm = Path(f"/proc/{parent.pid}/comm")  # the title has it for a moment
        wait_until(lambda: comm.read_text() == "lonc\n", 2, "the short name")
        assert site.finish() == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_end_leaves_no_socket_no_pid_file_no_child(signum: int) -> None:
    with parent_site(loncStopTimeout="30") as site:
        site.begin()
        began = time.monotonic()
        assert site.finish(signum) == 0
        assert time.monotonic() - began < 8  # nobody had to be killed
        assert not site.pid_path.exists()
        assert not any(site.socket_path(peer).exists() for peer in ("p1", "p2", "p3"))
        assert site.log("PARENT")[-1].message == "Shutting down"
        assert site.begin().poll() is None  # and a new one starts
        assert site.finish() == 0


def test_quit_is_an_abnormal_exit() -> None:
    with parent_site() as site:
        parent = site.begin()
        assert site.finish(signal.SIGQUIT) == 70
        assert f"CRITICAL: {parent.pid} PARENT ABNORMAL EXIT" in site.log_text()
        assert not site.pid_path.exists()


def test_children_that_do_not_leave_are_killed_after_the_stop_time() -> None:
    with parent_site(loncStopTimeout="2") as site:
        site.set_mode("deaf", "p1")
        site.begin()
        site.who("p1")
        began = time.monotonic()
        assert site.finish() == 0
        assert 1.9 < time.monotonic() - began < 4
        assert "The child of p1 has not left within 2 s" in site.log_text()


def test_a_second_term_kills_at_once() -> None:
    with parent_site(loncStopTimeout="30") as site:
        site.set_mode("deaf")
        parent = site.begin()
        site.who("p1")
        parent.terminate()
        site.wait_log("Shutting down")
        began = time.monotonic()
        assert site.finish() == 0
        assert time.monotonic() - began < 8


def all_gone(family: list[int]) -> bool:
    return not any(map(procs.alive, family))


def test_term_to_all_processes_at_once_is_one_end() -> None:
    for _ in range(5):
        with parent_site() as site:
            parent = site.begin()
            site.who("p3")
            family = procs.descendants(parent.pid)
            for pid in sorted([*family, parent.pid], reverse=True):
                procs.send(pid, signal.SIGTERM)
            assert parent.wait(10) == 0
            wait_until(functools.partial(all_gone, family), 5, "the end of all")
            assert not site.pid_path.exists()
            assert not site.socket_path("p1").exists()


def test_a_killed_parent_takes_its_children_along_and_the_next_start_needs_no_help() -> None:
    with parent_site() as site:
        parent = site.begin()
        site.who("p1")
        family = procs.descendants(parent.pid)
        assert family
        parent.kill()
        parent.wait(5)
        site.begin()  # at once: the lock died with the parent
        wait_until(lambda: not any(map(procs.alive, family)), 2, "the end of the orphans")
        assert site.who("p1") not in family
        assert site.finish() == 0


def test_a_second_start_names_the_holder_and_touches_nothing() -> None:
    with parent_site() as site:
        first = site.begin()
        inode = site.socket_path("p1").stat().st_ino
        second = site.begin(wait=False)
        assert second.wait(10) == 1
        assert f"process {first.pid} holds" in site.error_text()
        site.process = first
        assert site.pid() == first.pid
        assert site.socket_path("p1").stat().st_ino == inode
        assert site.who("p1")
        assert site.finish() == 0


def test_signals_during_the_start_are_carried_out_after_it() -> None:
    with parent_site([f"p{number}" for number in range(20)]) as site:
        parent = site.begin(wait=False)
        wait_until(site.pid_path.exists, 10, "the pid file")
        for signum in (signal.SIGUSR1, signal.SIGCHLD, signal.SIGUSR2):
            parent.send_signal(signum)
        site.wait_log("Going to check on the children")
        site.wait_log("hosts.tab read again: 0 new, 0 gone, 0 changed")
        assert site.who("p19")
        assert site.finish() == 0
        said = [line.message for line in site.log("PARENT")]
        assert said.index("Done starting initial servers") < said.index("Going to check on the children")


def test_a_child_has_its_own_socket_and_nothing_else_of_the_parent() -> None:
    with parent_site() as site:
        parent = site.begin()
        child = site.who("p2")
        place = Path(f"/proc/{child}/fd")
        links = [os.readlink(place / name) for name in os.listdir(place)]
        assert not any(link.endswith("lonc.lock") for link in links)
        own = Path("/proc/net/unix").read_text().splitlines()
        sockets = {line.split()[6]: line.split()[7] for line in own if str(site.sock_dir) in line}
        mine = [sockets[link[8:-1]] for link in links if link[:8] == "socket:[" and link[8:-1] in sockets]
        assert set(mine) == {str(site.socket_path("p2"))}
        status = Path(f"/proc/{child}/status").read_text()
        assert "SigBlk:\t0000000000000000" in status
        parent_pipes = {link for link in (os.readlink(entry) for entry in Path(f"/proc/{parent.pid}/fd").iterdir())
                        if link.startswith("pipe")}  # fmt: skip
        writable = [name for name in os.listdir(place) if os.readlink(place / name) in parent_pipes
                    and os.stat(place / name, follow_symlinks=False).st_mode & stat.S_IWUSR]  # fmt: skip
        assert writable == []
        assert site.finish() == 0


def test_an_idle_parent_hardly_wakes_up() -> None:
    def switches(pid: int) -> int:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("voluntary"))

    with parent_site() as site:
        parent = site.begin()
        site.who("p1")
        time.sleep(0.5)  # titles and the first turns are over
        before = switches(parent.pid)
        stays(lambda: parent.poll() is None, 4, "a living parent")
        assert switches(parent.pid) - before <= 2
        assert site.finish() == 0
