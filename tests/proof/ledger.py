"""Owns doc/proof.jsonl: one line of JSON for each step of the proof that was carried out, and their sums.

The file only grows: every round of the proof, on any machine, adds its lines, and the report is made from all of
them. A step is found again by its name. When a defect was mended, what was counted before is no proof any more:
forget() takes a step's lines out, so that it is run again.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

TREE = Path(__file__).resolve().parents[2]
PLACE = TREE / "doc" / "proof.jsonl"


@dataclass(frozen=True)
class Record:
    """One step as it was run once.

    runs: tests that ran; again: tests that failed beside others and passed alone, by name; skipped: test and
    reason; notes: what else is to be shown, word -> text.
    """

    step: str
    round: int
    date: str = ""
    commit: str = ""
    machine: str = ""
    seconds: float = 0.0
    runs: int = 0
    inputs: int = 0
    faults: int = 0
    violations: int = 0
    again: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


@dataclass
class Sum:
    """What all records of one step come to."""

    rounds: int = 0
    seconds: float = 0.0
    runs: int = 0
    inputs: int = 0
    faults: int = 0
    violations: int = 0
    last: Record | None = None

    def add(self, record: Record) -> None:
        """Add one record; the one added last is the one shown."""
        self.rounds += 1
        self.seconds += record.seconds
        self.runs += record.runs
        self.inputs += record.inputs
        self.faults += record.faults
        self.violations += record.violations
        self.last = record


def machine() -> str:
    """Return this machine in a few words: processors, memory, system, Python."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = psutil.virtual_memory().total / 2**30
    count = psutil.cpu_count() or 0
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{count} x {model or platform.machine()}, {memory:.0f} GiB, {system}"


def commit() -> str:
    """Return the short name of the commit; with `+` when the tree differs from it; empty outside of git."""
    named = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=TREE, capture_output=True, text=True, check=False
    )
    if named.returncode:
        return ""
    paths = ["lonc", "tests", "bin"]  # what decides a result; the ledger itself changes with every step
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", *paths], cwd=TREE, check=False)
    return named.stdout.strip() + ("+" if changed.returncode else "")


def now() -> str:
    """Return the date and time, UTC, to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M")


def read(place: Path = PLACE) -> list[Record]:
    """Return all records, the oldest first; none when there is no file.

    ValueError: a line that is no record; the message names file and line.
    """
    if not place.exists():
        return []
    found = []
    for number, line in enumerate(place.read_text("utf-8").splitlines(), 1):
        try:
            values = json.loads(line)
            values["again"] = tuple(values.get("again", ()))
            values["skipped"] = tuple((test, reason) for test, reason in values.get("skipped", ()))
            found.append(Record(**values))
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{place}, line {number}: not a record of the proof: {error}") from None
    return found


def append(record: Record, place: Path = PLACE) -> None:
    """Add a record; it is one write, so that a run that is ended leaves whole lines."""
    values = {name: value for name, value in dataclasses.asdict(record).items() if value}
    line = json.dumps(values)
    with place.open("a", encoding="utf-8") as out:
        out.write(line + "\n")


def forget(steps: set[str], place: Path = PLACE) -> int:
    """Take the records of these steps out of the file and return how many they were."""
    records = read(place)
    kept = [record for record in records if record.step not in steps]
    fresh = place.with_name(place.name + ".new")
    fresh.write_text("", "utf-8")
    for record in kept:
        append(record, fresh)
    fresh.replace(place)
    return len(records) - len(kept)


def sums(records: list[Record]) -> dict[str, Sum]:
    """Return the sum of each step, by name, in the order in which they first came."""
    found: dict[str, Sum] = {}
    for record in records:
        found.setdefault(record.step, Sum()).add(record)
    return found


def present_round(records: list[Record], steps: list[str]) -> int:
    """Return the round to go on with: the last one, or the next when it has a good record of every step."""
    last = max((record.round for record in records), default=1)
    return last if open_steps(records, steps, last) else last + 1


def open_steps(records: list[Record], steps: list[str], number: int) -> list[str]:
    """Return which of these steps have no good record in this round, in order."""
    good = {record.step for record in records if record.round == number and not record.violations}
    return [step for step in steps if step not in good]
