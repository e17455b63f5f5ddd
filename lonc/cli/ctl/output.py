"""Owns how anything is shown: sentences and tables for people, or one JSON document, never both.

Every text is made printable here, at the last moment, so that nothing from outside (a peer's version, a file's
name) can act on a terminal. Rich is imported only for tables on a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

from lonc.system.shown import printable

LINE_LIMIT = 10_000  # characters of one line
CELL_LIMIT = 400


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; right: numbers."""

    name: str
    right: bool = False


class Output:
    """Where a verb writes. as_json: say() and table() show nothing, and json() prints the one document.

    stream and errors: stdout and stderr as they are at the moment of the call when None.
    """

    def __init__(
        self, *, as_json: bool = False, stream: TextIO | None = None, errors: TextIO | None = None
    ) -> None:
        self.as_json = as_json
        self._stream = stream
        self._errors = errors

    @property
    def stream(self) -> TextIO:
        """Where the result goes."""
        return self._stream if self._stream is not None else sys.stdout

    @property
    def terminal(self) -> bool:
        """Return whether somebody reads this on a terminal."""
        return self.stream.isatty()

    def say(self, text: str = "", *, style: str = "") -> None:
        """Print text, which may have several lines; style: of rich (`bold red`), only seen on a terminal."""
        if self.as_json:
            return
        for line in text.split("\n"):
            shown = printable(line, LINE_LIMIT)
            if style and self.terminal:
                self._rich(shown, style)
            else:
                self._print(shown)

    def table(self, columns: Sequence[str | Column], rows: Iterable[Sequence[str]]) -> None:
        """Print rows under their columns: with rules and colours on a terminal, else aligned by blanks."""
        if self.as_json:
            return
        heads = [column if isinstance(column, Column) else Column(column) for column in columns]
        cells = [[printable(cell, CELL_LIMIT) for cell in row] for row in rows]
        if self.terminal:
            self._rich_table(heads, cells)
            return
        widths = [max(map(len, column)) for column in zip([head.name for head in heads], *cells, strict=True)]
        for row in [[head.name for head in heads], *cells]:
            padded = [
                cell.rjust(width) if head.right else cell.ljust(width)
                for cell, width, head in zip(row, widths, heads, strict=True)
            ]
            self._print("  ".join(padded).rstrip())

    def json(self, value: object) -> None:
        """Print the one JSON document if JSON was asked for. ASCII only; NaN and infinity are a mistake."""
        if self.as_json:
            self._print(json.dumps(value, indent=2, allow_nan=False))

    def complain(self, text: str) -> None:
        """Print `loncctl: text` to stderr, with or without JSON."""
        errors = self._errors if self._errors is not None else sys.stderr
        for line in text.splitlines():
            errors.write(_encodable(f"loncctl: {printable(line, LINE_LIMIT)}", errors) + "\n")
        errors.flush()

    def ask(self, question: str) -> bool:
        """Return whether a person at the terminal answers y or yes; False without a terminal."""
        if not sys.stdin.isatty() or self.as_json:
            return False
        self.stream.write(f"{printable(question, LINE_LIMIT)} [y/N] ")
        self.stream.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def _print(self, shown: str) -> None:
        self.stream.write(_encodable(shown, self.stream) + "\n")

    def _rich(self, shown: str, style: str) -> None:
        from rich.console import Console
        from rich.text import Text

        Console(file=self.stream, highlight=False, soft_wrap=True).print(Text(shown, style=style))

    def _rich_table(self, heads: list[Column], cells: list[list[str]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for head in heads:
            table.add_column(Text(head.name), justify="right" if head.right else "left")
        for row in cells:
            table.add_row(*map(Text, row))
        Console(file=self.stream, highlight=False).print(table)


def _encodable(text: str, stream: TextIO) -> str:
    """Return text as the stream can take it: a terminal without UTF-8 gets escapes, not an error."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
