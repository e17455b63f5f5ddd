"""Owns the list of steps that make a whole proof, in order, and how long each takes.

A step is a row of the fault matrix, a slice of a campaign, or the removal of one feature: what may be run by
itself, counts by itself, and is one line of the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.proof.campaigns import CAMPAIGNS
from tests.proof.ledger import Record
from tests.proof.promises import PROMISES, Promise, Removal
from tests.proof.rows import ROWS

REMOVALS = 3  # at a time


@dataclass(frozen=True, eq=False)
class Step:
    """One step; tests are pytest's node ids, sizes go into the environment, seconds are a guess."""

    name: str
    title: str
    seconds: float
    tests: tuple[str, ...] = ()
    sizes: dict[str, str] = field(default_factory=dict)
    side_by_side: bool = False
    promise: Promise | None = None
    removal: Removal | None = None


def row_steps() -> list[Step]:
    """Return one step for each row of the fault matrix."""
    return [
        Step(f"row {row.number}", row.fault, row.seconds, row.tests, dict(row.sizes), side_by_side=True)
        for row in ROWS
    ]


def campaign_steps() -> list[Step]:
    """Return the slices of all campaigns."""
    return [
        Step(f"{one.name} {number}/{one.slices}", one.sentence, one.seconds, one.tests, one.sizes)
        for one in CAMPAIGNS
        for number in range(1, one.slices + 1)
    ]


def removal_steps() -> list[Step]:
    """Return one step for each removal of a feature, named after its promise."""
    return [
        Step(f"without {one.name}.{number}", removal.what, 15.0, promise=one, removal=removal)
        for one in PROMISES
        for number, removal in enumerate(one.removals, 1)
    ]


def all_steps() -> list[Step]:
    """Return the whole proof."""
    return [*row_steps(), *campaign_steps(), *removal_steps()]


def chosen(words: list[str]) -> list[Step]:
    """Return the steps that these words name: a whole name, its first word, or all without words.

    ValueError: a word that names none; the message lists what there is.
    """
    steps = all_steps()
    if not words:
        return steps
    found = []
    for word in words:
        named = [step for step in steps if step.name == word or step.name.split(maxsplit=1)[0] == word]
        if not named:
            names = ", ".join(dict.fromkeys(step.name.split(maxsplit=1)[0] for step in steps))
            raise ValueError(f"no step {word!r}; there are: {names} (each a group), or one by its whole name")
        found += named
    return [step for step in steps if step in found]


def expected_seconds(steps: list[Step], records: list[Record]) -> float:
    """Return how long these steps will take: as long as the last time, or as guessed."""
    last = {record.step: record.seconds for record in records}
    each = {step: last.get(step.name, step.seconds) / (REMOVALS if step.removal else 1) for step in steps}
    return sum(each.values())
