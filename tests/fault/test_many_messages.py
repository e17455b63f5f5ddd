"""Row 15: a directory with very many delayed files: they all go, once and in order; what a look costs is bounded.

Counted is in calls of the system, not in seconds. LONC_TEST_MESSAGES says how many files (default 1000; the row:
100000).
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.fault.stracing import attached, calls_in
from tests.process.harness import stays, wait_until
from tests.proof.tally import Tally
from tests.unit.delayed_ground import FaultyFiles, Ground

MESSAGES = int(os.environ.get("LONC_TEST_MESSAGES") or 1000)
LIMIT_S = 60 + MESSAGES / 100


def fill(place: Path, peer: str, count: int) -> None:
    """Write so many messages, numbered in their order, all old."""
    for number in range(count):
        path = place / f"{1_000_000_000 + number // 100}.{number % 100}.7.put.{peer}"
        path.write_bytes(b"put:msu:u:n=%d\n" % number)
        path.chmod(0o600)
        os.utime(path, (1e9, 1e9))


def test_a_look_costs_the_same_few_calls_however_many_files(tmp_path: Path, tally: Tally) -> None:
    """One listing, and nothing for each file; as long as nothing changes not even that."""
    costs = []
    for count in (10, MESSAGES):
        place = tmp_path / str(count)
        place.mkdir()
        ground = Ground(place)
        fill(ground.path, "p1", count)
        past = ground.clock.now_wall - 100
        os.utime(ground.path, (past, past))
        files = FaultyFiles(-1, lambda: None)
        queue = ground.queue(files=files)
        assert queue.try_lock().taken
        files.calls.clear()
        found = queue.look(ground.clock.mono, force=True).ready
        assert len(found) == count
        first = Counter(files.calls)
        files.calls.clear()
        for _ in range(10):
            ground.clock.advance(15)
            queue.look(ground.clock.mono)
        costs.append((first, Counter(files.calls)))
        tally.add(inputs=count, faults=1)
        files.die()
    print(f"\ncalls of a first look and of ten more: {costs[1]}")
    assert costs[0] == costs[1]
    assert sum(costs[1][1].values()) <= 10 * 4


def looks_in(trace: Path) -> list[tuple[str, int]]:
    """Return the calls of a trace that look at files."""
    return calls_in(trace, frozenset({"newfstatat", "openat", "lstat", "stat", "statx"}))


@pytest.mark.slow
@pytest.mark.timeout(120 + MESSAGES // 50)
def test_very_many_go_once_each_and_in_order_beside_those_of_others(make_site: MakeSite, tally: Tally) -> None:
    """Messages of one peer, as many of one that is away, and as many of nobody in the table."""
    site = make_site(["msul1", "away1"], settings={"loncDelayedScan": "0.5", "loncMaxAttempts": "0"})
    peer = site.peer("msul1")
    for name in ("msul1", "away1", "nobody1"):
        fill(site.delayed_dir, name, MESSAGES)
    site.start()
    wait_until(lambda: peer.stats()["executed"] >= MESSAGES, LIMIT_S, "all messages")
    wait_until(lambda: len(site.waiting()) == 2 * MESSAGES, LIMIT_S, "no other file")
    assert [line for line in peer.executed() if "put:" in line] == [f"put:msu:u:n={n}" for n in range(MESSAGES)]
    assert site.ask("msul1", b"echo:x", LIMIT_S) == b"x"
    stays(lambda: len(site.waiting()) == 2 * MESSAGES, 0.5, "the others' messages")
    tally.add(inputs=MESSAGES, faults=2)
    # looks go on, each of them with few calls, though most files are of others
    trace = site.root / "trace"
    with attached(site.child("msul1"), output=trace):
        wait_until(lambda: len(looks_in(trace)) >= 3, 30, "looks")
    assert len(looks_in(trace)) < 100
    shutil.rmtree(site.delayed_dir)
