"""Owns what a line of the log looks like (spec files.md 3).

    <time> (<pid>) [<who>] [<time>: <status>]: <message>

Two readers decide the form: scripts that match the originals' words, and the watchdog, which counts the
words CRITICAL, WARNING, INFO and SUCCESS as plain text, wherever they stand, and shows the log as HTML. So
a severity word stands in a line's own tag and nowhere else: in any other text it is broken by a hyphen.
"""

from __future__ import annotations

import re
from enum import Enum

from lonc.system.shown import printable

MESSAGE_LIMIT = 4000  # characters of one message


class Severity(Enum):
    """How a message is counted; the value is its word and colour in the log, empty for not counted."""

    NONE = ("", "")
    INFO = ("INFO", "green")
    SUCCESS = ("SUCCESS", "green")
    WARNING = ("WARNING", "blue")
    CRITICAL = ("CRITICAL", "red")

    @property
    def word(self) -> str:
        """Return the word that the watchdog counts, `` for NONE."""
        return self.value[0]


_BROKEN = {"CRITICAL": "CRIT-ICAL", "WARNING": "WARN-ING", "INFO": "IN-FO", "SUCCESS": "SUC-CESS"}
# Entities that our own escaping makes: text that came escaped is not escaped twice.
_AMPERSAND = re.compile(r"&(?!(?:lt|gt|amp|quot|#39);)")
# Between tags quotes mean nothing, and the originals' words have them (`Couldn't connect`).
_QUOTES = {"&#39;": "'", "&quot;": '"'}
# The originals' own words hold `>X<` (scripts match them). The outer two are put back, never one inside X:
# before the end, `; ` or ` (` they are text to a browser too.
_FRAME = re.compile(
    r"\A((?:Init failed \(\d+ secs\): )?(?:Init|Pong) reply|Delayed [^ ]+ \(\d+ bytes\)): &gt;(.*)&lt;(?=$|; | \()"
)


def safe(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return a text as it may stand in a line: printable, no markup, severity words broken, cut at limit.

    Text that `clean` has been over is not escaped again, and gets its quotes back.
    """
    shown = printable(text, limit)
    if "&" in shown:
        shown = _AMPERSAND.sub("&amp;", shown)
        for entity, quote in _QUOTES.items():
            shown = shown.replace(entity, quote)
    shown = shown.replace("<", "&lt;").replace(">", "&gt;")
    if "&gt;" in shown:
        frame = _FRAME.match(shown)
        if frame is not None:
            shown = f"{frame[1]}: >{frame[2]}<{shown[frame.end() :]}"
    for word, broken in _BROKEN.items():
        shown = shown.replace(word, broken)
    return shown


def tagged(shown: str, severity: Severity) -> str:
    """Return a safe text with the tag of its severity around it; without severity as it is."""
    if severity is Severity.NONE:
        return shown
    word, colour = severity.value
    return f'<font color="{colour}">{word}: {shown}</font>'


def log_line(time: str, pid: int, who: str, status: str, message: str) -> bytes:
    """Return a whole line with its newline. time: as ctime has it; who, status, message: safe already."""
    return f"{time} ({pid}) [{who}] [{status}]: {message}\n".encode("utf-8", "backslashreplace")
