"""Owns what an examination is made of: steps with a verdict, their limits, and the one sentence at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from lonc.system.shown import printable

SHOWN_CHARACTERS = 60  # of what the peer said


class Verdict(StrEnum):
    """What came of a step; the value is the word that is shown."""

    OK = "ok"
    WARNING = "warning"  # it works all the same, or cannot be known
    BAD = "bad"  # the link, or the way back, does not work because of it
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. seconds: what it took, None for what takes no time. remedy: what to do; '' when nothing is."""

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds: of a step of the dialogue, a request or the web page; of a connect; of a look-up."""

    step_s: float
    connect_s: float
    look_up_s: float


class Report:
    """The steps as they come. peer: its id; tell: called with each step at once."""

    def __init__(self, peer: str, tell: Callable[[Step], None]) -> None:
        self.peer = peer
        self.steps: list[Step] = []
        self._tell = tell

    def add(self, step: Step) -> None:
        """Take one step and tell it."""
        self.steps.append(step)
        self._tell(step)

    @property
    def verdict(self) -> Verdict:
        """Return the worst of the verdicts; what was skipped counts for nothing."""
        found = {step.verdict for step in self.steps}
        return next((one for one in (Verdict.BAD, Verdict.WARNING) if one in found), Verdict.OK)

    def advice(self) -> str:
        """Return one sentence: what to do first. The first bad step decides, since later ones follow from it."""
        worst = self.verdict
        if worst is Verdict.OK:
            return f"All is well with {self.peer}: nothing to do."
        first = next(step for step in self.steps if step.verdict is worst)
        remedy = first.remedy or "nothing can be done from here"
        what = "does not work" if worst is Verdict.BAD else "is usable, with a warning"
        return f"{self.peer} {what} ({first.name}: {first.text}); do: {remedy}."


def quoted(text: bytes | str) -> str:
    """Return what the peer said, printable and cut, for a sentence."""
    return f"'{printable(text, SHOWN_CHARACTERS)}'" if text else "nothing"


def reason(error: Exception) -> str:
    """Return why something failed, without the number of the error."""
    text = error.strerror if isinstance(error, OSError) else None
    return text or str(error) or type(error).__name__
