"""Owns the finding of a message: from what stands in a log, with its changing parts, back to its id.

A text of messages.toml is a pattern: words in capitals that stand for something (P a peer, N a number, WHY a
reason...) match anything, `...` too. Where several texts fit, the one with the most fixed letters is it.
"""

from __future__ import annotations

import html
import os
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

PATH: Final = os.path.join(os.path.dirname(__file__), "messages.toml")
SEVERITIES: Final = ("CRITICAL", "WARNING", "SUCCESS", "INFO")
NUMBER: Final = r"-?[\d.]+"
# What stands for something else in a text. `A` only inside: many a sentence begins with it.
_STANDS_FOR: Final = re.compile(
    r"(\.\.\.|(?<![A-Za-z])(?:[PHNWCKXY]|(?<=.)A|FILE|LINE|NAMES?|VALUE|WHY|PATH|WORD|STEP|KIND|DIRECTORY|ADDRESS"
    r"|MECHANISM|OUTCOME|PROGRAM|TABLE|ID|WHO|HOW)(?![A-Za-z]))"
)
# `Sat Nov 21 03:27:08 2026 (31080) [elm1] [<time>: <status>]: message`, by the originals without the last colon
_LINE: Final = re.compile(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} \(\d+\) \[[^\]]*\] \[.*?\]:? (.*)", re.DOTALL)
_STAMPED: Final = re.compile(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}: (.*)", re.DOTALL)
_TAG: Final = re.compile(r'<font color="?\w+"?>(.*?)(?:</font>)?$', re.DOTALL)
_PLACE: Final = re.compile(r"/\S+?(?::\d+)?: ")
_AGAIN: Final = re.compile(r" \(and \d+ more times in \d+ secs\)$")
_OWN_ID: Final = re.compile(r" \((LONC-\d+)\)$")
_BROKEN: Final = {"CRIT-ICAL": "CRITICAL", "WARN-ING": "WARNING", "IN-FO": "INFO", "SUC-CESS": "SUCCESS"}


@dataclass(frozen=True, slots=True)
class Section:
    """A table of messages. title: for people."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Message:
    """One row. text, means and do: as Markdown. texts: the patterns. original: the originals say it so too."""

    id: str
    section: str
    text: str
    means: str
    do: str
    texts: tuple[str, ...]
    original: bool

    @property
    def severity(self) -> str:
        """Return the word that the watchdog counts this message by, empty when it is not counted."""
        return next((word for word in SEVERITIES if self.means.startswith(word)), "")

    @property
    def cause(self) -> str:
        """Return what it means, without the severity."""
        return self.means.removeprefix(self.severity).lstrip(":;, ") or self.means

    @property
    def remedy(self) -> str:
        """Return what to do; `nothing` when there is nothing to be done."""
        return self.do or "nothing"


@dataclass(frozen=True, slots=True)
class Match:
    """A message that was found; parts: what its changing words stood for, in their order."""

    message: Message
    parts: tuple[str, ...]


@cache
def messages() -> dict[str, Message]:
    """Return all messages by their ids, in the order of the file."""
    return {row["id"]: _message(row) for row in _tables()["message"]}


@cache
def sections() -> tuple[Section, ...]:
    """Return the sections in the order of the file."""
    return tuple(Section(row["name"], row["title"]) for row in _tables()["section"])


def find(text: str) -> Match | None:
    """Return the message that a text is: a line of the log, its message alone, or a reason in one; else None."""
    wanted = bare(text)
    place = _PLACE.match(wanted)  # `FILE:LINE: ` or `FILE: ` before what is wrong in it
    return _find(wanted) or (_find(wanted[place.end() :]) if place is not None else None)


def _find(wanted: str) -> Match | None:
    for _fixed, pattern, message in _patterns():
        found = pattern.fullmatch(wanted)
        if found is not None:
            return Match(message, tuple(part or "" for part in found.groups()))
    return None


def bare(text: str) -> str:
    """Return the message in a line of the log, without time, tags, severity, repetitions and id."""
    text = text.strip()
    line = _LINE.fullmatch(text) or _STAMPED.fullmatch(text)
    if line is not None:
        text = line[1].strip()
    tag = _TAG.fullmatch(text)
    if tag is not None:
        text = tag[1]
    text = html.unescape(text)
    for word in SEVERITIES:
        text = text.removeprefix(f"{word}: ")
    for broken, word in _BROKEN.items():
        text = text.replace(broken, word)
    return _AGAIN.sub("", _OWN_ID.sub("", text)).strip()


def own_id(text: str) -> str:
    """Return the id that stands at the end of a message (loncLogIds), empty when there is none."""
    found = _OWN_ID.search(_TAG.sub(r"\1", text.strip()))
    return found[1] if found else ""


# --- from the file to patterns ----------------------------------------------------------------------------


@cache
def _tables() -> dict[str, list[dict[str, Any]]]:
    with open(PATH, "rb") as file:
        return tomllib.load(file)


def _message(row: dict[str, Any]) -> Message:
    texts: list[str] = row.get("match", re.findall(r"`([^`]+)`", row["text"]))
    return Message(
        row["id"], row["section"], row["text"], row["means"], row["do"], tuple(texts), bool(row.get("original"))
    )


@cache
def _patterns() -> tuple[tuple[int, re.Pattern[str], Message], ...]:
    """Return (fixed letters, pattern, message), those with the most fixed letters first."""
    found = [(*_pattern(text), message) for message in messages().values() for text in message.texts]
    return tuple(sorted(found, key=lambda one: -one[0]))


def _pattern(text: str) -> tuple[int, re.Pattern[str]]:
    fixed, made = 0, ""
    for number, part in enumerate(_STANDS_FOR.split(text)):
        if number % 2 == 0:
            fixed += len(part)
            made += re.escape(part)
        elif part == "...":
            made += ".*"
        elif part == "N":
            made += f"({NUMBER})"
        elif part == "W":  # a worker's name: tells its messages from those about peers
            fixed, made = fixed + 1, made + r"(w\d+)"
        else:
            made += "(.*)" if part in ("X", "WHY") else "(.+?)"
    return fixed, re.compile(made, re.DOTALL)
