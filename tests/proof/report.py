"""Owns doc/proof.md: the report made from the ledger and from the tables of rows, campaigns and promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.proof.campaigns import CAMPAIGNS, Campaign
from tests.proof.ledger import TREE, Record, Sum, sums
from tests.proof.plan import all_steps
from tests.proof.promises import PROMISES
from tests.proof.rows import ROWS

PLACE = TREE / "doc" / "proof.md"
SAYS = 140  # characters shown of an assertion

HEAD = """# The proof

What the tests found when they were let run for long, in figures. This file is written by `make prove` from
[proof.jsonl](proof.jsonl), to which every run adds its lines; it is not edited. The sentences that are proven are
those of the promises and of the fault matrix below; how to run the proof stands in
[tests/README.md](../tests/README.md), how well the unit tests watch every line in [mutation.md](mutation.md), and
which sentences of the protocol are tested from outside in [conformance.md](conformance.md).
"""


def number(value: float) -> str:
    """Return a count with its thousands parted by commas."""
    return f"{value:,.0f}"


def cell(text: str, most: int = 0) -> str:
    """Return text as the cell of a table, on one line, cut where it is longer than most characters."""
    line = " ".join(text.split())
    if most and len(line) > most:
        line = line[: most - 1] + "…"
    return line.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;").replace("*", "\\*")


def table(heads: list[str], rows: Iterable[list[str]], right: Iterable[int] = ()) -> list[str]:
    """Return a table; right are the columns set to the right."""
    edges = ["---:" if column in right else "---" for column in range(len(heads))]
    lines = [f"| {' | '.join(row)} |" for row in [heads, *rows]]
    return [lines[0], f"|{'|'.join(edges)}|", *lines[1:], ""]


def head(records: list[Record]) -> list[str]:
    """Return when, where and how much was run."""
    if not records:
        return ["Nothing has been run yet.", ""]
    dates = sorted(record.date for record in records)
    machines = dict.fromkeys(record.machine for record in records)
    commits = list(dict.fromkeys(record.commit for record in records if record.commit))
    hours = sum(record.seconds for record in records) / 3600
    done = {record.step for record in records if not record.violations}
    steps = [step.name for step in all_steps()]
    open_ones = [step for step in steps if step not in done]
    lines = [
        f"- Run from {dates[0]} to {dates[-1]} (UTC), {hours:.1f} hours of machine time in all.",
        *(f"- Machine: {one}" for one in machines),
        f"- Code: {len(commits)} states of the tree, {commits[0]} to {commits[-1]} (`+`: and changes on top)."
        if commits
        else "- Code: not under version control.",
        f"- {len(steps) - len(open_ones)} of {len(steps)} steps have a good run.",
    ]
    if open_ones:
        groups = Counter(step.split(maxsplit=1)[0] for step in open_ones)
        words = [step for step in open_ones if step.split(maxsplit=1)[0] == "row"]
        words += [f"{count} of `{group}`" for group, count in groups.items() if group != "row"]
        lines.append(f"- Without a good run: {', '.join(words)}.")
    return [*lines, ""]


def campaign_row(campaign: Campaign, found: dict[str, Sum]) -> list[str]:
    """Return the line of one campaign: all its slices together."""
    slices = [one for name, one in found.items() if name.split(maxsplit=1)[0] == campaign.name]
    reached = sum(getattr(one, campaign.counted) for one in slices)
    return [
        campaign.name,
        cell(campaign.sentence),
        f"{number(campaign.goal)} {campaign.unit}" if campaign.goal > 1 else f"all {campaign.unit}",
        f"**{number(reached)}**",
        number(sum(one.inputs for one in slices)),
        number(sum(one.faults for one in slices)),
        number(sum(one.violations for one in slices)),
        number(sum(one.seconds for one in slices)),
    ]


def campaigns(found: dict[str, Sum]) -> list[str]:
    """Return the table of the campaigns."""
    heads = ["campaign", "what", "wanted", "done", "inputs", "faults", "violations", "seconds"]
    rows = [campaign_row(one, found) for one in CAMPAIGNS]
    return ["## Campaigns", "", *table(heads, rows, range(3, 8))]


def fault_rows(found: dict[str, Sum]) -> list[str]:
    """Return the table of the fault matrix."""
    rows = []
    for row in ROWS:
        one = found.get(f"row {row.number}", Sum())
        skipped = len(one.last.skipped) if one.last else 0
        left = f"{skipped} skipped" if skipped else ""
        rows.append(
            [
                str(row.number), cell(row.fault), number(one.runs), number(one.inputs), number(one.faults),
                number(one.violations), number(one.seconds), cell("; ".join(filter(None, [row.needs, left]))),
            ]
        )  # fmt: skip
    heads = ["row", "fault", "runs", "inputs", "faults injected", "violations", "seconds", "needs"]
    rootless = sum("root" not in row.needs for row in ROWS)
    words = f"{len(ROWS)} rows; {rootless} of them need no root. A test in several rows is counted in each."
    return ["## The fault matrix", "", words, "", *table(heads, rows, range(2, 7))]


def removals(found: dict[str, Sum]) -> list[str]:
    """Return the table that shows which test notices that a feature is gone."""
    rows = []
    for promise in PROMISES:
        for count, removal in enumerate(promise.removals, 1):
            one = found.get(f"without {promise.name}.{count}", Sum())
            last = one.last
            notes = last.notes if last else {}
            if last is None:
                outcome = "not run yet"
            elif last.violations:
                outcome = "**not noticed**"
            else:
                outcome = f"`{notes.get('test', '').rpartition('/')[2]}`"
            says = f"`{cell(notes.get('says', ''), SAYS).replace('`', chr(39))}`" if notes.get("says") else ""
            title = cell(promise.sentence) if count == 1 else ""
            rows.append([promise.name if count == 1 else "", title, cell(removal.what), cell(outcome), says])
    heads = ["promise", "says", "what was taken away", "noticed by", "with the words"]
    words = (
        "Each feature was taken out of a copy of the tree, and the tests of its promise were run there: a test "
        "that passes without the feature proves nothing."
    )
    return ["## Without the feature the test fails", "", words, "", *table(heads, rows)]


def others(records: list[Record], found: dict[str, Sum]) -> list[str]:
    """Return what else there is to say: runs of the soak, skipped tests, tests that passed the second time."""
    lines: list[str] = []
    soaks = [record for record in records if record.step.startswith("soak")]
    if soaks:
        heads = ["date", "seconds", "inputs", "faults", "violations", "growth"]
        rows = [
            [one.date, number(one.seconds), number(one.inputs), number(one.faults), number(one.violations),
             cell(one.notes.get("growth", ""))]
            for one in soaks
        ]  # fmt: skip
        lines += ["## Soak", "", *table(heads, rows, range(1, 5))]
    skipped = {pair for one in found.values() if one.last for pair in one.last.skipped}
    if skipped:
        rows = [[f"`{test.rpartition('/')[2]}`", cell(reason)] for test, reason in sorted(skipped)]
        lines += ["## Skipped, and why", "", *table(["test", "reason"], rows)]
    again = sorted({test for record in records for test in record.again})
    if again:
        words = "On a busy machine these failed once beside others and passed alone; they count as passed."
        lines += ["## The second time", "", words, "", *(f"- `{test}`" for test in again), ""]
    return lines


def text(records: list[Record]) -> str:
    """Return the whole report."""
    found = sums(records)
    lines = [
        *HEAD.splitlines(), "", *head(records), *campaigns(found), *fault_rows(found), *removals(found),
        *others(records, found),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def write(records: list[Record], place: Path = PLACE) -> None:
    """Write the report, whole or not at all."""
    fresh = place.with_name(place.name + ".new")
    fresh.write_text(text(records), "utf-8")
    fresh.replace(place)
