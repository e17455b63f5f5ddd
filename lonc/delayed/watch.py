"""Owns when a file is young: what is known about single files between two looks, on the monotonic clock.

Dates are compared with the wall clock only once, when a file is first seen with this content; from then on
the monotonic clock decides, at most young_s after that. So no jump of the wall clock makes a file wait longer
or touches it earlier (P27), and whatever was seen unchanged for young_s is old whatever its dates say.
Source: spec lonc.md 5.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from os import stat_result

from lonc.delayed.results import Entry, Identity, identity_of


@dataclass(frozen=True, slots=True)
class Ages:
    """The limits in seconds: young_s for touching a file, empty_s for setting an empty one aside."""

    young_s: float = 5.0
    empty_s: float = 60.0


@dataclass(slots=True)
class Watch:
    """What this process knows about one file. The three times are monotonic seconds, fixed when first seen."""

    identity: Identity
    mode: int
    line_old_at: float  # when a file with its newline is old
    bare_old_at: float  # when one without, or an empty one, is
    empty_at: float  # when an empty file is set aside
    bare: bool = False  # read, and it had no newline
    bad: str = ""  # why it can never be sent
    hold_until: float = 0.0  # the run ends at it until then: no fault of its own
    skip_until: float = 0.0  # passed over until then
    unanswered: int = 0  # links in a row
    answered: bool = False  # only its deletion, or with a reply its move to rejected/, is left to do
    reply: bytes | None = None

    @property
    def link(self) -> bool:
        """Return whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def empty(self) -> bool:
        """Return whether it is a file without content."""
        return self.identity.size == 0 and stat.S_ISREG(self.mode)

    @property
    def old_at(self) -> float:
        """Return from when on it may be touched (monotonic seconds)."""
        return self.bare_old_at if self.bare or self.bad or self.empty else self.line_old_at

    def ends_run_until(self, now: float) -> float | None:
        """Return until when nothing behind this file may be sent, None when it holds nobody back."""
        if self.link or self.bad or self.answered:
            return None
        until = max(self.old_at, self.hold_until)
        return until if now < until else None


def first_seen(entry: Entry, standard: bool, facts: stat_result, now: float, wall: float, ages: Ages) -> Watch:
    """Return what is known of a file at its first sight, at `now` (monotonic) and `wall` (since 1970).

    The time in a standard name is a whole second: it is as old as the end of that second, so that no file is
    ever touched before its young_s are over (P5). Dates in the future count as now.
    """
    mtime_age = wall - facts.st_mtime
    bare_old_at = line_old_at = now + _left(ages.young_s, mtime_age)
    if standard:
        line_old_at = min(bare_old_at, now + _left(ages.young_s, wall - (entry.time + 1.0)))
    empty_at = now + _left(ages.empty_s, mtime_age)
    return Watch(identity_of(facts), facts.st_mode, line_old_at, bare_old_at, empty_at)


def _left(limit_s: float, age_s: float) -> float:
    """Return how much of a limit is left at an age, at least 0 and at most the limit."""
    left_s = limit_s - age_s
    return 0.0 if left_s <= 0.0 else min(left_s, limit_s)
