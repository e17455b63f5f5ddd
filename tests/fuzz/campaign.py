"""Owns one campaign over one harness: the known inputs first, then new ones, and what is kept of a finding.

The same seed makes the same inputs. Findings are made smaller and written to build/fuzz/NAME/crash-*, each with
its traceback beside it; of one kind only the first is kept, and the campaign goes on.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.harness import Harness
from tests.fuzz.mutate import Mutator
from tests.fuzz.watch import Finding, attempt, limits, smaller

PLACE = Path(__file__).resolve().parents[2] / "build" / "fuzz"
MOST_FINDINGS = 20
PROGRESS_S = 2.0


@dataclass(slots=True)
class Outcome:
    """What a campaign did. seconds: of the clock; slowest_s: of processor time, the slowest input's."""

    name: str
    inputs: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Return inputs per second."""
        return self.inputs / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        """Return one line for people."""
        found = f"{len(self.findings)} findings" if self.findings else "nothing found"
        return (
            f"{self.name:<10} {self.inputs:>9,} inputs in {self.seconds:7.1f} s, {self.rate:>8,.0f}/s, "
            f"slowest {self.slowest_s * 1000:6.1f} ms, {found}"
        )


def run(
    harness: Harness, inputs: int, seed: int, *, seconds: float | None = None,
    tell: Callable[[Outcome], None] = lambda _outcome: None, place: Path | None = None,
) -> Outcome:  # fmt: skip
    """Try so many inputs, the known ones at least, for `seconds` at most; tell: called now and then."""
    outcome = Outcome(harness.name)
    known = harness.known()
    mutator = Mutator(random.Random(f"{harness.name}:{seed}"), known, harness.words, harness.max_bytes)
    began = told = time.perf_counter()
    with limits():
        while outcome.inputs < max(inputs, len(known)) and len(outcome.findings) < MOST_FINDINGS:
            data = known[outcome.inputs] if outcome.inputs < len(known) else mutator.make()
            before = time.process_time()
            finding = attempt(harness.function, data)
            outcome.slowest_s = max(outcome.slowest_s, time.process_time() - before)
            outcome.inputs += 1
            if finding is not None and finding.kind not in {one.kind for one in outcome.findings}:
                _keep(harness, finding, outcome, place or PLACE)
            now = time.perf_counter()
            outcome.seconds = now - began
            if now - told > PROGRESS_S:
                told = now
                tell(outcome)
            if seconds is not None and outcome.seconds > seconds and outcome.inputs >= len(known):
                break
    return outcome


def _keep(harness: Harness, finding: Finding, outcome: Outcome, place: Path) -> None:
    best = smaller(harness.function, finding)
    outcome.findings.append(best)
    folder = place / harness.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"crash-{hashlib.sha256(best.data).hexdigest()[:12]}"
    path.write_bytes(best.data)
    path.with_name(path.name + ".txt").write_text(f"{best.kind}\n\n{best.told}\n{best.data!r}\n", "utf-8")
    outcome.files.append(path)
