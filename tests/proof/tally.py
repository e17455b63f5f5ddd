"""Owns the counts of the tests: what each tried, what it broke on purpose, and what it saw going wrong.

With LONC_TALLY=FILE in the environment each test appends one line of JSON to that file; without it, nothing is
written. The proof (tests/proof) adds these lines up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

VARIABLE = "LONC_TALLY"


@dataclass
class Tally:
    """What one test counted; called is whether it has counted anything itself."""

    inputs: int = 0
    faults: int = 0
    violations: int = 0
    called: bool = False

    def add(self, inputs: int = 0, faults: int = 0, violations: int = 0) -> None:
        """Count so many things tried, faults injected, and breaches of a promise seen."""
        self.inputs += inputs
        self.faults += faults
        self.violations += violations
        self.called = True


TALLY = pytest.StashKey[Tally]()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Return this test's counts."""
    counts: Tally = request.node.stash.setdefault(TALLY, Tally())
    return counts


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.CallInfo[None], None]:
    """Append the line of this test, once its body has ended or was skipped."""
    outcome = yield
    place = os.environ.get(VARIABLE, "")
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's Result, untyped in hook wrappers
    if not place or (call.when != "call" and not (call.when == "setup" and report.outcome != "passed")):
        return
    counts = item.stash.get(TALLY, Tally())
    if not counts.called:
        counts = Tally(inputs=1, faults=1)
    skipped = report.outcome == "skipped"
    line = {
        "test": item.nodeid,
        "outcome": report.outcome,
        "seconds": round(call.duration, 3),
        "inputs": 0 if skipped else counts.inputs,
        "faults": 0 if skipped else counts.faults,
        "violations": max(counts.violations, report.outcome == "failed"),
        "reason": report.longrepr[2] if skipped and isinstance(report.longrepr, tuple) else "",
    }
    with Path(place).open("a", encoding="utf-8") as out:  # one write, appended: workers side by side share it
        out.write(json.dumps(line) + "\n")
