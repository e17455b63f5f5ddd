"""Owns `make bench`: measures everything, prints the tables, writes doc/bench/results.md and bench.svg.

    python -m tests.bench.run [--rounds N] [--seconds S] [--quick] [--only KEY,...] [--wait S] [--first]
                               [--no-files]

--wait: how long to wait for a quiet machine before the first round. --first: ahead of what else runs. --quick:
the cases alone, without growth, delayed files and memory; --only: of the cases only these (keys in cases.py, and
`lond` for all of the server's).
--no-files: print only. Ends with 1 when a reply was wrong, something failed, or something needed is missing; a
goal that was missed is marked and explained in the tables and changes nothing at the exit status.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.cases import cases, growth
from tests.bench.idle import idea_1kib, idle_memory
from tests.bench.kit import TREE, Kit, KitMissing, build
from tests.bench.lond import LondRounds
from tests.bench.londcases import KEY as LOND_KEY
from tests.bench.londcases import lond_cases
from tests.bench.messages import delayed
from tests.bench.ondemand import on_demand
from tests.bench.picture import draw
from tests.bench.results import Results
from tests.bench.rivals import Cores, Missing, Rivals
from tests.bench.rounds import Rounds
from tests.bench.scan import listing
from tests.bench.sums import Samples, Spread, disturbance
from tests.bench.table import text

QUIET_LOAD = 0.7
QUIET_SHARE = 0.03  # of the time, for what else runs on the relaying process's core
PLACE = TREE / "doc" / "bench"
GROWTH_ROUNDS = 3  # at most: no goal hangs on them
QUICK_LOND = (3, 0.2)  # rounds and seconds of lond's rows, at most, of a quick run
MEMORY = ((1, True), (1, False), (100, True), (100, False), (1000, True))  # peers, with the wheel or not
FIRST = -20
CHILD_MIB = 8  # more than a child takes


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
    if options.first:
        os.nice(FIRST)  # of all that is started from here on, so that the ways stay comparable
    began = time.monotonic()
    results = measure(kit, options, hard)
    results.machine += machine(options, results.samples, load_before, time.monotonic() - began)
    words = text(results)
    print(words)
    if not options.no_files:
        write(results, words)
    return 1 if results.failed else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.8, help="of each run of each row")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds to wait for a quiet machine")
    parser.add_argument("--quick", action="store_true", help="the cases alone")
    parser.add_argument("--only", default="", metavar="KEY,...", help="of the cases only these")
    parser.add_argument("--first", action="store_true", help="ahead of what else runs: nice -20, for root only")
    parser.add_argument("--no-files", action="store_true", help="print only")
    return parser.parse_args(arguments)


def measure(kit: Kit, options: argparse.Namespace, descriptors: int) -> Results:
    """Return what was found; everything started is ended. What fails is told in the results, the rest goes on."""
    cores = Cores()
    wanted = [case for case in cases() if not options.only or case.key in options.only.split(",")]
    complete = not options.quick and not options.only
    results = Results([], wanted, growth() if complete else [], {}, complete=complete)
    with Rivals(kit, cores, descriptors) as rivals:
        rounds = Rounds(kit, rivals, descriptors, options.seconds)
        rounds.run(results.cases, options.rounds)
        rounds.run(results.growth, min(options.rounds, GROWTH_ROUNDS))
        results.samples, results.skipped, results.failed = rounds.samples, rounds.skipped, rounds.failed
        results.idea = idea_1kib(cores.daemon)
        if not options.only or LOND_KEY in options.only.split(","):
            with part(results, "lond"):
                _lond(kit, cores, options, results)
        if complete:
            with part(results, "delayed files"):
                results.delayed = delayed(kit, cores, rivals.stub.port, options.rounds)
    if complete:
        with part(results, "a great delayed directory"):
            results.listing = listing()
        with part(results, "children on demand"):
            results.on_demand = on_demand(kit)
        for peers, wheel in MEMORY:
            with part(results, f"memory of {peers:,} peers"):
                enough_memory(peers)
                results.memory.append(idle_memory(peers, wheel=wheel))
    return results


def _lond(kit: Kit, cores: Cores, options: argparse.Namespace, results: Results) -> None:
    """Measure the server, and put what was found into the results."""
    rounds, seconds = options.rounds, options.seconds
    if options.quick:
        rounds, seconds = min(rounds, QUICK_LOND[0]), min(seconds, QUICK_LOND[1])
    results.lond = lond_cases(len(os.sched_getaffinity(0)))
    with LondRounds(kit, cores, seconds) as lond:
        lond.run(results.lond, rounds)
    results.samples = {**results.samples, **lond.samples}
    results.skipped |= lond.skipped
    results.failed |= lond.failed


@contextmanager
def part(results: Results, name: str) -> Iterator[None]:
    """Say what is measured, and note it as left out or failed when it raises Missing or AssertionError."""
    print(name, file=sys.stderr, flush=True)
    try:
        yield
    except Missing as reason:
        results.skipped[name] = str(reason)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        results.failed[name] = str(error)[:500]


def enough_memory(peers: int) -> None:
    """Raise Missing when so many children may not fit into this machine."""
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    free_mib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) // 1024
    if peers * CHILD_MIB > free_mib:
        raise Missing(f"{peers * CHILD_MIB:,} MiB may be needed, {free_mib:,} are free")


def wait_for_quiet(patience_s: float) -> float:
    """Return the load average of the last minute, once it is low or patience is over."""
    until = time.monotonic() + patience_s
    while os.getloadavg()[0] >= QUIET_LOAD and time.monotonic() < until:
        time.sleep(2)
    return os.getloadavg()[0]


def machine(options: argparse.Namespace, samples: Samples, load_before: float, took_s: float) -> list[str]:
    """Return lines about where, when and how this was measured, and how much the machine did besides."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    lost = disturbance(samples) or Spread(0.0, 0.0, 0.0)
    shared = load_before >= QUIET_LOAD or lost.median >= QUIET_SHARE
    return [
        f"{time.strftime('%Y-%m-%d')}, tree at {_commit()}, {took_s:.0f} s in all",
        f"{os.cpu_count()} cores of {model}, Linux {platform.release()}, Python {platform.python_version()}",
        f"something else had the relaying process's core for {lost.median:.1%} of the time (in the worst run "
        f"{lost.greatest:.0%}), load average before {load_before:.2f}"
        + (": **a shared machine**, trust ratios alone, those by CPU time most" if shared else ""),
        f"{options.rounds} interleaved rounds, {options.seconds:g} s a row; medians, and extremes of the rates"
        + (f"; everything measured ran ahead of the rest (nice {FIRST})" if options.first else ""),
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
    (PLACE / "bench.svg").write_text(draw(results), "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
