"""Owns the interleaved rounds: every row of every case once, one after the other, then all of it again.

What else the machine does falls on all rows alike that way; compare ratios within one run, not rates of two.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tests.bench.cases import Case, Row, descriptors_needed
from tests.bench.kit import Kit, load
from tests.bench.rivals import CROWD_CEILING, CROWD_LONC, Rivals, Way
from tests.bench.sums import Sample
from tests.process import memory

WARM_UP_S = "0.2"


def on_cpu_ns(pid: int) -> int:
    """Return the processor time that a process (its first thread) has had so far, in ns."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as text:
        return int(text.read().split()[0])


class Rounds:
    """Runs cases and keeps their samples; skipped: what was left out, and why."""

    def __init__(self, kit: Kit, rivals: Rivals, descriptors: int, seconds: float) -> None:
        self.samples: dict[tuple[str, str], list[Sample]] = {}
        self.skipped: dict[str, str] = {}
        self._kit = kit
        self._rivals = rivals
        self._descriptors = descriptors
        self._seconds = seconds

    def run(self, cases: Sequence[Case], rounds: int, told: Callable[[str], None] | None = None) -> None:
        """Run all rows so many times; told(text) hears how far it is."""
        tell = told or (lambda text: print(text, file=sys.stderr, flush=True))
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}: {cases[0].title} ... {cases[-1].title}")
            for case in cases:
                for row in case.rows:
                    self._run(case, row)

    def _run(self, case: Case, row: Row) -> None:
        way = self._possible(case, row)
        if way is None:
            return
        key = (case.key, row.label)
        if key not in self.samples:
            self._load(way, case, row, [*self._rate(case), "-t", WARM_UP_S])
        sample = self._load(way, case, row, [*self._rate(case), "-t", f"{self._seconds:g}"])
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
        return ["-R", f"{self.samples[(case.half_rate_of, 'lonc')][-1].rate / 2:.0f}"]

    def _load(self, way: Way, case: Case, row: Row, extra: Sequence[str]) -> Sample:
        crowd = row.way in (CROWD_LONC, CROWD_CEILING)
        if crowd:
            memory.forget_peak(way.pid)
        before = on_cpu_ns(way.pid) if way.pid else 0
        arguments = [*way.target(), *case.options, *row.options, *extra]
        found = load(self._kit, *arguments, wrapper=self._rivals.cores.load_wrapper())
        assert found.good, f"{case.title}, {row.label}: {found.line} {found.errors}"
        figures = found.figures
        used = (on_cpu_ns(way.pid) - before) / figures["requests"] / 1000 if way.pid else None
        return Sample(
            rate=figures["req/s"], p50=figures["p50"], p99=figures["p99"], p999=figures["p99.9"],
            longest=figures["max"], cpu=None if row.way == "socat" else used,
            memory=memory.peak(way.pid) / memory.KIB if crowd else None,
        )  # fmt: skip
