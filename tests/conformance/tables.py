"""Owns the tables of all cases, how some are chosen, and the table in doc/conformance.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.conformance import (
    clients,
    delays,
    dialogue,
    frames,
    framing,
    keys,
    lonc_stage,
    lond_commands,
    lond_dialogue,
    lond_frames,
    lond_framing,
    lond_stage,
    opening_faults,
    outages,
    passing,
)
from tests.conformance.lonc_stage import LoncStage
from tests.conformance.lond_stage import LondStage
from tests.conformance.model import SECTIONS, Case

# A file enters its cases when it is imported; named here, so that none is forgotten and none looks unused.
FILES = (
    framing, dialogue, opening_faults, keys, frames, passing, clients, outages, delays,
    lond_framing, lond_dialogue, lond_frames, lond_commands,
)  # fmt: skip
LONC_CASES: list[Case[LoncStage]] = lonc_stage.BOOK.all()
LOND_CASES: list[Case[LondStage]] = lond_stage.BOOK.all()
ALL_CASES: list[Case[Any]] = [*LONC_CASES, *LOND_CASES]

DOCUMENT = Path(__file__).resolve().parents[2] / "doc" / "conformance.md"
BEGIN = "<!-- table of sentences: made by tests.conformance -->\n"
END = "<!-- end of table -->\n"


AnyCase = TypeVar("AnyCase", bound=Case[Any])


def chosen(cases: Sequence[AnyCase], wanted: Sequence[str]) -> list[AnyCase]:
    """Return the cases of these sections (`4`) and numbers (`4.2`), all when none is named.

    Raises ValueError for a name that chooses nothing.
    """
    found: list[AnyCase] = []
    for name in wanted:
        some = [case for case in cases if name in (case.number, str(case.section))]
        if not some:
            raise ValueError(f"no section and no sentence {name}")
        found += some
    picked = [case for case in cases if case in found]
    return picked if wanted else list(cases)


def table() -> str:
    """Return all sentences as a table of Markdown, section by section."""
    lines: list[str] = []
    for number, title in SECTIONS.items():
        lines += [f"\n### {number}. {title}\n", "| sentence | who | | ours | needs |", "|---|---|---|---|---|"]
        for case in [case for case in ALL_CASES if case.section == number]:
            needs = " ".join(f"`{OPTIONS[need]}`" for need in case.needs)
            lines.append(f"| {case.number} | {case.who} | {case.sentence} | {case.ours} | {needs} |")
    return "\n".join(lines)[1:] + "\n"


# What a case needs to know, and the option that tells it.
OPTIONS = {
    "patient": "--grace",
    "init_timeout_s": "--init-timeout",
    "request_timeout_s": "--request-timeout",
    "max_line": "--max-line",
    "max_reply": "--max-reply",
    "delayed": "--delayed",
    "second": "--second-id",
    "stranger": "--stranger",
    "user": "--user",
}


def renewed(text: str) -> str:
    """Return the document with the table as it is now. Raises ValueError when it has no place for one."""
    head, begin, rest = text.partition(BEGIN)
    _old, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError("the document has no place for the table")
    return head + BEGIN + "\n" + table() + "\n" + END + tail
