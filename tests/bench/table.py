"""Owns the words of the results: everything that was measured as one Markdown text. No processes, no files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.cases import Case, Goal
from tests.bench.idle import Idea1KiB, Memory
from tests.bench.messages import COUNT, MANY, PEERS, Delayed, Listing
from tests.bench.sums import Samples, Verdict, judge, spread, verdict

CPU_NOTE = (
    "By CPU time: the ratio of the processor time that the relaying processes need per request, the other way "
    "round, so that it reads like the ratio of rates. It does not see the load and the stub, and hardly what else "
    "the machine does."
)
NOT_YET = (
    "Not in this release, so not in these tables: lonc with 10 links (and the case `sleep:1000` beside 32 others, "
    "which needs them), children on demand (and 1,000 peers with them)."
)


@dataclass(slots=True)
class Results:
    """Everything that one run has found. machine: lines about where and when."""

    machine: list[str]
    cases: list[Case]
    growth: list[Case]
    samples: Samples
    skipped: Mapping[str, str] = field(default_factory=dict)
    idea: Idea1KiB | None = None
    delayed: Delayed | None = None
    listing: Listing | None = None
    memory: list[Memory] = field(default_factory=list)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is words, the others are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(value: float | None) -> str:
    """Return a figure with three or more digits, `-` for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def case_table(case: Case, samples: Samples) -> str:
    """Return the figures of a case: rates with extremes, latencies and processor time as medians."""
    rows = []
    for row in case.rows:
        found = samples.get((case.key, row.label), ())
        rate = spread(found, "rate")
        if rate is not None:
            fields = ("p50", "p99", "p999", "longest", "cpu")
            middles = [one.median if one else None for one in (spread(found, name) for name in fields)]
            figures = [rate.median, rate.least, rate.greatest, *middles]
            rows.append([row.label, *[number(figure) for figure in figures]])
    head = ["way", "requests/s", "min", "max", "p50 us", "p99 us", "p99.9 us", "max us", "CPU us/request"]
    return f"### {case.title}\n\n{grid(head, rows)}"


def growth_table(growth: Sequence[Case], samples: Samples) -> str:
    """Return the rates and the memory by the number of clients."""
    labels = list(dict.fromkeys(row.label for case in growth for row in case.rows))
    rows = []
    for case in growth:
        cells = [case.title]
        for name in ("rate", "memory"):
            for label in labels:
                found = samples.get((case.key, label), ())
                # memory: the first round's, when no greater number of clients had come before
                figure = spread(found[:1] if name == "memory" else found, name)
                if name == "rate" or any(_has_memory(samples, other, label) for other in growth):
                    cells.append(number(figure.median if figure else None))
        rows.append(cells)
    with_memory = [label for label in labels if any(_has_memory(samples, case, label) for case in growth)]
    head = ["clients", *[f"{label}, req/s" for label in labels], *[f"{label}, KiB" for label in with_memory]]
    return grid(head, rows)


def _has_memory(samples: Samples, case: Case, label: str) -> bool:
    return any(sample.memory is not None for sample in samples.get((case.key, label), ()))


def verdicts(results: Results) -> list[Verdict]:
    """Return what came of every goal, in the order of the tables."""
    found = [one for case in results.cases for one in judge(case, results.samples)]
    if results.delayed is not None:
        case, sums = f"{COUNT:,} delayed files", results.delayed
        near, far = Goal("", "", 2.5, above=False, text=NEAR), Goal("", "", 2.5, above=False, text=FAR)
        found.append(verdict(case, near, sums.daemon / (sums.wire_near + sums.files)))
        found.append(verdict(case, far, sums.daemon / (sums.wire_far + sums.files)))
    if results.listing is not None:
        seconds = Goal("", "", 1.0, above=False, text="seconds to list them")
        found.append(verdict(f"{MANY:,} delayed files", seconds, results.listing.all_ms / 1000))
        share = Goal("", "", 1.0, above=False, text=f"% of a core for idle scans of {PEERS:,} children (computed)")
        found.append(verdict(f"{MANY:,} delayed files", share, results.listing.idle_share * 100))
    for memory in results.memory:
        if memory.peers == 100 and memory.wheel:
            uss = Goal("", "", 1.5, above=False, text="USS of an idle child, MiB")
            pss = Goal("", "", 2.5, above=False, text="PSS of an idle child, MiB")
            found.append(verdict("100 peers", uss, memory.uss / 1024))
            found.append(verdict("100 peers", pss, memory.pss / 1024))
    return found


NEAR = "time : (wire alone on one core + list, read, unlink alone)"
FAR = "time : (wire alone between the cores + list, read, unlink alone)"


def verdict_table(found: Sequence[Verdict]) -> str:
    """Return goals and what was reached; what was not is marked."""
    words = {True: "yes", False: "**NO**", None: "not measured"}
    rows = [[one.case, one.goal, one.limit, one.reached, one.by_cpu, words[one.good]] for one in found]
    return grid(["case", "what", "goal", "reached", "by CPU time", "goal reached"], rows)


def text(results: Results) -> str:
    """Return everything as one text."""
    parts = ["# Results of `make bench`", "\n".join(f"- {line}" for line in results.machine)]
    parts += ["![bars and curves](bench.svg)", "## Goals", verdict_table(verdicts(results)), CPU_NOTE, NOT_YET]
    if results.skipped:
        skipped = [f"- {what}: {why}" for what, why in results.skipped.items()]
        parts += ["Left out here:", "\n".join(skipped)]
    parts.append("## Cases")
    parts += [case_table(case, results.samples) for case in results.cases]
    parts += _idea(results)
    if results.growth:
        parts += ["## Growth", growth_table(results.growth, results.samples), GROWTH_NOTE]
    parts += _files(results)
    if results.memory:
        parts += ["## Memory of an idle child, KiB", memory_table(results.memory)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


GROWTH_NOTE = "KiB: the most that the process held resident while so many clients asked, in the first round."


def _idea(results: Results) -> list[str]:
    """Return the split of an encrypted request's processor time."""
    own = spread(results.samples.get(("kib", "lonc, encrypt:"), ()), "cpu")
    plain = spread(results.samples.get(("kib", "lonc"), ()), "cpu")
    if results.idea is None or own is None or plain is None:
        return []
    idea, frames = results.idea.idea, results.idea.frames
    rows = [
        ["the same request in clear", number(plain.median)],
        [f"IDEA, both ways ({results.idea.engine})", number(idea)],
        ["hexadecimal, frame, checks, both ways", number(frames - idea)],
        ["the rest: twice the bytes on the link, off the hot path", number(own.median - plain.median - frames)],
        ["sum, as measured", number(own.median)],
    ]
    return ["### Where the processor time of a 1 KiB `encrypt:` request goes", grid(["part", "us"], rows)]


def _files(results: Results) -> list[str]:
    parts = []
    if results.delayed is not None:
        own = results.delayed
        rows = [
            ["lonc, from its order to the last deletion", number(own.daemon)],
            ["... least and greatest", f"{number(own.least)} to {number(own.greatest)}"],
            ["wire alone, one at a time, both ends on one core", number(own.wire_near)],
            ["wire alone, one at a time, from the daemon's core", number(own.wire_far)],
            ["list, read, unlink alone", number(own.files)],
            [f"{own.sync_count} syncs of the directory, as lonc makes them", number(own.syncs)],
        ]
        parts += [f"## {COUNT:,} delayed files at window 1", grid(["what", "ms"], rows)]
    if results.listing is not None:
        seen = results.listing
        rows = [
            ["listing, all of one peer, ms", number(seen.all_ms)],
            [f"a child's look when nothing has changed, a share of 1 in {PEERS:,}, us", number(seen.idle_us)],
            ["the same when all are its own, us", number(seen.idle_all_us)],
        ]
        parts += [f"## {MANY:,} delayed files", grid(["what", ""], rows)]
    return parts


def memory_table(memory: Sequence[Memory]) -> str:
    """Return USS and PSS by peers, with and without the wheel."""
    rows = [
        [f"{one.peers}, {'with' if one.wheel else 'without'} the cryptography wheel",
         *[number(figure) for figure in (one.uss, one.pss, one.pss_most, one.pss_parent)]]
        for one in memory
    ]  # fmt: skip
    return grid(["peers", "USS", "PSS", "greatest PSS", "PSS of the parent"], rows)
