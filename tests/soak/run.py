"""Owns a soak from its first fault to its verdict: faults by a seed, traffic, rests in which everything is judged.

Between two rests up to two faults are at work at once. In a rest nothing is: every message is gone, every request
answered, so that the history up to there can be judged as a whole and the meters read what is left over. In the
second and the last quarter the parent is never renewed, so that what it leaks has time to show; both begin with
restarts, since a program that was handed over to has more than one that was just started.
"""

from __future__ import annotations

import heapq
import itertools
import random
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from tests.fakes.crowd import address_of, name_of
from tests.history.peers import Londs, entries
from tests.history.world import World
from tests.process.harness import Entry, Proxy, Site, wait_until
from tests.process.peer import next_address
from tests.process.restarting import restart
from tests.soak import meters
from tests.soak.faults import Fault, Ground, draw
from tests.soak.meters import Sample

GROUPS, EACH = 4, 5
PEERS = GROUPS * EACH
LINES = 4  # peers behind a bad line
AT_ONCE = 2
PAUSE_S = 1.5  # between the beginnings of two faults, on average
PROGRESS_S = 10.0
REST_S = 60.0  # between two rests; in a short run a sixteenth of it, or SHORT_REST_S
SHORT_REST_S = 12.0
HANDED_OVER = 2
LEAST_RESTS = 2  # on a machine that is so slow that a run has no time for them, it lasts longer
DISK = "size=24m"


@dataclass(slots=True)
class Verdict:
    """What came of a soak; good when there are no violations."""

    seed: int
    seconds: float = 0.0
    inputs: int = 0
    faults: int = 0
    violations: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def growth(self) -> str:
        """Return the growth of memory and the largest of a count, for a table; "" with too few samples."""
        if len(self.samples) < meters.ENOUGH:
            return ""
        grown = meters.growth(self.samples)
        counts = max(grown[name] for name in grown if name not in meters.MEMORIES)
        return f"parent {grown['parent_kib']:+.1%}, child {grown['child_kib']:+.1%}, counts {max(counts, 0):+.0%}"


def hosts() -> list[Entry]:
    """Return the table: the first LINES peers have the address of a bad line."""
    behind = [Entry(name_of(number), next_address()) for number in range(LINES)]
    return behind + entries(PEERS)[LINES:]


@contextmanager
def small_disk(site: Site) -> Iterator[bool]:
    """Put the logs on a small disk of their own, if that can be; give whether it could."""
    command = ["mount", "-t", "tmpfs", "-o", DISK, "lonc-test", str(site.logs_dir)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            # lazily: a daemon that is only ended with its site may still use it
            subprocess.run(["umount", "--lazy", str(site.logs_dir)], capture_output=True, check=False)


class Soak:
    """One soak; `say` gets a line now and then."""

    def __init__(self, site: Site, seconds: float, seed: int, say: Callable[[str], None]) -> None:
        self.verdict = Verdict(seed)
        self._site = site
        self._seconds = seconds
        self._say = say
        self._chance = random.Random(seed)
        self._running: list[tuple[float, int, Fault]] = []  # by the time at which each is to be mended
        self._order = itertools.count()
        self._began = self._said_at = 0.0

    def run(self) -> Verdict:
        """Run to the end, or to the first violation."""
        site = self._site
        lines = {
            number: Proxy(site.root, name_of(number), site.entries[number].address, site.port, address_of(number))
            for number in range(LINES)
        }
        site.proxies |= {name_of(number): line.start() for number, line in lines.items()}
        londs = Londs(site.root, site.port, GROUPS, EACH, "7:100")
        with small_disk(site) as small, World(site, londs, askers=3, slow=1, writes_per_s=6) as world:
            ground = Ground(world, lines, self._chance)
            ground.disk_is_small = small
            world.begin()
            self._began = self._said_at = time.monotonic()
            try:
                self._go(world, ground)
            finally:
                self._mend_all()
                self._count(world)
            if not self.verdict.violations:
                self.verdict.violations += meters.leaks(self.verdict.samples)
                site.stop()
        return self.verdict

    def _go(self, world: World, ground: Ground) -> None:
        rest_s = min(REST_S, max(SHORT_REST_S, self._seconds / 16))
        renewed = True
        while not self.verdict.violations:
            spent_s = time.monotonic() - self._began
            if spent_s >= self._seconds and len(self.verdict.samples) >= LEAST_RESTS:
                return
            until = time.monotonic() + rest_s
            renewing = int(4 * spent_s / self._seconds) % 2 == 0
            if not renewing and renewed:
                self._renew(world)
            renewed = renewing
            while time.monotonic() < until:
                self._step(world, ground, renewing)
            self._mend_all()
            self._rest(world)

    def _renew(self, world: World) -> None:
        """Restart, so that the program is one that was handed over to as often as ever makes a difference."""
        for _ in range(HANDED_OVER):
            restart(world.site)
            world.kinds["HUP"] += 1

    def _step(self, world: World, ground: Ground, renewing: bool) -> None:
        """Begin a fault where there is room, mend those whose time has come, and let a moment pass."""
        if len(self._running) < AT_ONCE:
            self._begin(draw(ground, renewing=renewing))
        end = time.monotonic() + self._chance.uniform(0, 2 * PAUSE_S)
        while time.monotonic() < end:
            while self._running and self._running[0][0] <= time.monotonic():
                self._mend(heapq.heappop(self._running)[2])
            time.sleep(0.05)
        world.pump()
        if world.checker.count:
            self.verdict.violations = world.checker.violations
        if time.monotonic() - self._said_at >= PROGRESS_S:
            self._said_at = time.monotonic()
            faults = sum(world.kinds.values())
            self._say(f"{self._said_at - self._began:7.0f} s: {faults} faults; {world.checker}")

    def _begin(self, fault: Fault) -> None:
        lasts_s = next(fault, None)
        if lasts_s is not None:
            heapq.heappush(self._running, (time.monotonic() + lasts_s, next(self._order), fault))

    @staticmethod
    def _mend(fault: Fault) -> None:
        assert next(fault, None) is None, "a fault has one end"

    def _mend_all(self) -> None:
        while self._running:
            self._mend(heapq.heappop(self._running)[2])

    def _rest(self, world: World) -> None:
        """Judge the history up to here, and take a sample when nothing is left to do."""
        self.verdict.violations = world.rest()
        if self.verdict.violations:
            return
        wait_until(world.all_ready, 90, "ready links to all peers")
        wait_until(lambda: len(world.site.children()) == PEERS, 60, "as many children as peers")
        sample = wait_until(lambda: steady(world.site), 60, "a daemon at rest")
        assert sample is not None
        self.verdict.samples.append(sample)
        self._say(f"{time.monotonic() - self._began:7.0f} s: at rest, {self.verdict.samples[-1]}")
        world.go_on()

    def _count(self, world: World) -> None:
        stored = sum(one.stored for one in world.checker.peers.values())
        self.verdict.inputs = world.checker.requests.asked + stored
        self.verdict.kinds = world.kinds
        self.verdict.faults = sum(world.kinds.values())
        self.verdict.seconds = time.monotonic() - self._began


def steady(site: Site) -> Sample | None:
    """Return a sample when two in a row show the same counts: a restart or a report may be at work just now."""
    try:
        first = meters.take(site)
        time.sleep(0.3)
        second = meters.take(site)
    except (OSError, psutil.Error, statistics.StatisticsError):
        return None
    counts = [name for name in first.__slots__ if name not in meters.MEMORIES]
    return second if all(getattr(first, name) == getattr(second, name) for name in counts) else None
