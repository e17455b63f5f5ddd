"""What the relay costs: interleaved rounds of the same load, through lonc and straight to the peer.

    python -m tests.bench.relay [ROUNDS [SECONDS]]

Absolute figures of a shared machine say little, so all cases run side by side, A B A B, in each round, and
the medians are shown as ratios. The stub and the load are pinned to one core, the daemon to the other.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.kit import Kit, KitMissing, Stub, build, load
from tests.process.harness import Entry, Site

PEER = "msul1"


@dataclass(frozen=True, slots=True)
class Case:
    """One row: the load's options, and which way it goes."""

    name: str
    options: tuple[str, ...]
    against: str  # the row that it is compared with
    settings: dict[str, str] = field(default_factory=dict)
    direct: bool = False


SHAPES = {
    "64 clients, 32 B": ("-c", "64", "-s", "32"),
    "64 clients, one request each": ("-c", "64", "-s", "32", "-k", "1"),
    "1,000 clients, 32 B": ("-c", "1000", "-s", "32"),
    "4 clients, 1 MiB replies": ("-c", "4", "-r", "size:1048576"),
}


def cases() -> list[Case]:
    """Return all rows: each shape direct, with window 1, and with the default window; then encryption."""
    rows = []
    for name, options in SHAPES.items():
        rows.append(Case(f"{name}: direct TCP", ("-H", *options), f"{name}: direct TCP", direct=True))
        rows.append(Case(f"{name}: lonc, window 1", options, f"{name}: direct TCP", {"loncPipeline": "1"}))
        rows.append(Case(f"{name}: lonc", options, f"{name}: direct TCP"))
    plain = ("-c", "16", "-s", "1024")
    rows.append(Case("16 clients, 1 KiB: lonc", plain, "16 clients, 1 KiB: lonc"))
    rows.append(Case("16 clients, 1 KiB encrypt: lonc", (*plain, "-r", "encrypt:@"), "16 clients, 1 KiB: lonc"))
    return rows


def main(arguments: Sequence[str]) -> int:
    """Run everything, print the table; return 1 when a reply was wrong or the kit is missing."""
    rounds = int(arguments[0]) if arguments else 5
    seconds = arguments[1] if len(arguments) > 1 else "1"
    try:
        kit = build()
    except KitMissing as reason:
        print(f"not measured: {reason}")
        return 1
    rows = cases()
    rates: dict[str, list[float]] = {case.name: [] for case in rows}
    with Bench(kit) as bench:
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for case in rows:
                rates[case.name].append(bench.run(case, seconds))
    print_table(rows, rates)
    return 0


class Bench:
    """The stub, and one daemon for each set of settings, all running at once and idle but for one."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        cores = sorted(os.sched_getaffinity(0))
        self.pin_load = ["taskset", "-c", str(cores[0])] if len(cores) > 1 else []
        self.daemon_core = {cores[-1]}
        self.stub = Stub(kit, own_id=PEER)
        os.sched_setaffinity(self.stub.process.pid, {cores[0]})
        self.sites: dict[str, Site] = {}

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for site in self.sites.values():
            site.cleanup()
        self.stub.stop()

    def site(self, case: Case) -> Site:
        """Return the running daemon for the settings of a case."""
        key = repr(case.settings)
        if key not in self.sites:
            site = Site([Entry(PEER, "127.0.0.1")], settings=case.settings | {"londPort": str(self.stub.port)})
            site.start()
            site.wait_ready(PEER)
            for pid in (site.pid(), *site.children()):
                os.sched_setaffinity(pid, self.daemon_core)
            self.sites[key] = site
        return self.sites[key]

    def run(self, case: Case, seconds: str) -> float:
        """Return the requests per second of one run. Raises AssertionError when a reply was wrong."""
        if case.direct:
            where = ["-p", str(self.stub.port), "-i", PEER]
        else:
            where = ["-u", str(self.site(case).socket_path(PEER))]
        found = load(self.kit, *where, *case.options, "-t", seconds, wrapper=self.pin_load)
        assert found.good, f"{case.name}: {found.line} {found.errors}"
        return found.figures["req/s"]


def print_table(rows: Sequence[Case], rates: dict[str, list[float]]) -> None:
    """Print medians, extremes and ratios as a table."""
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print("| case | median/s | min | max | ratio | to |\n|---|---|---|---|---|---|")
    for case in rows:
        values = rates[case.name]
        ratio = medians[case.name] / medians[case.against]
        print(
            f"| {case.name} | {medians[case.name]:,.0f} | {min(values):,.0f} | {max(values):,.0f}"
            f" | {ratio:.2f} | {case.against} |"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
