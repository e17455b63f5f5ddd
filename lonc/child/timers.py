"""The deadlines of one child: a fixed set of names, each with the time it is next due."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

NEVER = float("inf")


class Timer(Enum):
    """What a child waits for besides sockets and signals."""

    UPKEEP = auto()  # beat, delayed scan, stability: the only one that an idle child has
    DIAL = auto()  # dial again
    LINK = auto()  # the time limit of connecting, of a dialogue step, or of the farewell
    PEER = auto()  # requests are in flight: see whether the peer still takes them
    SPREAD = auto()  # requests may have waited long enough for a further link
    IDLE = auto()  # a link may have been idle for long enough to be closed
    ALONE = auto()  # on demand: nobody may have needed this child for long enough
    GIVE_UP = auto()  # the outage has lasted as long as the pause of the original
    FLUSH = auto()  # a young message becomes old, or the flush lock is asked for again
    BOARD = auto()  # counters go to the scoreboard, at most every 100 ms
    ACCEPT = auto()  # try to accept again after the descriptors had run out
    HANDOVER = auto()  # draining: clients that have not hung up are asked no more
    STOP = auto()  # ending: whatever is left is answered con_lost
    QUIET = auto()  # debug, transaction logging or the trace end by themselves


class Timers:
    """At most one deadline per name; `next` is the earliest, NEVER when there is none."""

    __slots__ = ("_at", "next")

    def __init__(self) -> None:
        self._at: dict[Timer, float] = {}
        self.next = NEVER

    def set(self, timer: Timer, at: float) -> None:
        """Have `timer` due at `at` (monotonic seconds), whatever was set before."""
        self._at[timer] = at
        self.next = min(self._at.values())

    def sooner(self, timer: Timer, at: float) -> None:
        """Have `timer` due at `at` unless it is due before."""
        if at < self._at.get(timer, NEVER):
            self.set(timer, at)

    def clear(self, *timers: Timer) -> None:
        """Have these due no more; no error when they were not."""
        for timer in timers:
            self._at.pop(timer, None)
        self.next = min(self._at.values(), default=NEVER)

    def at(self, timer: Timer) -> float:
        """Return when `timer` is due, NEVER when it is not set."""
        return self._at.get(timer, NEVER)

    def due(self, now: float) -> Iterable[Timer]:
        """Return, and clear, those due at `now`, the earliest first."""
        due = sorted((at, timer.value, timer) for timer, at in self._at.items() if at <= now)
        self.clear(*(timer for _, _, timer in due))
        return [timer for _, _, timer in due]
