"""Owns the arithmetic: samples of many rounds in, medians, ratios and verdicts out. No processes, no files."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.bench.cases import Case, Goal


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of one row brought. rate: requests/s; times in microseconds; memory in KiB.

    cpu: processor time of the relaying process per request, None where no process relays or several do;
    memory: the most it held resident, None where it was not looked at; waited: the share of the time in which
    it could have run and something else had its core, None as for cpu.
    """

    rate: float
    p50: float
    p99: float
    p999: float
    longest: float
    cpu: float | None = None
    memory: float | None = None
    waited: float | None = None


Samples = Mapping[tuple[str, str], Sequence[Sample]]  # by case key and row label


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of some figures."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal and what was reached; reached None: a row that it needs is missing."""

    case: str
    goal: str
    limit: str
    reached: str
    good: bool | None
    by_cpu: str = "-"  # the same ratio by processor time per request, which hardly depends on other load
    why: str = ""  # the known reason, for the case that it is missed


def spread(samples: Sequence[Sample], field: str) -> Spread | None:
    """Return median and extremes of one field; None when no sample has it."""
    found = [value for value in (getattr(sample, field) for sample in samples) if value is not None]
    if not found:
        return None
    return Spread(statistics.median(found), min(found), max(found))


def ratio(samples: Samples, case: str, goal: Goal) -> float | None:
    """Return the figure that a goal is about: the ratio of two medians, or one median; None without them."""
    own = spread(samples.get((case, goal.row), ()), goal.field)
    if own is None or not goal.against:
        return own.median if own else None
    other = spread(samples.get((case, goal.against), ()), goal.field)
    return own.median / other.median if other and other.median else None


def round_ratios(samples: Samples, case: str, row: str, other: str) -> Spread | None:
    """Return median and extremes of the ratios of two rows' rates, one for each round; None without them."""
    both = zip(samples.get((case, row), ()), samples.get((case, other), ()), strict=False)
    found = [own.rate / against.rate for own, against in both if against.rate]
    return Spread(statistics.median(found), min(found), max(found)) if found else None


def judge(case: Case, samples: Samples) -> list[Verdict]:
    """Return a verdict for each goal of a case."""
    found = []
    for goal in case.goals:
        one = verdict(case.title, goal, ratio(samples, case.key, goal))
        if goal.field == "rate" and goal.against:
            own = ratio(samples, case.key, Goal(goal.against, goal.row, 0.0, "cpu"))
            one = replace(one, by_cpu=number(own))
        found.append(one)
    return found


def verdict(case: str, goal: Goal, found: float | None) -> Verdict:
    """Return what is to be said of one goal when `found` was reached."""
    kind = {"rate": "rate", "p50": "median latency", "p99": "p99"}.get(goal.field, goal.field)
    words = goal.text or f"{goal.row} : {goal.against}, {kind}"
    limit = f"{'at least' if goal.above else 'at most'} {goal.limit:,.4g}"
    if found is None:
        return Verdict(case, words, limit, "not measured", None)
    good = found >= goal.limit if goal.above else found <= goal.limit
    return Verdict(case, words, limit, number(found), good, why=goal.why)


def disturbance(samples: Samples) -> Spread | None:
    """Return the shares of the time in which something else had the relaying process's core, None without runs."""
    return spread([sample for found in samples.values() for sample in found], "waited")


def number(value: float | None) -> str:
    """Return a figure with three or more digits, `-` for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
