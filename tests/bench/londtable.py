"""Owns the words about lond's throughput: a table for each case, and what bounds them. No processes, no files."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.cases import Case, Row
from tests.bench.londcases import IN_FLIGHT, SECONDS, against
from tests.bench.sums import Samples, Spread, number, round_ratios, spread

HEAD = (
    "way", "requests/s", "min", "max", ": alone", "min", "max", "p50 us", "p99 us", "CPU us/request",
)  # fmt: skip
ABOUT = (
    "One link is served by one worker, on a core of its own beside the load; `all cores`: as many links, "
    f"workers and processes as there are cores, on which the load runs as well. `{IN_FLIGHT} in flight`: as lonc "
    "asks, without waiting for each reply; `lock-step`: one request at a time. `engine alone`: the same "
    "transaction with the same durability in a tight loop of Python, no lond, no socket: for `get` the one "
    "statement, for `put` begin, the value, its journal line, a commit that waits for the disk; of several "
    "processes the times are those of the slowest. `: alone`: the ratio to it, made in each round, then median "
    f"and extremes; that of `ping` is to the smallest C program that answers over TCP. A run takes {SECONDS:g} s "
    "at most. CPU: of the worker or workers, or of the bare engine's processes; without the load and without "
    "PostgreSQL's own processes."
)
BOUNDS = (
    "What bounds it. `ping` and `get` in flight: Python, that is a line's way through the dialogue, the command "
    "table and the checks of names; the engine's own part of a `get` from SQLite is a third. Lock-step: two "
    "sleeps and two wake-ups for each request, since there is nothing else to be done meanwhile. `put`: the "
    "disk, which is waited for once for each request before its `ok`, whatever is in flight. On SQLite all "
    "workers of a domain share one writer and wait for it in sleeps, so more links bring nothing, and one of "
    "two busy ones may wait long (the slowest's times show it, of the bare engine too). PostgreSQL lets several "
    "commits wait for the disk together, so more links bring more; but each statement is two more wake-ups, of "
    "its process and of the worker, which is why a `get` there takes many times what it takes from SQLite. `all "
    "cores`: the load, and PostgreSQL's processes, need cores as well."
)


def lond_table(case: Case, samples: Samples) -> str:
    """Return the figures of a case: rates and ratios with extremes, latencies and processor time as medians."""
    rows = [found for row in case.rows if (found := _line(case, row, samples))]
    head = [HEAD[0], *HEAD[1:]]
    marks = ["---", *["---:"] * (len(head) - 1)]
    lines = "".join(f"| {' | '.join(line)} |\n" for line in [head, marks, *rows])
    return f"### {case.title}\n\n{lines}"


def _line(case: Case, row: Row, samples: Samples) -> list[str]:
    found = samples.get((case.key, row.label), ())
    rate = spread(found, "rate")
    if rate is None:
        return []
    ratio = round_ratios(samples, case.key, row.label, against(case, row))
    rest = [spread(found, name) for name in ("p50", "p99", "cpu")]
    return [row.label, *_three(rate), *_three(ratio), *[number(one.median if one else None) for one in rest]]


def _three(one: Spread | None) -> list[str]:
    return [number(figure) for figure in ((one.median, one.least, one.greatest) if one else (None, None, None))]


def lond_section(cases: Sequence[Case], samples: Samples) -> list[str]:
    """Return the section with the tables of all cases that were measured, nothing when none was."""
    measured = [case for case in cases if any((case.key, row.label) in samples for row in case.rows)]
    tables = [lond_table(case, samples) for case in measured]
    return ["## lond", ABOUT, *tables, BOUNDS] if tables else []
