"""The operator's lasting wishes for one peer: lines `<peer> TAB paused`, `<peer> TAB debug | trace [TAB until]`.

`until` is a unix time: a wish whose time is over is none. It makes `debug` and `trace` end when they should,
whatever becomes of the child in between; without it they last for loncDebugFor from when a child reads them.
Source: files.md 7; `until` is ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from lonc.system.files import Files, open_regular, read_all

PAUSED = "paused"
DEBUG = "debug"
TRACE = "trace"
_TIME_DIGITS = 18
_LIMIT = 1 << 20  # bytes; a thousand peers with every wish are under 100 KiB


class Wish(NamedTuple):
    """One line. until: seconds since 1970, None: no end is given."""

    peer: str
    word: str
    until: int | None

    def line(self) -> str:
        """Return it as it stands in the file, with its newline."""
        end = "" if self.until is None else f"\t{self.until}"
        return f"{self.peer}\t{self.word}{end}\n"


def wishes_for(path: str, peer: str, files: Files) -> dict[str, int | None]:
    """Return the words wished for a peer, each with its `until`; nothing when there is no file.

    A file that cannot be read, or that is no regular file, is no wish either: OSError is for the caller to tell.
    """
    return {wish.word: wish.until for wish in wishes_in(read_wanted(path, files)) if wish.peer == peer}


def read_wanted(path: str, files: Files) -> str:
    """Return the text of the file, "" when there is none. OSError: it cannot be read, or is no regular file."""
    try:
        fd = open_regular(files, path, os.O_RDONLY, 0)
    except FileNotFoundError:
        return ""
    try:
        return read_all(files, fd, _LIMIT).decode("utf-8", "replace")
    finally:
        files.close(fd)


def wishes_in(text: str) -> Iterator[Wish]:
    """Yield the wishes of a file. Lines of another form are passed over: a later release may have more words."""
    for line in text.splitlines():
        wish = wish_of(line)
        if wish is not None:
            yield wish


def wish_of(line: str) -> Wish | None:
    """Return the wish of a line, None for one of another form."""
    words = [word.strip() for word in line.split("\t")]
    if len(words) == 2:
        return Wish(words[0], words[1], None)
    # A longer number is no time, and int() of thousands of digits is an error.
    if len(words) == 3 and words[2].isascii() and words[2].isdigit() and len(words[2]) <= _TIME_DIGITS:
        return Wish(words[0], words[1], int(words[2]))
    return None


def trace_path(logs_dir: str, peer: str) -> str:
    """Return the file that a traced child writes to."""
    return os.path.join(logs_dir, f"lonc.trace-{peer}")
