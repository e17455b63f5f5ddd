"""HUP and USR2: the same parent with a new program or a new table, and nothing lost on the way (P21-P24)."""

from __future__ import annotations

import functools
import signal
import threading
import time

import pytest

from tests.process import procs
from tests.process.harness import Entry
from tests.process.parent_site import ParentSite, parent_site
from tests.process.waiting import stays, wait_until

PEERS = ("p1", "p2", "p3")


def restarts(site: ParentSite) -> int:
    return site.log_text().count("children hand over to new ones")


def restarted(site: ParentSite, times: int) -> bool:
    return restarts(site) == times


def restart(site: ParentSite) -> None:
    assert site.process is not None
    before = restarts(site)
    done = site.log_text().count("Done starting initial servers")
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: restarts(site) == before + 1, 10, "a restart")
    site.wait_log("Done starting initial servers", count=done + 1)


def test_hup_keeps_pid_sockets_and_lock_and_replaces_every_child() -> None:
    with parent_site(loncStopTimeout="60") as site:  # nobody waits for that: the children are told to leave
        parent = site.begin()
        old = {peer: site.who(peer) for peer in PEERS}
        inodes = {peer: site.socket_path(peer).stat().st_ino for peer in PEERS}
        restart(site)
        new = {peer: site.who(peer) for peer in PEERS}
        assert not set(old.values()) & set(new.values())
        assert site.pid() == parent.pid
        assert {peer: site.socket_path(peer).stat().st_ino for peer in PEERS} == inodes
        assert not any(procs.alive(pid) for pid in old.values())
        assert site.title(parent.pid).startswith("lonc: Parent keeping the flock")
        second = site.begin(wait=False)
        assert second.wait(10) == 1  # the lock was never free
        site.process = parent
        assert site.finish() == 0
        assert not site.pid_path.exists()


def test_many_restarts_under_clients_refuse_nobody_and_leave_nothing_open() -> None:
    with parent_site() as site:
        site.begin()
        site.who("p3")
        restart(site)
        before = site.descriptors()
        failures: list[BaseException] = []
        answered = [0]
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                try:
                    site.who("p1")
                    answered[0] += 1
                except BaseException as error:  # noqa: BLE001 - shown by the assertion
                    failures.append(error)
                    return

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for thread in askers:
            thread.start()
        for _ in range(6):
            restart(site)
        stop.set()
        for thread in askers:
            thread.join(10)
        assert failures == []
        assert answered[0] > 20
        assert site.descriptors() == before
        assert len(site.children()) == 3
        assert site.finish() == 0


@pytest.mark.parametrize("how", ["broken", "config"])
def test_a_restart_that_would_fail_is_refused_and_told(how: str) -> None:
    with parent_site() as site:
        parent = site.begin()
        pids = {peer: site.who(peer) for peer in PEERS}
        before = site.descriptors()
        if how == "broken":
            (site.root / "broken").touch()
        else:
            site.write_config(loncGrace="soon")
        parent.send_signal(signal.SIGHUP)
        site.wait_log("CRITICAL: Restart refused, the running one goes on:")
        assert ("&lt;broken&gt; as ordered" if how == "broken" else "loncGrace") in site.log_text()
        assert {peer: site.who(peer) for peer in PEERS} == pids
        wait_until(lambda: site.descriptors() == before, 2, "the descriptors from before")
        (site.root / "broken").unlink(missing_ok=True)
        site.write_config(loncGrace="2")
        restart(site)
        assert site.who("p1") not in pids.values()
        assert site.finish() == 0


def test_a_restart_whose_program_is_gone_is_refused() -> None:
    with parent_site() as site:
        (site.root / "hang").touch()
        parent = site.begin()
        pid = site.who("p1")
        parent.send_signal(signal.SIGHUP)
        site.wait_log("Restarting")
        wait_until(lambda: len(site.children()) == 4, 5, "the check")
        assert site.who("p1") == pid  # while the check hangs
        check = next(one for one in site.children() if "stub_parent.py" in site.title(one))
        procs.send(check, signal.SIGKILL)
        site.wait_log("killed by signal 9")
        assert site.who("p1") == pid
        assert site.finish() == 0


def test_a_check_that_never_ends_is_ended() -> None:
    with parent_site() as site:
        (site.root / "hang").touch()
        (site.root / "quick").touch()
        parent = site.begin()
        pid = site.who("p1")
        parent.send_signal(signal.SIGHUP)
        site.wait_log("Restart refused, the running one goes on: no answer within 1 s")
        assert site.who("p1") == pid
        assert site.children() == sorted(site.who(peer) for peer in PEERS)
        assert site.finish() == 0


def test_term_wins_over_a_hanging_check_and_over_a_storm_of_restarts() -> None:
    with parent_site() as site:
        (site.root / "hang").touch()
        parent = site.begin()
        parent.send_signal(signal.SIGHUP)
        site.wait_log("Restarting")
        assert site.finish() == 0
        (site.root / "hang").unlink()
        parent = site.begin()
        site.who("p1")
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            parent.send_signal(signal.SIGHUP)
            time.sleep(0.001)
        assert parent.poll() is None
        wait_until(lambda: restarts(site) >= 1, 10, "a restart")
        for signum in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP):
            parent.send_signal(signum)
        assert site.finish() == 0
        assert not site.pid_path.exists()


def test_a_storm_of_restarts_ends_in_the_state_from_before() -> None:
    with parent_site() as site:
        parent = site.begin()
        site.who("p1")
        restart(site)
        before = site.descriptors()
        for _ in range(1000):
            parent.send_signal(signal.SIGHUP)
        for signum in (signal.SIGUSR1, signal.SIGUSR2):
            parent.send_signal(signum)
        wait_until(lambda: restarts(site) >= 2, 10, "a restart")

        def settled() -> bool:
            return len(site.children()) == 3 and site.descriptors() == before

        wait_until(settled, 10, "three children")
        stays(settled, 0.5, "three children")
        assert {site.who(peer) for peer in PEERS} == set(site.children())
        assert site.finish() == 0


def test_a_peer_that_was_given_up_is_started_by_hup() -> None:
    with parent_site() as site:
        site.set_mode("exit 10", "p1")
        site.begin()
        site.wait_log("Skipped p1")
        site.set_mode("serve", "p1")
        restart(site)
        assert site.who("p1")
        assert site.births("p1")[-1][1] == "0"
        assert site.finish() == 0


def test_hup_reads_configuration_and_table_again() -> None:
    with parent_site() as site:
        site.begin()
        gone, kept = site.who("p1"), site.entry("p2")
        site.write_hosts([kept, Entry("p4", "127.0.0.9")])
        restart(site)
        assert site.who("p4")
        assert site.refused("p1")
        assert not site.socket_path("p1").exists()
        wait_until(lambda: not procs.alive(gone), 5, "the end of a vanished host's child")
        assert len(site.children()) == 2
        assert site.finish() == 0


def test_an_early_new_self_takes_over_children_that_still_leave() -> None:
    limit_s = 6.0
    with parent_site(loncStopTimeout=f"{limit_s:g}") as site:
        site.set_mode("deaf", "p1")
        parent = site.begin()
        deaf = site.who("p1")
        site.set_mode("serve", "p1")
        for number in (1, 2, 3):
            began = time.monotonic()
            parent.send_signal(signal.SIGHUP)
            wait_until(functools.partial(restarted, site, number), 10, "a restart")
        assert procs.alive(deaf)
        wait_until(lambda: not procs.alive(deaf), 10, "its end")
        assert time.monotonic() - began < limit_s  # counted from the first: further restarts give it no more time
        assert site.who("p1") != deaf
        assert site.finish() == 0


# -------------------------------------------------------------------------------------------------- USR2


def test_usr2_touches_only_what_has_changed() -> None:
    with parent_site() as site:
        parent = site.begin()
        pids = {peer: site.who(peer) for peer in PEERS}
        changed = Entry("p2", "127.0.0.77")
        site.write_hosts([site.entry("p1"), changed, Entry("p4", "127.0.0.9")])
        parent.send_signal(signal.SIGUSR2)
        site.wait_log("hosts.tab read again: 1 new, 1 gone, 1 changed")
        wait_until(lambda: not site.refused("p4"), 5, "the new host's socket")
        assert site.who("p4")
        wait_until(lambda: not procs.alive(pids["p3"]) and not procs.alive(pids["p2"]), 5, "two ends")
        assert site.refused("p3")
        assert site.who("p1") == pids["p1"]
        assert site.who("p2") != pids["p2"]
        site.write_hosts([site.entry("p1"), changed, Entry("p3", "127.0.0.3")])
        parent.send_signal(signal.SIGUSR2)
        wait_until(lambda: not site.refused("p3"), 5, "a host that has come back")
        assert site.who("p3")
        assert site.who("p1") == pids["p1"]
        assert site.finish() == 0


def test_a_host_that_vanishes_and_comes_back_while_its_child_leaves_is_served() -> None:
    with parent_site(loncStopTimeout="2") as site:
        site.set_mode("deaf", "p1")
        parent = site.begin()
        old, entries = site.who("p1"), list(site.entries)
        site.set_mode("serve", "p1")
        site.write_hosts(entries[1:])
        parent.send_signal(signal.SIGUSR2)
        site.wait_log("1 gone")
        assert site.refused("p1")
        site.write_hosts(entries)
        parent.send_signal(signal.SIGUSR2)
        site.wait_log("1 new")
        assert site.who("p1") != old
        assert len(site.births("p1")) == 2
        assert site.finish() == 0


@pytest.mark.parametrize("table", [b"", b"p1:msu", b"\0\xff" * 100])
def test_usr2_with_a_table_that_cannot_be_used_keeps_the_old_one(table: bytes) -> None:
    with parent_site() as site:
        parent = site.begin()
        pids = {peer: site.who(peer) for peer in PEERS}
        site.hosts_path.write_bytes(table)
        parent.send_signal(signal.SIGUSR2)
        site.wait_log("CRITICAL: hosts.tab cannot be used, the old one stays:")
        assert {peer: site.who(peer) for peer in PEERS} == pids
        assert site.finish() == 0


def test_many_tables_leave_nothing_open() -> None:
    with parent_site() as site:
        parent = site.begin()
        site.who("p1")
        before, entries = site.descriptors(), list(site.entries)
        for number in range(30):
            site.write_hosts(entries[: 1 + number % 3])
            parent.send_signal(signal.SIGUSR2)
            time.sleep(0.02)
        site.write_hosts(entries)
        parent.send_signal(signal.SIGUSR2)
        wait_until(lambda: len(site.children()) == 3 and site.descriptors() == before, 8, "the state from before")
        assert {site.who(peer) for peer in PEERS} == set(site.children())
        assert site.finish() == 0
