"""Owns top on a terminal: the table that is renewed in place, and the keys.

Between two looks it sleeps until a key comes, the window changes or the time is over. The terminal is given back
as it was, however this ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from types import FrameType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lonc.cli.ctl.rates import Row
from lonc.cli.ctl.top.table import COLUMNS, Looks, head_line, ordered
from lonc.system.shown import printable

COLOURS = {
    "up": "green", "resting": "bright_black", "trying": "yellow", "paused": "magenta", "down": "red",
    "given-up": "bold red", "unknown": "yellow",
}  # fmt: skip
WIDTHS = {"state": 11, "delayed": 7, "oldest": 7, "flight": 5, "queued": 5}
WIDTH = 6  # of the other numbers
NAME_WIDTH = (8, 40)
AROUND_LINES = 4  # head, keys, and the heads of the columns with the line below
KEYS_LINE = "q quit  < > sort column  i invert  j k space b scroll"
# What a terminal sends for keys without a letter.
_ESCAPES = {
    "\x1b[A": "k", "\x1b[B": "j", "\x1b[C": ">", "\x1b[D": "<", "\x1b[5~": "b", "\x1b[6~": " ",
    "\x1bOA": "k", "\x1bOB": "j", "\x1bOC": ">", "\x1bOD": "<", "\x1b[H": "g", "\x1b[F": "G",
}  # fmt: skip


class Screen:
    """What is shown: rows, the column they are sorted by, and where the list is scrolled to."""

    def __init__(self, looks: Looks, sort: str, *, invert: bool, console: Console | None = None) -> None:
        self.sort = sort
        self.invert = invert
        self.first = 0  # the row on top
        self.rows: list[Row] = []
        self._looks = looks
        self._console = console or Console(highlight=False)

    def show(self, interval_s: float, count: int = 0) -> None:
        """Show the table until q, or for so many looks (0: without an end)."""
        shown = 0
        with _raw_keys() as wakeups, Live(console=self._console, screen=True, auto_refresh=False) as live:
            live.update(Text("first rates in a moment"), refresh=True)
            self.rows, _elapsed = self._wait_first(min(interval_s, 0.5))
            while True:
                until = time.monotonic() + interval_s
                shown += 1
                live.update(self.picture(), refresh=True)
                while (left := until - time.monotonic()) > 0:
                    keys = _keys(wakeups, left)
                    if any(not self.press(key) for key in keys):
                        return
                    live.update(self.picture(), refresh=True)
                if count and shown >= count:
                    return
                self.rows, _elapsed = self._looks.next()

    def _wait_first(self, seconds: float) -> tuple[list[Row], float]:
        time.sleep(seconds)
        return self._looks.next()

    def press(self, key: str) -> bool:
        """Do what a key means; return False when it is the end."""
        names = list(COLUMNS)
        page = max(1, self._room())
        if key in ("q", "Q", "\x03", "\x04"):
            return False
        if key in "<>":
            step = 1 if key == ">" else -1
            self.sort = names[(names.index(self.sort) + step) % len(names)]
        elif key == "i":
            self.invert = not self.invert
        steps = {"j": 1, "k": -1, " ": page, "b": -page, "g": -len(self.rows), "G": len(self.rows)}
        self.first = max(0, min(self.first + steps.get(key, 0), len(self.rows) - page))
        return True

    def _room(self) -> int:
        return self._console.size.height - AROUND_LINES

    def picture(self) -> Group:
        """Return what fills the terminal as it is now."""
        room = max(1, self._room())
        self.first = max(0, min(self.first, len(self.rows) - room))
        below = ordered(self.rows, self.sort, invert=self.invert)[self.first : self.first + room]
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=False)
        fixed = sum(WIDTHS.get(name, WIDTH) + 1 for name in COLUMNS if name != "peer")
        name_width = max(NAME_WIDTH[0], min(NAME_WIDTH[1], self._console.size.width - fixed - 1))
        for name, (title, _show, _key, right) in COLUMNS.items():
            style = "reverse" if name == self.sort else "bold"
            width = name_width if name == "peer" else WIDTHS.get(name, WIDTH)
            table.add_column(
                Text(title, style=style), width=width, no_wrap=True, overflow="ellipsis",
                justify="right" if right else "left",
            )  # fmt: skip
        for row in below:
            cells = [Text(printable(show(row))) for _title, show, _key, _right in COLUMNS.values()]
            cells[1].stylize(COLOURS[row.group])
            table.add_row(*cells)
        head = Text(printable(head_line(self._looks.snapshot, self.rows)), no_wrap=True, overflow="ellipsis")
        shown = f"{self.first + 1}-{self.first + len(below)} of {len(self.rows)}  " if below else ""
        foot = Text(shown + KEYS_LINE, style="bright_black", no_wrap=True, overflow="ellipsis")
        return Group(head, foot, table)


@contextlib.contextmanager
def _raw_keys() -> Iterator[int]:
    """Let keys come one by one and unseen; yield a descriptor that becomes readable when a signal has come."""
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    handlers = {signal.SIGWINCH: _note, signal.SIGTERM: _stop, signal.SIGHUP: _stop}
    before_us = {signum: signal.signal(signum, handler) for signum, handler in handlers.items()}
    old_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        tty.setcbreak(stdin)
        yield reader
    finally:
        signal.set_wakeup_fd(old_wakeup)
        for signum, handler in before_us.items():
            signal.signal(signum, handler)
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
        os.close(reader)
        os.close(writer)


def _note(_signum: int, _frame: FrameType | None) -> None:
    """Do nothing: that the signal came is told by the wakeup descriptor."""


def _stop(_signum: int, _frame: FrameType | None) -> None:
    """End as INT does, so that the terminal is given back."""
    raise KeyboardInterrupt


def _keys(wakeups: int, timeout_s: float) -> list[str]:
    """Return the keys that came within the time, as soon as there is one; none: the time is over, or a signal."""
    stdin = sys.stdin.fileno()
    poll = select.poll()  # not select(): it takes no descriptor above 1,023
    for fd in (stdin, wakeups):
        poll.register(fd, select.POLLIN)
    ready = [fd for fd, _mask in poll.poll(max(timeout_s, 0.0) * 1000)]
    if wakeups in ready:
        os.read(wakeups, 4096)
    if stdin not in ready:
        return []
    data = os.read(stdin, 1024)
    return keys_of(data.decode("utf-8", "replace")) if data else ["q"]  # the terminal is gone


def keys_of(text: str) -> list[str]:
    """Return the keys in what a terminal has sent; those without a letter as the letter of the same meaning."""
    found: list[str] = []
    while text:
        escape = next((sequence for sequence in _ESCAPES if text.startswith(sequence)), "")
        found.append(_ESCAPES[escape] if escape else text[0])
        text = text[len(escape) or 1 :]
    return found
