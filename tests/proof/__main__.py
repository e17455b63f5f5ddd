"""Runs the proof: every row of the fault matrix, every campaign, the removal of every feature.

    python -m tests.proof                  go on with this round, or begin the next
    python -m tests.proof row kills        these groups only; `row 7` is one step
    python -m tests.proof --list           what there is to do in this round, and how long it takes; runs nothing
    python -m tests.proof --forget STEP    drop what was counted for a step, after a defect was mended
    python -m tests.proof --report         only write doc/proof.md anew

It may be interrupted at any time: what was finished stands in doc/proof.jsonl, and the next call goes on there.
Exit status: 0 when no promise was broken, 1 when one was, 2 for a wrong argument, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from rich.console import Console
from rich.table import Table

from tests.proof import ledger, report
from tests.proof.carry_out import carry_out
from tests.proof.ledger import Record
from tests.proof.plan import REMOVALS, Step, all_steps, chosen, expected_seconds

console = Console(highlight=False)


def lasting(seconds: float) -> str:
    """Return a duration for people."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{max(minutes, 1)} min"


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; SystemExit(2) with a message for wrong ones."""
    parser = argparse.ArgumentParser("python -m tests.proof", description="Run the proof and write doc/proof.md.")
    parser.add_argument("steps", nargs="*", help="steps or groups of steps; all by default")
    parser.add_argument("--list", action="store_true", help="show what is to be done and how long it takes")
    parser.add_argument("--report", action="store_true", help="only write doc/proof.md from doc/proof.jsonl")
    parser.add_argument("--forget", action="store_true", help="drop what was counted for these steps")
    options = parser.parse_args(arguments)
    if options.forget and not options.steps:
        parser.error("--forget needs the names of the steps")
    return options


def shown(records: list[Record]) -> Table:
    """Return the records of one call as a table."""
    table = Table("step", "runs", "inputs", "faults", "violations", "seconds", "skipped")
    for column in table.columns[1:]:
        column.justify = "right"
    for one in records:
        counts = (one.runs, one.inputs, one.faults, one.violations, one.seconds, len(one.skipped))
        table.add_row(one.step, *(f"{count:,.0f}" for count in counts), style="red" if one.violations else "")
    return table


def say(text: str, style: str = "") -> None:
    """Print one line, whatever the width of the terminal."""
    console.print(text, style=style, markup=False, soft_wrap=True)


def one(step: Step, number: int, done: list[Record]) -> None:
    """Carry out one step; the ledger has it as soon as it is done."""
    record = carry_out(step, number)
    ledger.append(record)
    done.append(record)
    if record.violations:
        say(f"    VIOLATED in {step.name}: {record.notes.get('failed', '')}", "red")


def run(steps: list[Step], number: int, records: list[Record], done: list[Record]) -> None:
    """Carry out these steps, each told before, and append their records to done.

    Removals mostly wait, each in a tree of its own: REMOVALS at a time. Everything else runs alone.
    """
    alone = [step for step in steps if step.removal is None]
    together = [step for step in steps if step.removal is not None]
    for position, step in enumerate(alone, 1):
        left = lasting(expected_seconds(steps[position - 1 :], records))
        say(f"{position} of {len(steps)}, {left} left: {step.name}: {step.title}")
        one(step, number, done)
    if together:
        say(f"{len(alone)} of {len(steps)} done; now {len(together)} removals, {REMOVALS} at a time")
    with ThreadPoolExecutor(REMOVALS) as pool:
        waiting = [pool.submit(one, step, number, done) for step in together]
        try:
            for position, ended in enumerate(as_completed(waiting), 1):
                ended.result()
                if position % 10 == 0:
                    say(f"{len(alone) + position} of {len(steps)} done")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # those that run come to their end
            raise


def prove(steps: list[Step], listing: bool) -> int:
    """Carry out what is open of these steps in this round and return the exit status."""
    records = ledger.read()
    everything = [step.name for step in all_steps()]
    number = ledger.present_round(records, everything)
    names = ledger.open_steps(records, [step.name for step in steps], number)
    if not names:  # this round has them: once more, to be added
        names = [step.name for step in steps]
    todo = [step for step in steps if step.name in names]
    took = lasting(expected_seconds(todo, records))
    say(f"Round {number}: {len(todo)} of {len(steps)} steps are open; they take about {took}.")
    if listing:
        for step in todo:
            say(f"    {step.name}: {step.title}")
        return 0
    began = time.monotonic()
    done: list[Record] = []
    try:
        run(todo, number, records, done)
    finally:
        report.write(ledger.read())
    console.print(shown(done))
    say(f"{lasting(time.monotonic() - began)}; doc/proof.md is written.")
    return 1 if any(record.violations for record in done) else 0


def main(arguments: list[str]) -> int:
    """Do what the arguments say and return the exit status."""
    options = parse(arguments)
    try:
        steps = chosen(options.steps)
    except ValueError as error:
        print(f"tests.proof: {error}", file=sys.stderr)
        return 2
    if options.report or options.forget:
        if options.forget:
            say(f"{ledger.forget({step.name for step in steps})} records dropped")
        report.write(ledger.read())
        return 0
    try:
        return prove(steps, options.list)
    except KeyboardInterrupt:
        print("interrupted; the next call goes on here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
