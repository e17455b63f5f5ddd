"""Owns what a run says: sections, a mark and a sentence for each case, what was expected, and a sum."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tests.conformance.model import SECTIONS
from tests.conformance.runner import FAILED, OURS, PASSED, SKIPPED, Outcome

MARKS = {PASSED: "✔", FAILED: "✖", OURS: "≠", SKIPPED: "-"}
PLAIN_MARKS = {PASSED: "ok", FAILED: "FAILED", OURS: "ours", SKIPPED: "-"}


class Report:
    """Writes outcomes as they come."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self._section = 0
        try:
            "".join(MARKS.values()).encode(out.encoding or "ascii")
            self._marks = MARKS
        except UnicodeEncodeError:
            self._marks = PLAIN_MARKS

    def tell(self, outcome: Outcome) -> None:
        """Write one outcome, under its section's title."""
        if outcome.section != self._section:
            self._section = outcome.section
            self._say(f"\n{outcome.section}. {SECTIONS[outcome.section]}")
        again = f" (attempt {outcome.attempts})" if outcome.attempts > 1 else ""
        ours = f" [ours: {outcome.ours}]" if outcome.state == OURS else ""
        self._say(f"  {self._marks[outcome.state]} {outcome.number}: {outcome.sentence}{ours}{again}")
        if outcome.reason:
            self._say(f"      not judged: {outcome.reason}")
        if outcome.expected:
            self._say(f"      expected: {outcome.expected}")
            self._say(f"      got:      {outcome.got}")

    def sum_up(self, outcomes: Sequence[Outcome]) -> int:
        """Write the closing line and return the exit status: 1 when a sentence does not hold."""
        counts = Counter(outcome.state for outcome in outcomes)
        seconds = sum(outcome.seconds for outcome in outcomes)
        again = sum(outcome.attempts > 1 for outcome in outcomes)
        more = f", {again} needed more than one attempt" if again else ""
        self._say(
            f"\n{len(outcomes)} sentences, {counts[PASSED]} passed, {counts[FAILED]} failed, "
            f"{counts[OURS]} ours alone, {counts[SKIPPED]} not judged{more}, {seconds:.1f} s"
        )
        return 1 if counts[FAILED] else 0

    def _say(self, line: str) -> None:
        print(line, file=self.out, flush=True)


def write_json(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write all outcomes as one JSON object: `counts` by state, `cases` in the order in which they ran."""
    counts = Counter(outcome.state for outcome in outcomes)
    cases = [outcome.plain() for outcome in outcomes]
    path.write_text(json.dumps({"counts": counts, "cases": cases}, indent=1) + "\n", "utf-8")
