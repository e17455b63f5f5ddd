"""On demand, with real children: nobody is started unasked, no client is lost when a child comes or leaves.

The acceptance: 10,000 connects across 100 lifetimes of children with 0 failures. A tenth of it by default; all by

    LONC_TEST_LIFETIMES=100 bin/test tests/process/test_on_demand.py -k lifetimes -s
"""

from __future__ import annotations

import functools
import os
import resource
import signal
import statistics
import time
from collections.abc import Callable

import pytest

from tests.conftest import MakeSite
from tests.fakes.crowd import address_of, name_of
from tests.process import memory, procs
from tests.process.harness import Entry, Site, stays, wait_until
from tests.process.leavings import Watcher, Waves
from tests.process.procs import strace_works
from tests.process.restarting import Crowd, wait_restarts
from tests.process.test_scale import crowd, memory_kib

LIFETIMES = int(os.environ.get("LONC_TEST_LIFETIMES", "10"))
CONNECTS_PER_LIFE = 100
IDLE_S = 0.1
PEERS = 1000
MOST_MIB = 60.0
DEMAND = {"loncOnDemand": "on", "loncIdleTimeout": "0.5", "loncRestartMin": "0.1"}

MakeResting = Callable[..., Site]


@pytest.fixture
def resting(make_site: MakeSite) -> MakeResting:
    """Return what makes a started site on demand whose peers run."""

    def make(*peers: str, running: bool = True, start: bool = True, **settings: str) -> Site:
        site = make_site(list(peers or ["msul1"]), settings=DEMAND | settings)
        for name in peers or ["msul1"]:
            if running:
                site.peer(name)
        if start:
            site.start()
        return site

    return make


def births(site: Site, peer: str = "msul1") -> int:
    """Return how many children of a peer have been started."""
    return site.log_text().count(f"Attempting to start child for server {peer}\n")


def at_rest(site: Site, *peers: str) -> bool:
    """Return whether these peers (all) have no child."""
    names = peers or [entry.id for entry in site.entries]
    return all(site.board(name).parent.state == "on demand" for name in names)


def wait_rest(site: Site, *peers: str) -> None:
    """Return when they have none."""
    wait_until(lambda: at_rest(site, *peers), 15, "no child")


# ------------------------------------------------------------------------------------------ the acceptance


def more_ends(watcher: Watcher, than: int) -> bool:
    """Return whether more children have ended than so many."""
    return len(watcher.ends) > than


@pytest.mark.timing
@pytest.mark.timeout(120 + 6 * LIFETIMES)
def test_lifetimes_of_children_with_clients_around_every_end(resting: MakeResting) -> None:
    site = resting(loncIdleTimeout=str(IDLE_S))
    began = time.monotonic()
    # A wave that begins too early keeps the child, so that not each of them is a lifetime.
    waves = Waves(site.socket_path("msul1"), CONNECTS_PER_LIFE // 2, seed=LIFETIMES)
    stays_s = [2.5 * IDLE_S]
    rounds = 0
    with Watcher(site.pid()) as watcher:
        while len(watcher.ends) < LIFETIMES or waves.asked < LIFETIMES * CONNECTS_PER_LIFE:
            assert time.monotonic() - began < 60 + 5 * LIFETIMES, f"too slow: {len(watcher.ends)}, {waves.tally}"
            waves.come(waves.answered_at + statistics.median(stays_s[-9:]))
            ended = len(watcher.ends)
            rounds += 1
            if rounds % 5 == 1:  # how long does a child stay on this machine, now?
                wait_until(functools.partial(more_ends, watcher, ended), 20, "an end")
                stays_s.append(watcher.ends[-1] - waves.answered_at)
                waves.come(time.monotonic())
        wait_rest(site)
        ends = list(watcher.ends)
    took = time.monotonic() - began
    print(f"\n{len(ends)} lifetimes, {waves.asked} connects in {took:.0f} s, {waves.near(ends)} within 3 ms of an"
          f" end: {dict(waves.tally)}; the longest took {waves.longest_s * 1000:.0f} ms")  # fmt: skip
    assert waves.good, waves.tally
    assert "CRITICAL" not in site.log_text()
    assert site.board("msul1").parent.attempts == 0
    assert site.children() == []


# ------------------------------------------------------------------------------------------- one child's life


def test_a_child_comes_with_the_first_client_and_goes_when_nobody_is_left(resting: MakeResting) -> None:
    site = resting("msul1", "msul2")
    assert site.children() == []
    assert site.ask("msul1", b"echo:x") == b"x"
    child = site.child("msul1")
    assert site.children() == [child]
    with site.connect("msul1") as client:
        assert client.ask(b"ping") == b"msul1"
        # the link is closed, the child stays with its client
        wait_until(lambda: "Connection count: 0" in site.title(child), 10, "no link")
        stays(lambda: procs.alive(child), 1.2, "a child as long as there is a client")
        assert client.ask(b"echo:y") == b"y"
    wait_rest(site)
    assert site.children() == []
    assert site.board("msul1").parent.why == "was idle"
    assert "CRITICAL" not in site.log_text()
    assert "DEAD" not in site.log_text()
    assert births(site, "msul2") == 0
    assert site.stop() < 5


def test_a_peer_that_is_down_costs_its_clients_the_grace_and_nobody_spins(resting: MakeResting) -> None:
    site = resting(running=False, loncGrace="1.5")
    began = time.monotonic()
    with site.connect("msul1") as client:
        assert client.ask(b"echo:x") == b"con_lost"
        assert 1.2 < time.monotonic() - began < 6
        began = time.monotonic()
        assert client.ask(b"echo:x") == b"con_lost"
        assert time.monotonic() - began < 1
    wait_rest(site)
    assert site.board("msul1").parent.attempts == 0
    pid = site.pid()
    sleeps, used = memory.waits(pid), memory.cpu_s(pid)
    time.sleep(2)
    assert memory.waits(pid) - sleeps <= 3
    assert memory.cpu_s(pid) - used <= 0.1
    assert births(site) == 1
    site.peer("msul1")
    assert site.ask("msul1", b"echo:back") == b"back"


def test_close_connection_exit_and_a_killed_child_cost_later_clients_nothing(resting: MakeResting) -> None:
    site = resting(loncIdleTimeout="5")
    with site.connect("msul1") as client:
        client.send(b"close_connection_exit")
        client.wait_closed()
    assert [site.ask("msul1", b"echo:%d" % number) for number in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    site.signal(signal.SIGKILL, site.child("msul1"))
    assert [site.ask("msul1", b"echo:%d" % number) for number in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert site.board("msul1").parent.attempts == 1
    site.signal(signal.SIGTERM, site.child("msul1"))
    assert [site.ask("msul1", b"echo:%d" % number) for number in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.skipif(not strace_works(), reason="strace cannot trace here")
def test_a_knock_while_forks_fail_is_answered_when_they_work(resting: MakeResting) -> None:
    site = resting(start=False, loncGrace="5")
    calls = "clone,clone3,fork,vfork"
    inject = f"--inject={calls}:error=ENOMEM:when=1..2"
    site.start_foreground(wrapper=["strace", "-D", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", inject])
    assert site.ask("msul1", b"echo:x", timeout_s=20) == b"x"
    assert site.log_text().count("No child can be forked") == 1
    assert site.board("msul1").parent.attempts == 0


# ------------------------------------------------------------------------------------------------- signals


def test_restarts_under_clients_with_and_without_children(resting: MakeResting) -> None:
    site = resting(loncIdleTimeout="0.3")
    pid = site.pid()
    with Crowd(site.socket_path("msul1"), 8, 1) as clients:
        for number in range(1, 4):
            site.signal(signal.SIGHUP)
            wait_restarts(site, number)
            wait_until(lambda: site.board("msul1").parent.state == "up", 20, "a child again")
    assert clients.good, str(clients)
    wait_rest(site)
    done = site.log_text().count("Done starting initial servers")
    site.signal(signal.SIGHUP)  # nobody has to make room
    site.wait_log("Done starting initial servers", 20, count=done + 1)
    assert site.children() == []
    assert site.ask("msul1", b"echo:x") == b"x"
    assert site.pid() == pid
    assert site.stop() < 5


def test_a_table_that_changes_adds_removes_and_moves_peers_on_demand(resting: MakeResting) -> None:
    site = resting("msul1", "msul2", "msul3", loncIdleTimeout="1")
    assert site.ask("msul1", b"echo:x") == b"x"
    kept = site.child("msul1")
    moved = Entry("msul2", address_of(901))
    site.write_hosts([site.entry("msul1"), moved, Entry("msul4", address_of(902))])
    with site.connect("msul1") as busy:
        site.signal(signal.SIGUSR2)
        site.wait_log("hosts.tab read again: 1 new, 1 gone, 1 changed")
        assert busy.ask(b"echo:y") == b"y"
        assert site.child("msul1") == kept
        site.peer("msul2")
        site.peer("msul4")
        assert site.ask("msul2", b"echo:moved") == b"moved"
        assert site.ask("msul4", b"echo:new") == b"new"
        assert not site.socket_path("msul3").exists()
        assert births(site, "msul3") == 0
    wait_rest(site)
    site.signal(signal.SIGUSR1)
    wait_until(lambda: "Peers: 3 on demand" in site.status_path.read_text(), 5, "the count in the status file")
    assert site.children() == []


# ---------------------------------------------------------------------------------------- delayed messages


def test_messages_do_not_wait_for_a_client(resting: MakeResting) -> None:
    site = resting("msul1", "msul2", start=False, loncDelayedScan="0.3")
    early = [f"put:msu:u:ns:early={number}" for number in range(3)]
    for line in early:
        site.delay("msul1", line.encode())
    site.start()
    assert site.peers["msul1"].wait_executed(3) == early
    wait_rest(site)
    assert site.waiting() == []
    site.delay("msul2", b"put:msu:u:ns:late=1")
    assert site.peers["msul2"].wait_executed(1) == ["put:msu:u:ns:late=1"]
    wait_rest(site)
    assert (births(site, "msul1"), births(site, "msul2")) == (1, 1)
    assert [record[1] for record in site.perm_log()] == ["S"] * 4


def test_a_message_for_a_peer_that_is_away_keeps_its_child(resting: MakeResting) -> None:
    site = resting(running=False, loncDelayedScan="0.3", loncRedialMax="0.3", loncMaxAttempts="0")
    site.delay("msul1", b"put:msu:u:ns:a=1")
    wait_until(lambda: births(site) == 1, 10, "a child")
    child = site.child("msul1")
    stays(lambda: procs.alive(child), 2.5, "a child as long as its message waits")
    peer = site.peer("msul1")
    assert peer.wait_executed(1) == ["put:msu:u:ns:a=1"]
    wait_rest(site)
    assert births(site) == 1


def test_files_that_nobody_can_send_start_no_child_again_and_again(resting: MakeResting) -> None:
    site = resting(start=False, loncDelayedScan="0.2")
    site.delayed("1.1.1.two.msul1", b"put:a\nput:b\n")
    site.delayed("1.2.1.x.nobody", b"put:a\n")
    (site.delayed_dir / "1.3.1.link.msul1").symlink_to("/dev/null")
    site.start()
    corrupt = site.delayed_dir / "corrupt" / "1.1.1.two.msul1"
    wait_until(corrupt.exists, 10, "the corrupt one set aside")
    wait_rest(site)
    started = births(site)
    stays(lambda: births(site) == started and at_rest(site), 3, "nobody started again")
    assert started <= 2
    foreign = [line.who for line in site.log() if "1.2.1.*.nobody is for a host that is not" in line.message]
    assert foreign == ["PARENT"]
    assert site.delay("msul1", b"put:msu:u:ns:a=1").exists()
    assert site.peers["msul1"].wait_executed(1) == ["put:msu:u:ns:a=1"]


def test_messages_written_at_any_moment_of_a_childs_life_are_sent(resting: MakeResting) -> None:
    """Also in the one in which it leaves: it has looked for the last time and nobody knocks."""
    site = resting(loncDelayedScan="0.1", loncIdleTimeout="0.1")
    lines = [f"put:msu:u:ns:n={number}" for number in range(60)]
    for line in lines:
        site.delay("msul1", line.encode())
        time.sleep(0.013 * (len(line) % 3 + 1))
    assert sorted(site.peers["msul1"].wait_executed(len(lines), 30)) == sorted(lines)
    wait_rest(site)
    assert site.waiting() == []


# ---------------------------------------------------------------------------------------------- many peers


@pytest.mark.timing
def test_a_thousand_peers_on_demand_are_small(make_site: MakeSite) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    site = make_site([Entry(name_of(i), address_of(i)) for i in range(PEERS)], settings={"loncOnDemand": "on"})
    with crowd(site.port, 10):
        began = time.monotonic()
        pid = site.start()
        started = time.monotonic() - began
        assert site.children() == []
        alone = memory_kib(pid, "Pss:") / 1024
        for number in range(10):  # not `ping`: that never waits for a link
            assert site.ask(name_of(number), b"echo:x") == b"x"
        family = [pid, *site.children()]
        some = sum(memory_kib(one, "Pss:") for one in family) / 1024
        stop_s = site.stop()
    print(f"\n{PEERS} peers on demand: started in {started:.1f} s, {alone:.1f} MiB PSS; with {len(family) - 1}"
          f" children {some:.1f} MiB; the end took {stop_s:.1f} s")  # fmt: skip
    assert len(family) == 11
    assert alone < MOST_MIB
