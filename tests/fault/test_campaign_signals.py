"""Random signals to parent and children while clients ask and messages come: a defined state, then one end (P21).

LONC_TEST_SIGNALS says how many (default 400), PER_S of them a second: the proof sends 10,000 in a minute. TERM
and QUIT, and INT to the parent, which end processes, are left for the end; fault row 20.
"""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.conftest import MakeSite
from tests.history.peers import Londs, entries
from tests.history.world import SETTINGS, World
from tests.process import procs
from tests.process.harness import Site, wait_until
from tests.process.restarting import descriptors, gone, restart, restarts
from tests.proof.tally import Tally

SIGNALS = int(os.environ.get("LONC_TEST_SIGNALS") or 400)
PER_S = 167
PEERS = 6
# No link of a new child is so slow, on any machine, that a request is not waited for: a con_lost is a violation.
UNHURRIED = {"loncHandover": "0.3", "loncGrace": "30"}
HARMLESS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGCHLD, signal.SIGWINCH, signal.SIGPIPE)
# INT turns the debug level of a child over; SIGCONT is what a stopped one is waked with.
TO_CHILDREN = (*HARMLESS, signal.SIGINT, signal.SIGCONT)


def send_one(world: World, chance: random.Random) -> bool:
    """Send a signal to the parent or to one child; False: that child is just not there."""
    if chance.random() < 0.5:
        return procs.send(world.site.pid(), chance.choice(HARMLESS))
    pid = world.child(chance.choice(world.peers))
    return bool(pid) and procs.send(pid, chance.choice(TO_CHILDREN))


def send_all(world: World, chance: random.Random) -> float:
    """Send SIGNALS signals, some of them in bursts; return how long that took in s."""
    began = next_at = time.monotonic()
    sent = 0
    while sent < SIGNALS:
        sent += send_one(world, chance)
        if sent % 50 == 0:
            world.pump()
        next_at += chance.choice((0, 0, 1, 3)) / PER_S
        time.sleep(max(0.0, next_at - time.monotonic()))
    return time.monotonic() - began


def at_rest(site: Site) -> bool:
    """Return whether every peer is served by a ready child, and there is no other process of the daemon."""
    return len(site.children()) == PEERS and all(site.ready(entry.id) for entry in site.entries)


def usage(site: Site) -> dict[str, list[str]]:
    """Return what the parent and each child have open; nothing when one of them has just ended."""
    found = {entry.id: site.child(entry.id) for entry in site.entries} | {"parent": site.pid()}
    try:
        return {name: descriptors(pid) for name, pid in found.items()}
    except FileNotFoundError:
        return {}


@pytest.mark.slow
@pytest.mark.timeout(240 + SIGNALS // 20)
def test_a_campaign_of_signals(make_site: MakeSite, tally: Tally) -> None:
    seed = random.randrange(1 << 30)
    site = make_site(entries(PEERS), settings=SETTINGS | UNHURRIED)
    londs = Londs(site.root, site.port, 1, PEERS, "5:20")
    with World(site, londs, askers=3, writes_per_s=20) as world:
        restart(site)
        before, pid = usage(site), site.pid()
        assert before
        world.begin()
        seconds = send_all(world, random.Random(seed))
        violations = world.settle()
        wait_until(lambda: at_rest(site), 60, "every peer served by one child")
        restart(site)
        # a restart that was asked for during the last one may still follow
        wait_until(lambda: at_rest(site) and usage(site) == before, 60, "what was open before, and nothing else")
        assert site.pid() == pid
        for peer in world.peers:
            assert site.ask(peer, b"echo:at rest") == b"at rest"
        assert set(site.processes()) == {pid, *site.children(), londs.pid(0)}
        family = [pid, *site.children()]
        took = site.stop()
        assert gone(family)
        assert site.processes() == [londs.pid(0)]
    print(f"\nseed {seed}: {SIGNALS} signals in {seconds:.0f} s, {restarts(site)} restarts, end in {took:.1f} s")
    print(world.checker)
    requests = world.checker.requests
    tally.add(inputs=requests.asked, faults=SIGNALS, violations=len(violations))
    assert not violations, f"seed {seed}: " + "\n".join(violations)
    assert requests.con_lost == requests.closed == 0, "a signal cost a client its reply"
    assert "ABNORMAL" not in site.log_text()
