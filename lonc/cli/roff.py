"""Owns how words become a manual page: what groff takes for commands is written as what it is."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MARKS = str.maketrans({"\\": "\\e", "-": "\\-", "^": "\\(ha", "~": "\\(ti", "`": "\\(ga", "'": "\\(aq"})
_LINK = re.compile(r"\[([^\]]*)\]\([^)\s]*\)")
_CODE = re.compile(r"`([^`]+)`")


def plain(text: str) -> str:
    """Return a text as one line that groff shows as it is; it may stand anywhere in a line."""
    return " ".join(text.split()).translate(_MARKS)


def marked(text: str) -> str:
    """Return a text of Markdown as one line: what is between backticks in bold, links by their words."""
    parts = _CODE.split(_LINK.sub(r"\1", text))  # code is every second part
    return "".join(f"\\fB{plain(part)}\\fP" if odd % 2 else _spaced(part) for odd, part in enumerate(parts))


def _spaced(text: str) -> str:
    """Return plain(text) with a blank kept at either end, which stands beside something bold."""
    if not text.strip():
        return " " if text else ""
    before = " " if text[0].isspace() else ""
    behind = " " if text[-1].isspace() else ""
    return f"{before}{plain(text)}{behind}"


def line(text: str) -> str:
    """Return a finished text as a line of its own: one that begins like a command is none."""
    return f"\\&{text}" if text.startswith((".", "'")) else text


def quoted(text: str) -> str:
    """Return a finished text as one argument of a macro."""
    return '"' + text.replace('"', "\\(dq") + '"'


def item(head: str, *bodies: str) -> list[str]:
    """Return an item of a list: its head, then a paragraph for each body that is not empty."""
    found = [".TP", line(head)]
    for number, body in enumerate(body for body in bodies if body):
        found += [".IP", line(body)] if number else [line(body)]
    return found


def subsection(title: str) -> str:
    """Return the heading of a subsection."""
    return f".SS {quoted(plain(title))}"


def paragraphs(text: str) -> list[str]:
    """Return a text as paragraphs, ended by an empty line; a line that begins with blanks stands alone.

    A line that follows such ones, and one that tells exit codes, begins a paragraph too.
    """
    found: list[str] = []
    new, alone = True, False
    for row in text.splitlines():
        if not row.strip():
            new = True
            continue
        if new or row.startswith("exit codes:") or (alone and not row[0].isspace()):
            found.append(".PP")
        elif row[0].isspace():
            found.append(".br")
        found.append(line(marked(row.strip())))
        new, alone = False, row[0].isspace()
    return found


def text_of(lines: Iterable[str]) -> str:
    """Return lines as the text of a file."""
    return "".join(f"{one}\n" for one in lines)
