"""Owns the reasons of survivors and the page that tells them: doc/mutation.md."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tests.mutation.parts import REASONS
from tests.mutation.results import SURVIVED, Mutant, Sum, total

NO_REASON: Final = "no reason yet"
_SHOWN: Final = 150  # characters of a line of code

HEAD: Final = """# Mutation testing

What this page is for: to know how much of the code the unit tests really hold. A mutant is the code with one small
change; the tests must fail with it. `python -m tests.mutation` makes and runs the mutants, `--report` writes this
page (`tests/mutation/README.md`).

Each change is made in turn: inside functions by mutmut (operators, constants, arguments, assignments, conditions,
texts), outside of functions and in properties by operators of our own (every constant, every element and every
member of the tables, the transition tables among them), and every single statement is taken out once. Left alone
are annotations, decorators, docstrings, imports and `__all__`.

A mutant that runs into the time limit counts as noticed: the tests would not have ended.

| part | mutants | killed | timed out | survived | noticed |
|---|---:|---:|---:|---:|---:|
"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a group of survivors may survive; an empty pattern fits all. A function of None fits any."""

    file: str
    function: str | None
    before: str
    after: str
    why: str

    def fits(self, mutant: Mutant) -> bool:
        """Return whether the mutant belongs to this group."""
        return (
            fnmatchcase(mutant.file, self.file or "*")
            and (self.function is None or fnmatchcase(mutant.function, self.function))
            and re.search(self.before, mutant.before) is not None
            and re.search(self.after, mutant.after) is not None
        )


def reasons(place: Path = REASONS) -> list[Reason]:
    """Return the reasons of the file, in order; KeyError when one has no `why`."""
    tables = tomllib.loads(place.read_text("utf-8")).get("reason", [])
    return [
        Reason(one.get("file", ""), one.get("function"), one.get("before", ""), one.get("after", ""), one["why"])
        for one in tables
    ]


def page(found: dict[str, list[Mutant]], known: list[Reason]) -> tuple[str, list[str]]:
    """Return the text of the page, and what is wrong: parts not run, survivors and reasons without each other."""
    wrong = []
    rows = []
    told = []
    used = set()
    for name, mutants in found.items():
        numbers = total(mutants)
        rows.append(_row(name, numbers))
        if not mutants or numbers.not_tried:
            wrong.append(f"{name}: {numbers.not_tried if mutants else 'all'} mutants were not tried")
        lines: dict[str, list[str]] = {}
        for mutant in mutants:
            if mutant.verdict != SURVIVED:
                continue
            reason = next((one for one in known if one.fits(mutant)), None)
            if reason is None:
                wrong.append(f"{mutant.file}: {mutant.function}: {mutant.before} -> {mutant.after}: {NO_REASON}")
            used.add(reason)
            lines.setdefault(reason.why if reason else NO_REASON, []).append(_line(mutant))
        told.append(f"\n## {name}: the survivors\n")
        told += [f"\n{why}\n\n" + "\n".join(group) + "\n" for why, group in sorted(lines.items())]
    if all(found.values()):
        wrong += [f"a reason fits nothing any more: {one}" for one in known if one not in used]
    return HEAD + "\n".join(rows) + "\n" + "".join(told), wrong


def _row(name: str, numbers: Sum) -> str:
    mutants = f"{numbers.mutants} ({numbers.not_tried} not tried yet)" if numbers.not_tried else numbers.mutants
    counts = f"{mutants} | {numbers.killed} | {numbers.timed_out} | {numbers.survived}"
    return f"| {name} | {counts} | {numbers.percent:.1f} % |"


def _line(mutant: Mutant) -> str:
    place = f"{mutant.file}, {mutant.function}" if mutant.function else mutant.file
    if not mutant.after:
        return f"- {place}: without {_code(mutant.before)}"
    return f"- {place}: {_code(mutant.before)} becomes {_code(mutant.after)}"


def _code(text: str) -> str:
    short = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    return f"`` {short} ``" if "`" in short else f"`{short}`"
