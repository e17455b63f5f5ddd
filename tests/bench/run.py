"""Owns `make bench`: measures everything, prints the tables, writes doc/bench/results.md and bench.svg.

    python -m tests.bench.run [--rounds N] [--seconds S] [--quick] [--wait S] [--no-files]

--wait: how long to wait for a quiet machine before the first round. --quick: the cases alone, without growth,
delayed files and memory. --no-files: print only. Ends with 1 when a reply was wrong or something needed is
missing; a goal that was missed is marked in the tables and changes nothing at the exit status.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.cases import cases, growth
from tests.bench.idle import idea_1kib, idle_memory
from tests.bench.kit import TREE, Kit, KitMissing, build
from tests.bench.messages import delayed, listing
from tests.bench.picture import draw
from tests.bench.rivals import Cores, Rivals
from tests.bench.rounds import Rounds
from tests.bench.table import Results, text

QUIET_LOAD = 0.7
PLACE = TREE / "doc" / "bench"
PEERS = (1, 100)


def main(arguments: Sequence[str]) -> int:
    """Measure everything; return 0, or 1 when that was not possible."""
    options = _options(arguments)
    try:
        kit = build()
    except KitMissing as reason:
        print(f"not measured: {reason}")
        return 1
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load_before = wait_for_quiet(options.wait)
    began = time.monotonic()
    results = measure(kit, options, hard)
    results.machine += machine(options, load_before, time.monotonic() - began)
    words = text(results)
    print(words)
    if not options.no_files:
        write(results, words)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run of each row")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds to wait for a quiet machine")
    parser.add_argument("--quick", action="store_true", help="the cases alone")
    parser.add_argument("--no-files", action="store_true", help="print only")
    return parser.parse_args(arguments)


def measure(kit: Kit, options: argparse.Namespace, descriptors: int) -> Results:
    """Return what was found; everything started is ended."""
    cores = Cores()
    results = Results([], cases(), [] if options.quick else growth(), {})
    with Rivals(kit, cores, descriptors) as rivals:
        rounds = Rounds(kit, rivals, descriptors, options.seconds)
        rounds.run(results.cases, options.rounds)
        results.idea = idea_1kib(cores.daemon)
        if not options.quick:
            rounds.run(results.growth, options.rounds)
            results.delayed = delayed(kit, cores, rivals.stub.port, options.rounds)
        results.samples, results.skipped = rounds.samples, rounds.skipped
    if not options.quick:
        results.listing = listing()
        results.memory = [idle_memory(count, wheel=wheel) for count in PEERS for wheel in (True, False)]
    return results


def wait_for_quiet(patience_s: float) -> float:
    """Return the load average of the last minute, once it is low or patience is over."""
    until = time.monotonic() + patience_s
    while os.getloadavg()[0] >= QUIET_LOAD and time.monotonic() < until:
        time.sleep(2)
    return os.getloadavg()[0]


def machine(options: argparse.Namespace, load_before: float, took_s: float) -> list[str]:
    """Return lines about where, when and how this was measured."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    shared = "" if load_before < QUIET_LOAD else " (**shared machine**: something else was running)"
    return [
        f"{time.strftime('%Y-%m-%d')}, tree at {_commit()}, {took_s:.0f} s in all",
        f"{os.cpu_count()} cores of {model}, Linux {platform.release()}, Python {platform.python_version()}",
        f"load average before: {load_before:.2f}{shared}",
        f"{options.rounds} interleaved rounds, {options.seconds:g} s a row; medians, and extremes of the rates",
        "load and stub on one core, the relaying process on the other; CPU: its time by the kernel's count",
    ]


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no commit"


def write(results: Results, words: str) -> None:
    """Write both files of doc/bench."""
    PLACE.mkdir(parents=True, exist_ok=True)
    (PLACE / "results.md").write_text(words, "utf-8")
    title = "lonc beside direct connections, HAProxy, and the C ceiling"
    (PLACE / "bench.svg").write_text(draw(results.cases, results.growth, results.samples, title), "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
