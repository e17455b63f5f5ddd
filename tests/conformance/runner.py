"""Owns running cases one after the other, and what came of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

from tests.conformance.model import Case, MismatchError, UnfitError
from tests.conformance.tables import OPTIONS

PASSED, FAILED, OURS, SKIPPED = "passed", "failed", "ours", "skipped"


class Target(Protocol):
    """What is known about the program under test."""

    def has(self, need: str) -> bool:
        """Return whether this is known."""


class Tidy(Protocol):
    """A stage, as far as the runner needs it."""

    @property
    def target(self) -> Target:
        """What is known about the program under test."""

    def end_case(self, clean: bool = True) -> None:
        """Close what a case has left open; clean False: everything, since nobody knows what is on its way."""


@dataclass(slots=True)
class Outcome:
    """What came of a case. attempts: how often it was run; expected, got: of the last one that failed."""

    number: str
    who: str
    section: int
    sentence: str
    ours: str
    state: str
    attempts: int = 1
    seconds: float = 0.0
    expected: str = ""
    got: str = ""
    reason: str = ""

    def plain(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self)


AnyStage = TypeVar("AnyStage", bound=Tidy)


def run_case(case: Case[AnyStage], stage: AnyStage, *, original: bool = False, retries: int = 0) -> Outcome:
    """Run one case and return what came of it.

    original: what is ours alone counts as `ours` when it fails. retries: so many more attempts after a failure;
    that there were several stands in the outcome.
    """
    outcome = Outcome(case.number, case.who, case.section, case.sentence, case.ours, SKIPPED)
    missing = [need for need in case.needs if not stage.target.has(need)]
    if missing:
        outcome.reason = "give " + ", ".join(OPTIONS[need] for need in missing)
        return outcome
    began = time.monotonic()
    for attempt in range(1, retries + 2):
        outcome.attempts = attempt
        outcome.state = OURS if original and case.ours else FAILED
        try:
            _attempt(case, stage, outcome)
        finally:
            stage.end_case(clean=outcome.state in (PASSED, SKIPPED))
        if outcome.state in (PASSED, SKIPPED):
            break
    outcome.seconds = round(time.monotonic() - began, 3)
    return outcome


def _attempt(case: Case[AnyStage], stage: AnyStage, outcome: Outcome) -> None:
    """Run a case once and write into the outcome what came of it, if that is not failure."""
    try:
        case.run(stage)
        outcome.state = PASSED
    except UnfitError as unfit:
        outcome.state, outcome.reason = SKIPPED, str(unfit)
    except MismatchError as mismatch:
        outcome.expected, outcome.got = mismatch.expected, mismatch.got
    except (LookupError, ValueError, OSError) as error:  # what came was so odd that the case could not read it
        outcome.expected, outcome.got = "something that the case can read", f"{type(error).__name__}: {error}"


def run_all(
    cases: Sequence[Case[AnyStage]],
    stage: AnyStage,
    *,
    original: bool = False,
    retries: int = 0,
    tell: Callable[[Outcome], object] = lambda _outcome: None,
) -> list[Outcome]:
    """Run the cases in order and return their outcomes; tell is called with each as soon as there is one."""
    outcomes = []
    for case in cases:
        outcomes.append(run_case(case, stage, original=original, retries=retries))
        tell(outcomes[-1])
    return outcomes
