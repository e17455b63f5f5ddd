"""What a worker does about signals, in the handler itself: so that even one that computes without end obeys.

    TERM   finish the requests in hand, then leave (the loop does it; the handler only notes it)
    INT    leave at once: LeaveNow is raised where the worker stands, what it holds is given back on the way out
    again  a second one is harder: after TERM as INT, after INT the process ends where it stands

A handler runs between two steps of Python, so a worker inside a library's C code hears neither: KILL is left.
The second one counts only AGAIN_S after the first: who ends a whole group or a terminal's processes signals
every worker himself, and the parent does so once more.
"""

from __future__ import annotations

import os
import signal
import time
from types import FrameType
from typing import Final

from lonc.errors import ExitCode
from lonc.loop import Loop

AGAIN_S: Final = 0.5
# Those for the parent reach a worker, too, when somebody signals all processes of that name; none may end it.
CAUGHT: Final = (
    signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1,
    signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU,
)  # fmt: skip


class LeaveNow(BaseException):
    """The worker was told to leave at once; nothing but the worker itself may catch it for good."""


class Orders:
    """The signals of a forked worker: what was ordered and how urgent it is."""

    def __init__(self) -> None:
        self.report = False
        self.drain = False
        self.now = False
        self._leaving = False  # it is on its way out: LeaveNow has done its work
        self._since = float("-inf")

    def catch(self, loop: Loop) -> None:
        """Set the handlers. Every signal ends the loop's turn as well, since it writes to its wake-up pair."""
        loop.catch(CAUGHT, self._in_turn)
        for signum, handler in (
            (signal.SIGTERM, self._on_term),
            (signal.SIGINT, self._on_int),
            (signal.SIGQUIT, self._on_int),
        ):
            signal.signal(signum, handler)
            signal.siginterrupt(signum, False)

    def leaving(self) -> None:
        """Raise LeaveNow no more."""
        self._leaving = True

    def _in_turn(self, signum: int) -> None:
        if signum == signal.SIGUSR1:
            self.report = True

    def _again(self) -> bool:
        """Return whether this signal counts as another one."""
        now = time.monotonic()
        before, self._since = self._since, now
        return now - before >= AGAIN_S

    def _on_term(self, _signum: int, _frame: FrameType | None) -> None:
        counts = self._again()
        if not self.drain and not self.now:
            self.drain = True
        elif counts:
            self._leave()

    def _on_int(self, _signum: int, _frame: FrameType | None) -> None:
        counts = self._again()
        if not self.now or counts:
            self._leave()

    def _leave(self) -> None:
        if self.now:
            os._exit(ExitCode.OK)
        self.now = True
        if not self._leaving:
            raise LeaveNow
