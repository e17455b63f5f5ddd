"""Attempts: six children, then the peer is skipped; what sets the count to 0, and what does not count (A4)."""

from __future__ import annotations

import signal
import time

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Entry, Site, stays, wait_until
from tests.process.peer import next_address

QUICK = {
    "loncRetryMin": "0.2",
    "loncRetryMax": "0.3",
    "loncRestartMin": "0.05",
    "loncGrace": "0.2",
    "loncDelayedScan": "0.2",
    "loncConnectTimeout": "1",
}
STEADY = {"loncRestartMin": "0.05", "loncDelayedScan": "0.2"}  # a lost link is no attempt here


def attempts(site: Site, peer: str = "msul1") -> int:
    """Return the attempts used, as the parent has them."""
    return site.board(peer).parent.attempts


def kill_child(site: Site, peer: str = "msul1") -> None:
    """Kill the child from outside, which counts, and return when the next one has its link."""
    pid = site.board(peer).parent.pid
    site.signal(signal.SIGKILL, pid)
    wait_until(lambda: site.board(peer).parent.pid not in (pid, 0), 10, "the next child")
    site.wait_ready(peer)


def wait_given_up(site: Site, peer: str = "msul1") -> None:
    wait_until(lambda: site.board(peer).parent.state == "given up", 30, f"{peer} given up")


def test_after_six_children_the_peer_is_skipped_and_usr1_brings_it_back(make_site: MakeSite) -> None:
    site = make_site(["msul1", "msul2"], settings=QUICK)
    site.peer("msul2")
    peer = site.peer("msul1", start=False)
    parent = site.start()
    site.wait_ready("msul2")
    wait_given_up(site)
    assert not site.socket_path("msul1").exists()
    began = time.monotonic()
    with pytest.raises(FileNotFoundError):
        site.connect("msul1")
    assert time.monotonic() - began < 1
    text = site.log_text()
    assert text.count("Attempting to start child for server msul1") == 6
    said = [line.message for line in site.log("PARENT")]
    tried = [text for text in said if text.startswith("Trying to reconnect for msul1")]
    assert tried == [f"Trying to reconnect for msul1 ({number} of 5 attempts)" for number in range(1, 6)]
    assert '<font color="blue">WARNING: Skipped msul1</font>' in said
    # nobody starts it again, and its neighbour is not concerned
    stays(lambda: site.board("msul1").parent.state == "given up" and len(site.children()) == 1, 1.0, "given up")
    assert site.ask("msul2", b"ping") == b"msul2"
    peer.start()
    site.signal(signal.SIGUSR1)
    site.wait_ready("msul1")
    assert site.ask("msul1", b"ping") == b"msul1"
    assert attempts(site) == 0
    assert "Restarting child for server: msul1" in site.log_text()
    status = site.status_path.read_text()
    assert "Peers: 1 up, 1 given up\nSkipped msul1\n" in status
    assert site.pid() == parent


def test_given_up_again_when_it_does_not_come_back(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK | {"loncMaxAttempts": "1"})
    site.start()
    wait_given_up(site)
    for times in (2, 3):
        site.signal(signal.SIGUSR1)
        site.wait_log("Skipped msul1", 15, count=times)
        wait_given_up(site)
        assert not site.socket_path("msul1").exists()
    assert site.log_text().count("Attempting to start child") == 6  # two each time


def test_killed_children_count_and_a_crash_loop_ends(make_site: MakeSite) -> None:
    site = make_site(settings=STEADY)
    site.peer("msul1")
    site.start()
    site.wait_ready()
    for number in range(1, 6):
        kill_child(site)
        assert attempts(site) == number
    wait_until(lambda: "Retries remaining: 0" in site.title(site.child("msul1")), 5, "the title")
    site.signal(signal.SIGKILL, site.child("msul1"))
    wait_given_up(site)
    assert not site.socket_path("msul1").exists()


def test_without_a_limit_a_peer_is_never_given_up(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK | {"loncMaxAttempts": "0"})
    site.start()
    first = site.child("msul1")
    # no child gives up dialing, and a killed one is always replaced
    stays(lambda: first in site.children(), 1.5, "the child")
    pid = first
    for _ in range(8):
        site.signal(signal.SIGKILL, pid)
        wait_until(lambda old=pid: site.board("msul1").parent.pid not in (old, 0), 10, "the next child")  # type: ignore[misc]  # a default argument
        pid = site.board("msul1").parent.pid
    assert site.board("msul1").parent.state == "up"


def test_a_stable_link_sets_the_count_to_0(make_site: MakeSite) -> None:
    site = make_site(settings=STEADY | {"loncStableAfter": "1"})
    site.peer("msul1")
    site.start()
    site.wait_ready()
    for number in (1, 2, 3):
        kill_child(site)
        assert attempts(site) == number
    ready_at = time.monotonic()
    wait_until(lambda: "Retries remaining: 5" in site.title(site.child("msul1")), 10, "the title of a stable link")
    wait_until(lambda: time.monotonic() - ready_at > 1.2, 5, "a stable link")
    kill_child(site)
    assert attempts(site) == 1


def test_a_link_that_was_stable_before_an_outage_counts_as_well(make_site: MakeSite) -> None:
    """The child lives through the outage and gives up: what its link had been is not forgotten."""
    site = make_site(settings=QUICK | {"loncStableAfter": "1", "loncMaxAttempts": "6"})
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    kill_child(site)
    kill_child(site)
    assert attempts(site) == 2
    wait_until(lambda: site.board("msul1").child.longest_ready_s >= 1, 10, "a stable link")
    peer.order(listen=False, end="rst")
    wait_until(lambda: site.log_text().count("Trying to reconnect for msul1 (1 of 6") == 2, 10, "a new count")
    peer.order(listen=True)
    site.wait_ready()


@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGHUP])
def test_a_call_sets_the_count_to_0(make_site: MakeSite, signum: int) -> None:
    site = make_site(settings=STEADY)
    site.peer("msul1")
    site.start()
    site.wait_ready()
    kill_child(site)
    kill_child(site)
    assert attempts(site) == 2
    wait_until(lambda: "Retries remaining: 3" in site.title(site.child("msul1")), 5, "the title")
    site.signal(signum)
    wait_until(lambda: attempts(site) == 0, 10, "a count of 0")
    site.wait_ready()
    wait_until(lambda: "Retries remaining: 5" in site.title(site.child("msul1")), 5, "the title")
    kill_child(site)
    assert attempts(site) == 1


def test_close_connection_exit_does_not_count(make_site: MakeSite) -> None:
    site = make_site(settings=STEADY)
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    kill_child(site)
    for number in range(1, 8):
        pid = site.child("msul1")
        with site.connect("msul1") as client:
            client.send(b"close_connection_exit")
            client.wait_closed()
        wait_until(lambda old=pid: site.board("msul1").parent.pid not in (old, 0), 10, "the next child")  # type: ignore[misc]  # a default argument
        site.wait_ready()
        assert attempts(site) == 1
        site.wait_log("CRITICAL: Request Close Connection ... exiting", count=number)
    assert "close_connection_exit" not in peer.executed()


def test_ordered_ends_do_not_count(make_site: MakeSite) -> None:
    site = make_site(settings=STEADY | {"loncHandover": "0.1"})
    site.peer("msul1")
    site.start()
    site.wait_ready()
    address = site.entry("msul1").address
    kill_child(site)
    for _ in range(7):
        pid = site.board("msul1").parent.pid
        site.signal(signal.SIGTERM, pid)
        wait_until(lambda old=pid: site.board("msul1").parent.pid not in (old, 0), 10, "the next child")  # type: ignore[misc]  # a default argument
        site.wait_ready()
        assert attempts(site) == 1
    # a new address: the old child is told to leave, the new one starts with all attempts
    site.write_hosts([Entry("msul1", next_address())])
    site.signal(signal.SIGUSR2)
    site.wait_log("hosts.tab read again: 0 new, 0 gone, 1 changed")
    wait_until(lambda: attempts(site) == 0, 10, "a count of 0")
    site.write_hosts([Entry("msul1", address)])
    site.signal(signal.SIGUSR2)
    site.wait_log("hosts.tab read again: 0 new, 0 gone, 1 changed", count=2)
    site.wait_ready()
    assert attempts(site) == 0


def test_an_outage_shorter_than_any_dial_gives_nobody_up(make_site: MakeSite) -> None:
    """loncRetryMin and -Max 0: the dial under way decides, not the clock."""
    site = make_site(settings=QUICK | {"loncRetryMin": "0", "loncRetryMax": "0", "loncMaxAttempts": "1"})
    site.peer("msul1", "at version=late:400")
    site.start()
    site.wait_ready()
    assert attempts(site) == 0
    assert site.ask("msul1", b"ping") == b"msul1"
