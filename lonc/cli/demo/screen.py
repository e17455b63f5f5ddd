"""How the demonstration is printed: headings, sentences, lines of the log; colours on a terminal only."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO

WIDTH = 100
_TAGS = re.compile(r"</?font[^>]*>")
_LINE = re.compile(r"(?P<time>.{24}) \((?P<pid>\d+)\) \[(?P<who>[^]]*)\] \[[^]]*\]: (?P<text>.*)")
_STYLES = {"heading": "1;36", "good": "32", "bad": "1;31", "quiet": "2", "shown": "33"}


class DemoError(Exception):
    """Something was not as the story tells it; the text says what."""


class Screen:
    """Prints to one stream, at once; a reader that is gone (`| head`) is no error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb"
        self._coloured = stream.isatty() and not plain
        self._steps = 0

    def heading(self, text: str) -> None:
        """Begin a numbered part of the story."""
        self._steps += 1
        self._put("")
        self._put(self._in("heading", f"{self._steps}. {text}"))

    def say(self, text: str) -> None:
        """Print sentences, wrapped."""
        for line in textwrap.wrap(text, WIDTH - 3, break_long_words=False, break_on_hyphens=False):
            self._put("   " + line)

    def done(self, text: str) -> None:
        """Print what was found to be true."""
        self._put("   " + self._in("good", "ok") + " " + text)

    def show(self, lines: Iterable[str], mark: str = "") -> None:
        """Print lines as they stand, each behind a mark that says where they come from."""
        for line in lines:
            self._put("     " + self._in("quiet", f"{mark}|") + " " + self._in("shown", line.rstrip("\n")))

    def log(self, lines: Iterable[str]) -> None:
        """Print lines of lonc.log without what makes them long: the time (but for its clock), status, tags."""
        self.show((shortened(line) for line in lines), "lonc.log ")

    def failure(self, text: str, tails: list[tuple[str, list[str]]]) -> None:
        """Print what went wrong, and the ends of files that may tell why."""
        self._put("")
        self._put(self._in("bad", "FAILED: ") + text)
        for name, lines in tails:
            self._put(f"   the end of {name}:")
            self.show(lines)

    def _in(self, style: str, text: str) -> str:
        return f"\033[{_STYLES[style]}m{text}\033[0m" if self._coloured else text

    def _put(self, line: str) -> None:
        encoding = self._stream.encoding or "ascii"
        try:
            self._stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            # The network is still to be ended; whatever is printed on the way goes nowhere.
            self._stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the run
            with contextlib.suppress(OSError):
                os.dup2(self._stream.fileno(), sys.stdout.fileno())


def shortened(line: str) -> str:
    """Return `HH:MM:SS [who] message` of a log line; a line of another form as it is."""
    found = _LINE.fullmatch(line)
    if found is None:
        return line
    return f"{found['time'][11:19]} [{found['who']}] {_TAGS.sub('', found['text'])}"
