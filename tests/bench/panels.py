"""Owns what the picture shows: panels of bars with the goals that are held against them, made from the results.

No processes, no files, and no places or colours of lines: those are the picture's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.cases import BESIDE, Case, Goal
from tests.bench.messages import COUNT
from tests.bench.results import FILES_GOAL, PSS_GOAL_MIB, Results, files_alone, verdicts
from tests.bench.sums import Samples, Verdict, spread

KIB = 1024
LESS = "less is better"
UNITS = {
    "rate": "requests/s",
    "p50": f"median latency, us, {LESS}",
    "p99": f"99 % answered within, us, {LESS}",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, in the unit of its panel. goals: where it would have to end; `kind` chooses the colour."""

    label: str
    value: float
    least: float
    greatest: float
    kind: str
    goals: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a bar must reach (above) or must not go beyond, and whether it does."""

    at: float
    good: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars that share a scale, and what is said of their goals."""

    title: str
    unit: str
    bars: tuple[Bar, ...]
    verdicts: tuple[Verdict, ...] = ()
    wide: bool = False  # logarithmic


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one line; both numbers above 0."""

    label: str
    points: tuple[tuple[float, float], ...]


def panels(results: Results) -> list[Panel]:
    """Return all panels that have bars: the cases, then delayed files and memory, then lond's."""
    said = verdicts(results)
    found = [case_panel(case, results.samples, said) for case in results.cases]
    found += [_delayed(results, said), _memory(results, said)]
    found += [lond_panel(case, results.samples) for case in results.lond]
    return [panel for panel in found if panel.bars]


def case_panel(case: Case, samples: Samples, said: Sequence[Verdict]) -> Panel:
    """Return the bars of a case; rows that were not measured are left out."""
    found = []
    for row in case.rows:
        one = spread(samples.get((case.key, row.label), ()), case.field)
        if one is not None:
            kind = row.label if row.label == "lonc, encrypt:" else row.way
            marks = tuple(_mark(case, goal, samples, one.median) for goal in case.goals if goal.row == row.label)
            kept = tuple(mark for mark in marks if mark is not None)
            shade = kind + BESIDE if row.beside else kind
            found.append(Bar(row.label, one.median, one.least, one.greatest, shade, kept))
    ours = tuple(one for one in said if one.case == case.title)
    return Panel(case.title.replace("`", ""), UNITS[case.field], tuple(found), ours, case.wide)


def lond_panel(case: Case, samples: Samples) -> Panel:
    """Return the bars of one of lond's cases, the name of the row for its colour."""
    plain = case_panel(case, samples, ())
    bars = [
        Bar(bar.label.replace("lond, all cores", "all cores"), bar.value, bar.least, bar.greatest, bar.label)
        for bar in plain.bars
    ]
    return Panel(plain.title, plain.unit, tuple(bars))


def _mark(case: Case, goal: Goal, samples: Samples, value: float) -> Mark | None:
    """Return where the bar would have to end for a goal; None when that is not about what the panel shows."""
    if goal.field != case.field:
        return None
    if not goal.against:
        at = goal.limit
    else:
        other = spread(samples.get((case.key, goal.against), ()), goal.field)
        if other is None:
            return None
        at = other.median * goal.limit
    return Mark(at, value >= at if goal.above else value <= at)


def _delayed(results: Results, said: Sequence[Verdict]) -> Panel:
    own = results.delayed
    title, unit = f"{COUNT:,} delayed messages, one at a time", f"ms, {LESS}"
    if own is None:
        return Panel(title, unit, ())
    spent, alone = own.daemon_without_syncs, files_alone(own)
    limit = Mark(alone * FILES_GOAL, spent <= alone * FILES_GOAL)
    bars = (
        Bar("wire + files alone", alone, alone, alone, "plain"),
        Bar("lonc", spent, own.least - own.syncs, own.greatest - own.syncs, "lonc", (limit,)),
    )
    return Panel(title, unit, bars, tuple(one for one in said if "delayed" in one.case))


def _memory(results: Results, said: Sequence[Verdict]) -> Panel:
    bars = []
    for one in results.memory:
        peers = f"{one.peers:,} peer{'s' if one.peers > 1 else ''}"
        value, most = one.pss / KIB, one.pss_most / KIB
        marks = (Mark(PSS_GOAL_MIB, value <= PSS_GOAL_MIB),) if one.peers == 100 and one.wheel else ()
        label = peers if one.wheel else f"{peers}, no wheel"
        bars.append(Bar(label, value, value, most, "lonc" if one.wheel else "plain", marks))
    about = tuple(one for one in said if "peers" in one.case)
    return Panel("Memory of an idle child (PSS)", f"MiB, {LESS}", tuple(bars), about)


def goal_words(one: Verdict) -> str:
    """Return what the picture says of a goal: `0.56 x C ceiling (goal: at least 0.85)`."""
    what = one.goal
    own, colon, other = what.partition(" : ")
    if colon and own.startswith("lonc"):
        against, _, kind = other.rpartition(", ")
        share = "" if kind == "rate" else f", {kind}"
        return f"{one.reached} x {against}{share} (goal: {one.limit})"
    return f"{what}: {one.reached} (goal: {one.limit})"


def curves(growth: Sequence[Case], samples: Samples, field: str, scale: float = 1.0) -> list[Curve]:
    """Return a curve for each row over the numbers of clients, divided by the scale; none without points."""
    found = []
    for label in dict.fromkeys(row.label for case in growth for row in case.rows):
        points = []
        for case in growth:
            ours = samples.get((case.key, label), ())
            one = spread(ours[:1] if field == "memory" else ours, field)
            if one is not None and one.median > 0:
                points.append((float(case.clients), one.median / scale))
        if points:
            found.append(Curve(label, tuple(points)))
    return found
