"""Owns what time it is: one protocol, the real clock, the time text of every file lonc writes, and patience.

Two clocks, never mixed: durations, deadlines and beats are monotonic seconds (CLOCK_MONOTONIC, the same for
all processes of the machine, untouched by clock jumps: P27); wall seconds stand in texts and file names only.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

_PASSING: Final = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE})
_PAUSE_S: Final = 0.01
_TRIALS: Final = 100

Made = TypeVar("Made")


class Clock(Protocol):
    """What time it is; tests put their own behind it."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back. For deadlines and durations."""

    def wall(self) -> float:
        """Return seconds since 1970; may jump. For texts and file names only."""


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Return CLOCK_MONOTONIC in seconds, comparable between processes of this machine."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since 1970."""
        return time.time()


def ctime(wall: float) -> str:
    """Return a wall time as C's ctime writes it, local time, without newline: `Fri Mar  8 03:56:19 2002`.

    wall: seconds since 1970. Names of days and months are English whatever the locale (Python's ctime
    never asks it). A moment that the machine cannot name (far off, not a number) gives `@` and the number,
    since a log line must not fail for it. Source: spec files.md 3.
    """
    try:
        return time.ctime(wall)
    except (OverflowError, OSError, ValueError):
        return f"@{wall}"


def patiently(call: Callable[[], Made]) -> Made:
    """Return what the call returns, tried again for a second while memory or descriptors are wanting.

    For calls without which a daemon whose children serve would end. Raises OSError for any other trouble, and
    for this one when it does not pass.
    """
    for _ in range(_TRIALS):
        try:
            return call()
        except OSError as error:
            if error.errno not in _PASSING:
                raise
        time.sleep(_PAUSE_S)
    return call()
