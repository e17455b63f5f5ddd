"""Owns the words of the results: everything that was measured as one Markdown text. No processes, no files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.bench.cases import Case
from tests.bench.idle import Memory
from tests.bench.londtable import lond_section
from tests.bench.messages import COUNT
from tests.bench.results import Results, verdicts
from tests.bench.scan import CHILDREN, MANY, PEERS, SCAN_S
from tests.bench.sums import Samples, Verdict, number, spread

CPU_NOTE = (
    "By CPU time: the ratio of the processor time that the relaying processes need per request, the other way "
    "round, so that it reads like the ratio of rates. It does not see the load and the stub, and hardly what else "
    "the machine does."
)
GROWTH_NOTE = "KiB: the most that the process held resident while so many clients asked, in the first round."
MEMORY_NOTE = (
    "USS: what is a process's own. PSS: with its share of what several have in common. The last column adds up "
    "the PSS of the parent and all children."
)
SLEEP_NOTE = (
    "`+ sleeper`: a further client asks `sleep:1000` again and again; the figures are those of the 32 others. "
    "With 10 links all ten are open from the beginning."
)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """Return a Markdown table; so many columns from the left are words, the others are figures."""
    lines = [head, [*["---"] * words, *["---:"] * (len(head) - words)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


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
    note = f"\n{SLEEP_NOTE}\n" if case.key == "sleep" else ""
    return f"### {case.title}\n\n{grid(head, rows)}{note}"


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


def verdict_table(found: Sequence[Verdict]) -> str:
    """Return goals and what was reached; what was not is marked."""
    marks = {True: "yes", False: "**NO**", None: "not measured"}
    rows = [[one.case, one.goal, one.limit, one.reached, one.by_cpu, marks[one.good]] for one in found]
    return grid(["case", "what", "goal", "reached", "by CPU time", "goal reached"], rows, 2)


def explained(found: Sequence[Verdict]) -> list[str]:
    """Return a heading and a line for each goal that was missed, none when all were reached."""
    missed = [one for one in found if one.good is False]
    if not missed:
        return []
    lines = [
        f"- **{one.case}** ({one.goal}: {one.reached}, {one.limit}): {one.why or 'not known'}." for one in missed
    ]
    return ["## Missed, and why", "More in `doc/performance.md`.", "\n".join(lines)]


def text(results: Results) -> str:
    """Return everything as one text."""
    found = verdicts(results)
    reached = sum(one.good is True for one in found)
    parts = ["# Results of `make bench`", "\n".join(f"- {line}" for line in results.machine)]
    parts.append("![bars and curves](bench.svg)")
    if found:
        parts += ["## Goals", f"{reached} of {len(found)} reached."]
        parts += [verdict_table(found), CPU_NOTE, *explained(found)]
    for head, found_there in (("Left out here:", results.skipped), ("**Failed:**", results.failed)):
        if found_there:
            parts += [head, "\n".join(f"- {what}: {why}" for what, why in found_there.items())]
    if results.cases:
        parts += ["## Cases", *[case_table(case, results.samples) for case in results.cases]]
    parts += _idea(results)
    parts += lond_section(results.lond, results.samples)
    if results.growth:
        parts += ["## Growth", growth_table(results.growth, results.samples), GROWTH_NOTE]
    parts += [*_files(results), *_on_demand(results)]
    if results.memory:
        parts += ["## Memory of an idle child, KiB", memory_table(results.memory), MEMORY_NOTE]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


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
        origin = "counted by strace" if own.counted else "computed"
        rows = [
            ["lonc, from its order to the last deletion", number(own.daemon)],
            ["... least and greatest", f"{number(own.least)} to {number(own.greatest)}"],
            [f"{own.sync_count} syncs of the directory ({origin}), alone", number(own.syncs)],
            ["lonc without its syncs", number(own.daemon_without_syncs)],
            ["wire alone, one at a time, both ends on one core", number(own.wire_near)],
            ["wire alone, one at a time, from the daemon's core", number(own.wire_far)],
            ["list, read, unlink alone", number(own.files)],
        ]
        parts += [f"## {COUNT:,} delayed files at window 1, names dated in the past", grid(["what", "ms"], rows)]
    if results.listing is not None:
        seen = results.listing
        rows = [
            ["listing, all of one peer, ms", number(seen.all_ms)],
            [f"a look when nothing has changed, a share of 1 in {PEERS:,}, us", number(seen.look_us)],
            [f"... of {PEERS:,} children every {SCAN_S:g} s, % of a core", number(seen.look_share * 100)],
            [f"an idle child's whole wake-up ({CHILDREN} children measured), us", number(seen.wake_us)],
            [f"... of {PEERS:,} children every {SCAN_S:g} s, % of a core", number(seen.wake_share * 100)],
        ]
        parts += [f"## {MANY:,} delayed files", grid(["what", ""], rows)]
    return parts


def _on_demand(results: Results) -> list[str]:
    """Return memory and waiting of children on demand."""
    own = results.on_demand
    if own is None:
        return []
    rows = [
        [f"PSS of parent and children, {count} asked, KiB", number(total)] for count, total in own.totals.items()
    ]
    rows += [
        ["a peer's first request (fork, dial, dialogue), ms", number(own.first)],
        ["... longest, ms", number(own.first_most)],
        ["one more on a new connection, ms", number(own.again)],
        ["connection, dialogue and request without lonc, ms", number(own.dial)],
    ]
    return [f"## {own.peers:,} peers on demand", grid(["what", ""], rows)]


def memory_table(memory: Sequence[Memory]) -> str:
    """Return USS and PSS by peers, with and without the wheel."""
    rows = [
        [f"{one.peers:,}, {'with' if one.wheel else 'without'} the cryptography wheel",
         *[number(figure) for figure in (one.uss, one.pss, one.pss_most, one.pss_parent, one.total)]]
        for one in memory
    ]  # fmt: skip
    return grid(["peers", "USS", "PSS", "greatest PSS", "PSS of the parent", "in all"], rows)
