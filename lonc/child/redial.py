"""When a peer that is away is dialed again."""

from __future__ import annotations

FIRST_PAUSE_S = 0.1
EAGER_S = 10.0  # so long an outage is worth a dial every second: most are a restart of lond
EAGER_PAUSE_S = 1.0
JITTER = 0.1
STEADY_S = 1.0  # a link that was READY for less is lost again for the same cause: that is no new outage


def redial_delay_s(outage_s: float, previous_s: float, limit_s: float, chance: float) -> float:
    """Return the pause between two dials, from start to start, in seconds.

    outage_s: since the link was lost; previous_s: the pause before the dial that just failed, 0.0 for the
    first one, which came at once; limit_s: loncRedialMax; chance: a random number from 0 to 1.
    Result: doubling from FIRST_PAUSE_S; at most 1 s while the outage is younger than 10 s, then up to
    limit_s; less up to a tenth, so that many peers of one dead router are not dialed in step.
    Source: ours (spec lonc.md 3).
    """
    doubled = max(FIRST_PAUSE_S, previous_s * 2)
    cap = min(EAGER_PAUSE_S, limit_s) if outage_s < EAGER_S else limit_s
    return min(doubled, cap) * (1.0 - JITTER * chance)


class Redial:
    """The outages of one peer: since when there is no link, and when it is dialed next.

    Times are monotonic seconds. `since` is None while a link is READY, `ready_since` while none is;
    longest_ready_s: of this child's links, as of the last count_ready(). A pause counts from the start of the
    dial that failed: one that hung until its time limit has been pause enough.
    """

    def __init__(self, limit_s: float, now: float) -> None:
        """limit_s: loncRedialMax. A child's life begins with an outage."""
        self.since: float | None = now
        self._limit_s = limit_s
        self._pause_s = 0.0
        self._dialed_at = now
        self.ready_since: float | None = None
        self.longest_ready_s = 0.0

    def outage_s(self, now: float) -> float:
        """Return how long there has been no link; 0.0 while there is one."""
        return 0.0 if self.since is None else now - self.since

    def dialed(self, now: float) -> None:
        """Note that a dial begins."""
        self._dialed_at = now

    def ready(self, now: float) -> None:
        """Note that a link is READY: the outage is over."""
        self.since, self.ready_since = None, now

    def count_ready(self, now: float) -> None:
        """Count how long the link has been READY until now; nothing while there is none."""
        if self.ready_since is not None:
            self.longest_ready_s = max(self.longest_ready_s, now - self.ready_since)

    def lost(self, now: float, chance: float) -> float:
        """Return when to dial after a READY link was lost: at once, if it had been of use at all.

        A peer that ends every link as soon as it is READY is dialed like one that refuses: never in a loop
        without a pause, and at least once a second.
        """
        self.count_ready(now)
        lasted_s = now - self.ready_since if self.ready_since is not None else 0.0
        self.since, self.ready_since = now, None
        if lasted_s >= STEADY_S:
            self._pause_s = 0.0
            return now
        return self.failed(now, chance)

    def rest(self, now: float) -> None:
        """Note that there is no link because nobody wants one: neither READY nor an outage."""
        self.count_ready(now)
        self.since = self.ready_since = None

    def failed(self, now: float, chance: float) -> float:
        """Return when to dial again after a dial that failed."""
        self._pause_s = redial_delay_s(self.outage_s(now), self._pause_s, self._limit_s, chance)
        return max(now, self._dialed_at + self._pause_s)

    def hurry(self) -> None:
        """Begin again with short pauses: somebody says that the peer is back (USR1)."""
        self._pause_s = 0.0

    def again(self, now: float) -> None:
        """Begin a new outage: there was no wish for a link until now."""
        self.since, self._pause_s = now, 0.0
