"""Owns the table of doc/commands.md, which is made from the rows themselves.

Run `.venv/bin/python -m lonc.lond.commands.listing --write` to renew it; a test compares it with the table.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Final

from lonc.lond.commands.model import Command, Who
from lonc.lond.commands.table import TABLE

DOCUMENT: Final = Path(__file__).resolve().parents[3] / "doc" / "commands.md"
BEGIN: Final = "<!-- table of commands: made by lonc.lond.commands.listing -->\n"
END: Final = "<!-- end of table -->\n"


def listing() -> str:
    """Return all rows as a table of Markdown, in the order of TABLE."""
    head = "| command | arguments | how | reply |\n|---|---|---|---|\n"
    return head + "".join(_row(command) for command in TABLE.values())


def renewed(text: str) -> str:
    """Return the document with the table as it is now; ValueError when its place is not marked."""
    before, begin, behind = text.partition(BEGIN)
    _old, end, after = behind.partition(END)
    if not begin or not end:
        raise ValueError("the marks of the table are missing")
    return before + begin + listing() + end + after


def main(arguments: list[str]) -> int:
    """Print the table; with --write put it into doc/commands.md."""
    if arguments == ["--write"]:
        DOCUMENT.write_text(renewed(DOCUMENT.read_text("utf-8")), "utf-8")
    else:
        sys.stdout.write(listing())
    return 0


def _row(command: Command) -> str:
    names = [f"[{field.name}]" if field.optional else field.name for field in command.fields]
    how = ["encrypted"] if command.encrypted else []
    how += ["managers"] if command.who is Who.MANAGER else []
    word = command.word.decode("ascii")
    cells = (f"`{word}`", f"`{':'.join(names)}`" if names else "", ", ".join(how), _meaning(command))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _meaning(command: Command) -> str:
    """Return the first paragraph of what the handler says of itself."""
    text = inspect.getdoc(command.handler) or ""
    return " ".join(text.split("\n\n")[0].split()).removeprefix("Return ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
