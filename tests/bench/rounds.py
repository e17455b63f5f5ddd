"""Owns the interleaved rounds: every row of every case once, one after the other, then all of it again.

What else the machine does falls on all rows alike that way; compare ratios within one run, not rates of two.
Every other round takes the rows of a case backwards, so that none always comes behind the same neighbour.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from tests.bench.cases import BESIDE_S, Case, Row, descriptors_needed
from tests.bench.kit import Kit, Load, load, load_beside
from tests.bench.rivals import CROWDS, Rivals, Way
from tests.bench.sums import Sample
from tests.process import memory

WARM_UP_S = "0.2"
BEFORE_S = 0.3  # how much earlier than the load what runs beside it begins


def on_cpu_ns(pid: int) -> tuple[int, int]:
    """Return how long a process (its first thread) has run and how long it has waited for a core, in ns."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as text:
        ran, waited, _slices = text.read().split()
        return int(ran), int(waited)


class Rounds:
    """Runs cases and keeps their samples.

    skipped: what was left out, and why; failed: what went wrong, and how.
    """

    def __init__(self, kit: Kit, rivals: Rivals, descriptors: int, seconds: float) -> None:
        self.samples: dict[tuple[str, str], list[Sample]] = {}
        self.skipped: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self._kit = kit
        self._rivals = rivals
        self._descriptors = descriptors
        self._seconds = seconds

    def run(self, cases: Sequence[Case], rounds: int, told: Callable[[str], None] | None = None) -> None:
        """Run all rows so many times; told(text) hears how far it is."""
        tell = told or (lambda text: print(text, file=sys.stderr, flush=True))
        for number in range(rounds if cases else 0):
            tell(f"round {number + 1} of {rounds}: {cases[0].title} ... {cases[-1].title}")
            for case in cases:
                for row in reversed(case.rows) if number % 2 else case.rows:
                    try:
                        self._run(case, row)
                    except (AssertionError, subprocess.TimeoutExpired) as error:
                        self.failed[f"{case.title}, {row.label}, round {number + 1}"] = str(error)[:500]

    def _run(self, case: Case, row: Row) -> None:
        way = self._possible(case, row)
        if way is None:
            return
        key = (case.key, row.label)
        if key not in self.samples:
            self._load(way, case, Row(row.label, row.way, row.options), [*self._rate(case), "-t", WARM_UP_S])
        seconds = max(self._seconds, BESIDE_S) if row.beside else self._seconds
        sample = self._load(way, case, row, [*self._rate(case), "-t", f"{seconds:g}"])
        self.samples.setdefault(key, []).append(sample)

    def _possible(self, case: Case, row: Row) -> Way | None:
        needed = descriptors_needed(row, case.clients)
        if needed > self._descriptors:
            text = f"needs {needed:,} descriptors in one process, {self._descriptors:,} are allowed"
            self.skipped[f"{case.title}, {row.label}"] = text
            return None
        way = self._rivals.way(row.way)
        if way is None:
            self.skipped[row.label] = self._rivals.absent[row.way]
        return way

    def _rate(self, case: Case) -> list[str]:
        """Return the rate of an open loop: half of what the row of the same round reached."""
        if not case.half_rate_of:
            return []
        whole = self.samples.get((case.half_rate_of, "lonc"))
        assert whole, f"no rate of {case.half_rate_of}"
        return ["-R", f"{whole[-1].rate / 2:.0f}"]

    def _load(self, way: Way, case: Case, row: Row, extra: Sequence[str]) -> Sample:
        crowd = row.way in CROWDS
        if crowd:
            memory.forget_peak(way.pid)
        ran, waited = on_cpu_ns(way.pid) if way.pid else (0, 0)
        began = time.monotonic_ns()
        found = self._ask([*way.target(), *case.options, *row.options, *extra], way, row)
        assert found.good, f"{case.title}, {row.label}: {found.line} {found.errors}"
        figures = found.figures
        sums = row.way != "socat" and way.pid != 0  # socat serves each client by a process of its own
        ran_now, waited_now = on_cpu_ns(way.pid) if sums else (0, 0)
        return Sample(
            rate=figures["req/s"], p50=figures["p50"], p99=figures["p99"], p999=figures["p99.9"],
            longest=figures["max"], cpu=(ran_now - ran) / figures["requests"] / 1000 if sums else None,
            memory=memory.peak(way.pid) / memory.KIB if crowd else None,
            waited=(waited_now - waited) / (time.monotonic_ns() - began) if sums else None,
        )  # fmt: skip

    def _ask(self, arguments: Sequence[str], way: Way, row: Row) -> Load:
        """Run the load, and beside it what the row wants there: from a little before its beginning to its end."""
        wrapper = self._rivals.cores.load_wrapper()
        if not row.beside:
            return load(self._kit, *arguments, wrapper=wrapper)
        lasting = ["-t", f"{max(self._seconds, BESIDE_S) + BEFORE_S:g}"]
        with load_beside(self._kit, *way.target(), *row.beside, *lasting, wrapper=wrapper):
            return load(self._kit, *arguments, "-w", str(BEFORE_S), wrapper=wrapper)
