"""Owns how often one warning about one peer is logged: the watchdog adds up every line (spec files.md 3)."""

from __future__ import annotations

from dataclasses import dataclass

from lonc.system.clock import Clock

REPEAT_S = 600.0


@dataclass(slots=True)
class _Told:
    """What was last logged about a peer, when (monotonic), and how often it came since."""

    reason: str
    at: float
    held_back: int


class RepeatedWarnings:
    """Lets a warning through when its reason has changed, else once in ten minutes with a count."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[str, _Told] = {}

    def pass_on(self, peer: str, reason: str, text: str) -> str | None:
        """Return the text to log now, None when it is to be held back.

        reason: what decides whether it is the same warning again; it should hold no changing number. A
        text that comes again after ten minutes says how many like it were held back before it.
        """
        now = self._clock.monotonic()
        told = self._told.get(peer)
        if told is not None and told.reason == reason:
            if now - told.at < REPEAT_S:
                told.held_back += 1
                return None
            if told.held_back:
                text = f"{text} (and {told.held_back} more times in {now - told.at:.0f} secs)"
        self._told[peer] = _Told(reason, now, 0)
        return text

    def forget(self, peer: str) -> None:
        """Let the next warning about a peer through: what was wrong is over, or the peer is gone."""
        self._told.pop(peer, None)
