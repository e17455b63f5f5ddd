"""When a peer that is away is dialed again."""

from __future__ import annotations

FIRST_PAUSE_S = 0.1
EAGER_S = 10.0  # so long an outage is worth a dial every second: most are a restart of lond
EAGER_PAUSE_S = 1.0
JITTER = 0.1


def redial_delay_s(outage_s: float, previous_s: float, limit_s: float, chance: float) -> float:
    """Return the pause before the next dial, in seconds.

    outage_s: since the link was lost; previous_s: the pause before the dial that just failed, 0.0 for the
    first one, which came at once; limit_s: loncRedialMax; chance: a random number from 0 to 1.
    Result: doubling from FIRST_PAUSE_S; at most 1 s while the outage is younger than 10 s, then up to
    limit_s; less up to a tenth, so that many peers of one dead router are not dialed in step.
    Source: ours (spec lonc.md 3).
    """
    doubled = max(FIRST_PAUSE_S, previous_s * 2)
    cap = min(EAGER_PAUSE_S, limit_s) if outage_s < EAGER_S else limit_s
    return min(doubled, cap) * (1.0 - JITTER * chance)
