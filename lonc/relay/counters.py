"""What the relay counts for the scoreboard: plain numbers that only grow, and a latency histogram."""

from __future__ import annotations

from dataclasses import dataclass, field

# Bucket i counts replies that took less than 2**i microseconds (and not less than half of it); the last
# one takes all above 4 s. Fixed, so that readers of different releases can add them up.
BUCKETS = 24


@dataclass(slots=True)
class Counters:
    """Counts since this child began."""

    replies: int = 0
    cut: int = 0  # requests in flight when their link was lost
    con_lost: int = 0
    rejected: int = 0  # client lines over the limit
    latency_us: list[int] = field(default_factory=lambda: [0] * BUCKETS)
