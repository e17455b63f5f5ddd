"""What every sentence is made of: a finding, spans of time in words, and what is said about waiting messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from lonc.cli.ctl.piles import Pile
from lonc.cli.ctl.snapshot import Snapshot


class Weight(Enum):
    """How serious a finding is; NOTICE alone leaves the daemon healthy."""

    FATAL = 0
    TROUBLE = 1
    NOTICE = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. peer: '' for the daemon. code: a fixed word, for programs."""

    peer: str
    weight: Weight
    code: str
    text: str
    remedy: str

    def sentence(self) -> str:
        """Return it as it is shown: what, why, and what to do."""
        return f"{self.text}; do: {self.remedy}" if self.remedy else self.text


def span(seconds: float) -> str:
    """Return a time span in words, of one unit: `40 s`, `4 min`, `3 h`, `12 d`; negative counts as 0."""
    seconds = max(0.0, seconds)
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86400)} d"


def counted(count: int, one: str, many: str) -> str:
    """Return a count with its word: `1 message`, `12 messages`."""
    return f"{count} {one if count == 1 else many}"


def messages_wait(now: Snapshot, piles: Iterable[Pile]) -> str:
    """Return `; 12 messages wait, oldest 3 h`, empty when none waits."""
    waiting = [pile for pile in piles if pile.count]
    count = sum(pile.count for pile in waiting)
    if not count:
        return ""
    oldest = min(pile.oldest_wall for pile in waiting)
    words = "1 message waits" if count == 1 else f"{count} messages wait"
    return f"; {words}, oldest {span(now.at_wall - oldest)}"
