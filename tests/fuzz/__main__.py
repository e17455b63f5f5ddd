"""Fuzz the parts of lonc that take bytes from others: python -m tests.fuzz [NAME...] --inputs N --seed S."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from tests.fuzz import campaign
from tests.fuzz.campaign import Outcome
from tests.fuzz.harness import Harness
from tests.fuzz.table import HARNESSES, shares

TTY = sys.stderr.isatty()


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"harnesses: {' '.join(HARNESSES)} (all)")
    parser.add_argument("--inputs", type=int, default=100_000, help="over all harnesses, by weight (100000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same inputs (1)")
    parser.add_argument("--seconds", type=float, help="the most for each harness")
    parser.add_argument("--replay", metavar="FILE", action="append", help="only these inputs, with one NAME")
    parser.add_argument(
        "--atheris", action="store_true",
        help="guided by coverage, --seconds (60) each; what reaches new code is kept",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Do what the command line says; return 1 when something was found, else 0."""
    parser = arguments()
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in HARNESSES]
    if unknown or (options.replay and len(options.names) != 1):
        parser.error(f"no such harness: {' '.join(unknown)}" if unknown else "--replay needs one NAME")
    chosen = [HARNESSES[name] for name in options.names] or list(HARNESSES.values())
    if options.atheris:
        from tests.fuzz import guided  # the library is an extra

        return guided.explore(chosen, options.seconds or 60.0, options.seed)
    if options.replay:
        return replay(chosen[0], options.replay)
    return fuzz(chosen, options.inputs, options.seed, options.seconds)


def fuzz(chosen: Sequence[Harness], inputs: int, seed: int, seconds: float | None) -> int:
    """Run a campaign over each harness, and sum up."""
    began = time.process_time()
    outcomes = []
    for harness, share in shares(chosen, inputs):
        outcome = campaign.run(harness, share, seed, seconds=seconds, tell=_progress)
        outcomes.append(outcome)
        print(f"\r\x1b[K{outcome}" if TTY else str(outcome), flush=True)
        for finding, path in zip(outcome.findings, outcome.files, strict=True):
            print(f"    {finding.kind}: {path}", flush=True)
    total, found = sum(one.inputs for one in outcomes), sum(len(one.findings) for one in outcomes)
    took = time.process_time() - began
    print(f"{total:,} inputs, {took:.1f} s of processor time, {found} findings, seed {seed}")
    return 1 if found else 0


def replay(harness: Harness, files: Sequence[str]) -> int:
    """Run single inputs; show the traceback of those that are wrong."""
    from tests.fuzz.watch import attempt, limits

    found = 0
    with limits():
        for name in files:
            with open(name, "rb") as file:
                finding = attempt(harness.function, file.read())
            print(f"{name}: {finding.told if finding else 'nothing found'}")
            found += finding is not None
    return 1 if found else 0


def _progress(outcome: Outcome) -> None:
    if TTY:
        print(f"\r\x1b[K{outcome}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
