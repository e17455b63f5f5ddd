"""Owns the carrying out of one step: pytest with a file for the counts, or the removal of a feature."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.proof import ledger
from tests.proof import removal as removing
from tests.proof.ledger import Record
from tests.proof.plan import Step
from tests.proof.tally import VARIABLE

PYTEST = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "--timeout=7200"]
SIDE_BY_SIDE = ["-n", "4", "--maxschedchunk", "1"]
NOTHING_COLLECTED = 5  # pytest's exit status
RETRIED = 4  # more failures than that are no accident of the machine's
INTERRUPTED_S = 120.0  # for the end of all that a test has started
COPY = re.compile(r"/[^\s']*/build/removal/[^/\s']+/tree/")  # where a removal was made says nothing to anybody
WRITTEN = ledger.TREE / "build" / "proof"


@dataclass
class Counted:
    """What the tests of one step counted."""

    runs: int = 0
    inputs: int = 0
    faults: int = 0
    violations: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def add(self, place: Path, broken: bool) -> None:
        """Add what a run of pytest wrote to place; broken: it ended otherwise than with its tests' results."""
        text = place.read_text("utf-8") if place.exists() else ""
        before = len(self.failed)
        for line in map(json.loads, text.splitlines()):
            if line["outcome"] == "skipped":
                self.skipped.append((line["test"], line["reason"]))
                continue
            self.runs += 1
            self.inputs += line["inputs"]
            self.faults += line["faults"]
            self.violations += line["violations"]
            if line["outcome"] == "failed":
                self.failed.append(line["test"])
        if broken and len(self.failed) == before:
            self.violations += 1
            self.failed.append("(pytest itself)")


def pytest(step: Step, arguments: list[str], counted: Counted) -> None:
    """Run pytest once and add its counts; what it says goes to the step's file below build/proof."""
    said = WRITTEN / (step.name.replace(" ", "-").replace("/", "-of-") + ".log")
    with tempfile.TemporaryDirectory() as place:
        tally = Path(place) / "tally"
        environment = os.environ | step.sizes | {VARIABLE: str(tally)}
        with (
            said.open("a", encoding="utf-8") as out,
            subprocess.Popen(
                [*PYTEST, *arguments], cwd=ledger.TREE, env=environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT,
            ) as running,
        ):  # fmt: skip
            try:
                status = running.wait()
            except KeyboardInterrupt:  # pytest has heard it too: it ends the daemons of its tests first
                running.wait(INTERRUPTED_S)
                raise
        counted.add(tally, status not in {0, NOTHING_COLLECTED})


def tested(step: Step) -> tuple[Counted, list[str]]:
    """Run the step's tests; return the counts and the names of those that passed only the second time, alone."""
    counted = Counted()
    tests = list(step.tests)
    if step.side_by_side:
        pytest(step, [*tests, "-m", "not timing", *SIDE_BY_SIDE], counted)
        pytest(step, [*tests, "-m", "timing"], counted)
    else:
        pytest(step, tests, counted)
    failed = list(counted.failed)
    if not step.side_by_side or not 0 < len(failed) <= RETRIED or not all("::" in name for name in failed):
        return counted, []
    alone = Counted()
    pytest(step, failed, alone)
    if alone.violations:
        return counted, []
    counted.violations = 0
    return counted, failed


def removed(step: Step) -> tuple[Counted, dict[str, str]]:
    """Take the step's feature away and return the counts, and which test noticed it and how."""
    assert step.promise is not None, step
    assert step.removal is not None, step
    result = removing.run(step.promise, step.removal)
    noticed = result.noticed
    counted = Counted(runs=1, inputs=1, faults=1, violations=0 if noticed else 1)
    if not noticed:
        counted.failed.append(step.name)
    return counted, {"test": result.test, "says": COPY.sub("", result.message)}


def carry_out(step: Step, number: int) -> Record:
    """Carry out one step of this round and return its record, which is not in the ledger yet."""
    WRITTEN.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    again: list[str] = []
    notes: dict[str, str] = {}
    if step.removal is not None:
        counted, notes = removed(step)
    else:
        counted, again = tested(step)
    if counted.violations:
        notes["failed"] = ", ".join(counted.failed)
    return Record(
        step.name, number, ledger.now(), ledger.commit(), ledger.machine(), round(time.monotonic() - began, 1),
        counted.runs, counted.inputs, counted.faults, counted.violations,
        tuple(again), tuple(counted.skipped), notes,
    )  # fmt: skip
