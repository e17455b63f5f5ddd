"""Runs the mutants of the named parts, or writes the report: see README.md."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time

from tests.mutation import functions, own
from tests.mutation.ground import prepare
from tests.mutation.parts import PARTS, REPORT, Part
from tests.mutation.report import page, reasons
from tests.mutation.results import SURVIVED, Mutant, total

CHANGED = "tests-changed"  # a mark in the ground: what survived has still to be tried with the new tests


def found(part: Part) -> list[Mutant]:
    """Return all mutants of a part with their verdicts; none when it has never run."""
    return functions.found(part) + own.found(part)


def run(part: Part, jobs: int) -> None:
    """Run one part to its end and print its sums and its survivors."""
    start = time.monotonic()
    mark = part.ground / CHANGED
    if prepare(part):
        mark.touch()
    changed = mark.exists()
    functions.run(part, jobs, tests_changed=changed)
    own.run(part, jobs, tests_changed=changed)
    mark.unlink(missing_ok=True)
    mutants = found(part)
    for mutant in mutants:
        if mutant.verdict == SURVIVED:
            print(f"{mutant.file}: {mutant.function}:\n  - {mutant.before}\n  + {mutant.after}")
    numbers = total(mutants)
    print(f"{part.name}: {numbers} {numbers.percent:.1f} %, {time.monotonic() - start:.0f} s")


def report() -> int:
    """Write the page; return 1 when something is missing from it."""
    text, wrong = page({name: found(part) for name, part in PARTS.items()}, reasons())
    REPORT.write_text(text, "utf-8")
    for line in wrong:
        print(line, file=sys.stderr)
    return int(bool(wrong))


def main() -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at the same time")
    parser.add_argument("--fresh", action="store_true", help="forget what was found before")
    parser.add_argument("--report", action="store_true", help="write doc/mutation.md from what was found")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if arguments.report:
        return report()
    os.nice(10)
    for name in arguments.parts or PARTS:
        if arguments.fresh:
            shutil.rmtree(PARTS[name].ground, ignore_errors=True)
        run(PARTS[name], arguments.jobs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
