"""Owns the words that are no messages: states, steps, exit codes, counts of the watchdog, replies."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Final

PATH: Final = os.path.join(os.path.dirname(__file__), "words.toml")


@dataclass(frozen=True, slots=True)
class Word:
    """One word. kind: what it is a word of, for people; also: other spellings; cause and remedy: as Markdown."""

    word: str
    kind: str
    cause: str
    remedy: str
    also: tuple[str, ...] = ()


@cache
def _all() -> tuple[Word, ...]:
    with open(PATH, "rb") as file:
        table = tomllib.load(file)
    return tuple(
        Word(row["word"], kind["title"], row["means"], row.get("do", "nothing"), tuple(row.get("also", ())))
        for kind in table["kind"]
        for row in kind["word"]
    )


def words(asked: str = "") -> tuple[Word, ...]:
    """Return every word that is spelled so, whatever its case; all words when nothing is asked for."""
    wanted = asked.strip().casefold()
    return tuple(one for one in _all() if not wanted or wanted in map(str.casefold, (one.word, *one.also)))
