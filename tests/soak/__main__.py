"""Runs a soak of any length.

    python -m tests.soak --hours 8         the whole of fault row 24
    python -m tests.soak --seconds 60      a bounded one; --seed N: the faults of an earlier one in the same order

A line every ten seconds says what has happened. Exit status 0 when no promise was broken and nothing has leaked;
1 else: the seed is printed, and the installation stays for a look.
"""

from __future__ import annotations

import argparse
import random
import sys

from tests.history.world import SETTINGS
from tests.process import procs
from tests.process.harness import Site
from tests.proof import ledger
from tests.soak.run import Soak, Verdict, hosts


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; seconds is what was asked for in either way."""
    parser = argparse.ArgumentParser("python -m tests.soak", description="Mixed faults for hours.")
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--no-record", action="store_true", help="add no line to doc/proof.jsonl")
    options = parser.parse_args(arguments)
    options.seconds += options.hours * 3600
    if options.seconds <= 0:
        parser.error("say for how long: --hours or --seconds")
    return options


def record(verdict: Verdict) -> None:
    """Add the run to the proof."""
    notes = {"growth": verdict.growth(), "seed": str(verdict.seed)}
    ledger.append(
        ledger.Record(
            "soak", 1, ledger.now(), ledger.commit(), ledger.machine(), verdict.seconds, 1, verdict.inputs,
            verdict.faults, len(verdict.violations), notes=notes,
        )
    )  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run it and return the exit status."""
    options = parse(arguments)
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    site = Site(hosts(), settings=SETTINGS)
    print(f"seed {seed}, {site.root}", flush=True)
    soak = Soak(site, options.seconds, seed, lambda line: print(line, flush=True))
    good = False
    try:
        verdict = soak.run()
        good = not verdict.violations
    finally:
        if good:
            site.cleanup()
        else:
            print(f"not good; seed {seed}, see {site.root}", file=sys.stderr)
            procs.end_all(site.root)
    for kind, count in sorted(verdict.kinds.items()):
        print(f"{count:8} {kind}")
    print(f"{verdict.inputs} inputs, {verdict.faults} faults, {verdict.seconds:.0f} s; growth: {verdict.growth()}")
    print("\n".join(verdict.violations) or "0 violations")
    if not options.no_record:
        record(verdict)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
