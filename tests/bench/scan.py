"""Owns what a great delayed directory costs: listing it, and what idle children spend on looking at it.

Listing and one look are measured with the daemon's own code in this process. An idle child looks when it wakes
for all that it does from time to time (its beat, the scoreboard): these wake-ups as a whole are measured in a real
daemon whose children wake every second, beside a directory full of files for a peer that is down.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lonc.delayed import DelayedQueue
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from tests.bench.idle import wait_all_ready
from tests.bench.rounds import on_cpu_ns
from tests.fakes.crowd import address_of, name_of
from tests.process.harness import Entry, Site, wait_until
from tests.process.test_scale import crowd

MANY = 100_000
PEERS = 1000  # for which the goal stands
CHILDREN = 100  # so many are measured
SCAN_S = 15.0  # loncDelayedScan by default
FAST_SCAN_S = 1.0
WATCHED_S = 6.0
DOWN = Entry("down", "127.255.255.254")
OLD_S = 1000.0
IDLE_LOOKS = 20
REST_S, BUSY_US = 0.5, 5000.0  # children that use less than so many us of a second are at rest


@dataclass(frozen=True, slots=True)
class Listing:
    """A directory of MANY files.

    all_ms: listing it when all are one peer's; look_us: processor time of a look when nothing has changed and each
    of PEERS peers has its share; wake_us: of a child's whole wake-up in which it looks.
    """

    all_ms: float
    look_us: float
    wake_us: float

    @property
    def look_share(self) -> float:
        """Return the share of one core that PEERS children take for their looks, each every SCAN_S seconds."""
        return self.look_us * PEERS / 1e6 / SCAN_S

    @property
    def wake_share(self) -> float:
        """Return the share of one core that PEERS children take for all that they do when idle."""
        return self.wake_us * PEERS / 1e6 / SCAN_S


def listing(count: int = MANY, children: int = CHILDREN, seconds: float = WATCHED_S) -> Listing:
    """Measure listing, and looking again."""
    all_ms, _ = _look(count, 1)
    _, look_us = _look(count, PEERS)
    return Listing(all_ms, look_us, _wake_us(count, children, seconds))


def _fill(place: Path, count: int, peers: Sequence[str]) -> None:
    """Put files for peers there in turn, dated in the past by their names; the directory itself is as old."""
    old = time.time() - OLD_S
    for number in range(count):
        path = f"{place}/{int(old)}.{number}.1.echo.{peers[number % len(peers)]}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    os.utime(place, (old, old))


def _look(count: int, peers: int) -> tuple[float, float]:
    """Return ms of the best of three listings and us of processor time of one look when nothing has changed."""
    place = Path(tempfile.mkdtemp(prefix="files-", dir="/tmp"))
    clock = SystemClock()
    try:
        ids = [f"peer{number}" for number in range(peers)]
        _fill(place, count, ids)
        queue = DelayedQueue(str(place), ids[0], ids, files=SystemFiles(), clock=clock)
        times = []
        for _ in range(3):
            began = time.monotonic()
            queue.look(clock.monotonic(), force=True)
            times.append((time.monotonic() - began) * 1000)
        began_ns = time.process_time_ns()
        for _ in range(IDLE_LOOKS):
            queue.look(clock.monotonic())
        return min(times), (time.process_time_ns() - began_ns) / IDLE_LOOKS / 1000
    finally:
        shutil.rmtree(place)


def _wake_us(count: int, children: int, seconds: float) -> float:
    """Return the processor time of an idle child's wake-up in us, beside so many files of a peer that is down."""
    entries = [Entry(name_of(number), address_of(number)) for number in range(children)]
    site = Site([*entries, DOWN], settings={"loncDelayedScan": f"{FAST_SCAN_S:g}"})
    try:
        _fill(site.delayed_dir, count, [DOWN.id])
        with crowd(site.port, children):
            site.start()
            pids = wait_all_ready(site, children)
            wait_until(lambda: _used_us(pids, REST_S) < children * REST_S * BUSY_US, 60, "children at rest")
            found = _used_us(pids, seconds) / seconds / children * FAST_SCAN_S
            site.stop()
            return found
    finally:
        site.cleanup()


def _used_us(pids: list[int], seconds: float) -> float:
    before = sum(on_cpu_ns(pid)[0] for pid in pids)
    time.sleep(seconds)
    return (sum(on_cpu_ns(pid)[0] for pid in pids) - before) / 1000
