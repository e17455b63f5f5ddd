"""Owns what is known of a mutant after a run, and the sums of a part."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

KILLED: Final = "killed"
TIMEOUT: Final = "timed out"
SURVIVED: Final = "survived"
OPEN: Final = "not tried"
_TIMEOUTS: Final = frozenset({-24, 24, 36, 152, 255, -9})  # SIGXCPU in all its forms, mutmut's own; ours is -9
_ALIVE: Final = frozenset({0, 5, 33})  # the tests passed; there was none


def verdict(code: int | None) -> str:
    """Return what an exit code of pytest, or minus the signal that ended it, says of the mutant."""
    if code is None:
        return OPEN
    if code in _ALIVE:
        return SURVIVED
    return TIMEOUT if code in _TIMEOUTS else KILLED


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: its file, the function it is in (`Class.method`, empty outside), and what became of it.

    before, after: the lines that differ, stripped and joined by a blank; after is empty when they were removed.
    """

    file: str
    function: str
    before: str
    after: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Sum:
    """The numbers of one part; percent is of those tried, a time limit counting as noticed."""

    mutants: int
    killed: int
    timed_out: int
    survived: int
    not_tried: int

    @property
    def percent(self) -> float:
        """Return how many of 100 were noticed; 0.0 when none was tried."""
        tried = self.mutants - self.not_tried
        return 100.0 * (self.killed + self.timed_out) / tried if tried else 0.0


def total(mutants: Iterable[Mutant]) -> Sum:
    """Return the sums over some mutants."""
    verdicts = [mutant.verdict for mutant in mutants]
    counts = [verdicts.count(word) for word in (KILLED, TIMEOUT, SURVIVED, OPEN)]
    return Sum(len(verdicts), *counts)


def difference(before: str, after: str) -> tuple[str, str]:
    """Return the lines of each text that the other has not, each joined into one."""
    old, new = before.splitlines(), after.splitlines()
    gone, come = [], []
    for tag, from_old, to_old, from_new, to_new in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if tag != "equal":
            gone += old[from_old:to_old]
            come += new[from_new:to_new]
    return " ".join(" ".join(gone).split()), " ".join(" ".join(come).split())
