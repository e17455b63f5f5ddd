"""How many workers there should be. Counts and the time in, a number out; no effects.

Fixed: as many as are wanted, at once. With idle ones: as many as are busy and `idle` besides, between `least` and
`most`; more than that leave only when there were too many all the time for surplus_s, so that a pool whose use
goes up and down does not fork all day.
"""

from __future__ import annotations

from lonc.pool.service import PoolRules


class Sizing:
    """The wanted size of a pool. least: workers that are always there; idle: 0 for a fixed size."""

    def __init__(self, rules: PoolRules) -> None:
        self.most = rules.most
        self.least = min(rules.processes - 1, self.most)
        self.idle = min(rules.idle, self.most)
        self._surplus_s = rules.surplus_s
        self._since: float | None = None  # there are too many since then
        self._low = 0  # the fewest that were too many since then

    def wanted(self, busy: int) -> int:
        """Return how many workers there should be while so many are busy."""
        return min(self.most, max(self.least, busy + self.idle if self.idle else 0))

    def missing(self, staff: int, busy: int) -> int:
        """Return how many to start now. staff: all that live or are about to, and are not told to leave."""
        return max(0, self.wanted(busy) - staff)

    def surplus(self, staff: int, busy: int, now: float) -> int:
        """Return how many to let go now; to be asked whenever a count has changed."""
        too_many = max(0, staff - self.wanted(busy))
        if not self.idle:
            return too_many
        if not too_many:
            self._since = None
            return 0
        if self._since is None:
            self._since, self._low = now, too_many
        self._low = min(self._low, too_many)
        if now - self._since < self._surplus_s:
            return 0
        self._since = None
        return self._low

    def next_look(self) -> float | None:
        """Return when surplus() has to be asked although no count has changed; None: no need."""
        return None if self._since is None else self._since + self._surplus_s

    def change(self, delta: int) -> None:
        """Want so many more, or less; there is always one."""
        if self.idle:
            self.idle = min(self.most, max(1, self.idle + delta))
        else:
            self.least = min(self.most, max(1, self.least + delta))
        self._since = None
