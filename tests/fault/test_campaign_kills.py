"""Kills of every kind while fifty peers have messages and clients all the time: nothing lost, none mixed up.

LONC_TEST_CAMPAIGN_KILLS says how many (default 60), in slices of SLICE, each with a daemon of its own; the proof:

    LONC_TEST_CAMPAIGN_KILLS=20000 bin/test tests/fault/test_campaign_kills.py -s

Fault rows 1 and 2; promises P1-P4, P8, P9, P17, P20. The daemon's limit of restarts per second is in force.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.conftest import MakeSite
from tests.history.peers import Londs, entries
from tests.history.world import SETTINGS, World
from tests.proof.tally import Tally

KILLS = int(os.environ.get("LONC_TEST_CAMPAIGN_KILLS") or 60)
SLICE = 2000
GROUPS, EACH = 5, 10
PEERS = GROUPS * EACH
PER_S = 22.0  # kills; of children fewer than the 20 a second that are started again
# Of a thousand: what costs a start of a daemon or of londs is rare, and there at least once in every slice.
SHARES = {"flushing": 560, "idle": 280, "link": 140, "lond": 10, "parent": 6, "both": 4}


def plan(kills: int, chance: random.Random) -> list[str]:
    """Return so many kinds of kills, by their shares, at least one of each, in any order."""
    counts = {kind: max(1, kills * share // 1000) for kind, share in SHARES.items()}
    counts["flushing"] += kills - sum(counts.values())
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    chance.shuffle(kinds)
    return kinds


def strike(world: World, kind: str, chance: random.Random) -> None:
    """Kill what this kind says; a child that is just not there is waited for, another one may do."""
    match kind:
        case "flushing" | "idle":
            deadline = time.monotonic() + 60
            while not world.kill_child(chance, kind == "flushing"):
                assert time.monotonic() < deadline, "no child to kill"
                time.sleep(0.005)
        case "link":
            world.reset_link(chance)
        case "lond":
            world.kill_londs(chance)
        case _:
            world.kill_parent(chance, kind == "both")


def run_slice(make_site: MakeSite, kills: int, seed: int, tally: Tally) -> list[str]:
    """Run one slice; return its violations."""
    chance = random.Random(seed)
    site = make_site(entries(PEERS), settings=SETTINGS)
    began = time.monotonic()
    with World(site, Londs(site.root, site.port, GROUPS, EACH, "5:20"), askers=10, writes_per_s=150) as world:
        world.begin()
        started = time.monotonic()
        next_at = started
        for kind in plan(kills, chance):
            strike(world, kind, chance)
            world.pump()
            next_at = max(next_at, time.monotonic() - 1.0) + chance.uniform(0, 2 / PER_S)
            time.sleep(max(0.0, next_at - time.monotonic()))
        killed = time.monotonic()
        violations = world.settle()
    site.stop()
    checker = world.checker
    stored = sum(one.stored for one in checker.peers.values())
    tally.add(inputs=checker.requests.asked + stored, faults=checker.faults, violations=checker.count)
    kinds = ", ".join(f"{count} x {kind}" for kind, count in sorted(world.kinds.items()))
    print(f"\nseed {seed}: {sum(world.kinds.values())} kills ({kinds}) in {killed - started:.0f} s")
    print(f"{checker}; {time.monotonic() - began:.0f} s in all")
    return violations


@pytest.mark.slow
@pytest.mark.timeout(180 + KILLS)
def test_a_campaign_of_kills(make_site: MakeSite, tally: Tally) -> None:
    left = KILLS
    while left:
        kills = min(left, SLICE)
        left -= kills
        seed = random.randrange(1 << 30)
        violations = run_slice(make_site, kills, seed, tally)
        assert not violations, f"seed {seed}: " + "\n".join(violations)
