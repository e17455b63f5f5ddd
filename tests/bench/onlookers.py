"""Owns what it costs the daemon that somebody looks: requests beside loncctl, with 1,000 peers in the table.

    .venv/bin/python -m tests.bench.onlookers [ROUNDS]

In each round the same load is run twice, once alone and once beside `status`, `top --once` and `page`, one after
the other without a pause, in turns about which is first. lonc's child and the load share one core, loncctl has the
other: it needs processor time of its own, and that is not the question. Printed: how long each verb takes, and the
ratio of requests a second and of the child's processor time for each, with onlookers to without.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.kit import Kit, build, load
from tests.bench.rounds import on_cpu_ns
from tests.fakes.crowd import address_of, name_of
from tests.process.harness import TREE, Entry, Site
from tests.process.test_scale import crowd

PEERS = 1000
ROUNDS = 9
LOAD = ("-c", "64", "-t", "1.5", "-s", "32")
VERBS = (("status",), ("top", "--once"), ("page",))


def main() -> int:
    """Print what was found; return 0."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    kit = build()
    settings = {"loncOnDemand": "on"}
    site = Site([Entry(name_of(i), address_of(i)) for i in range(PEERS)], settings=settings)
    try:
        with crowd(site.port, PEERS):
            site.start()
            assert site.ask(name_of(0), b"echo:x") == b"x"
            _tell_times(site)
            _tell_ratios(kit, site, rounds)
            site.stop()
    finally:
        site.cleanup()
    return 0


def _command(site: Site, *words: str) -> list[str]:
    return [sys.executable, str(TREE / "bin" / "loncctl"), "--conf-dir", str(site.conf_dir), *words]


def _tell_times(site: Site) -> None:
    for words in VERBS:
        took = []
        for _ in range(5):
            began = time.monotonic()
            subprocess.run(_command(site, *words), stdout=subprocess.DEVNULL, timeout=60, check=False)
            took.append(time.monotonic() - began)
        print(f"loncctl {' '.join(words)}, {PEERS} peers: median {statistics.median(took):.2f} s")


@contextmanager
def _onlooker(site: Site) -> Iterator[None]:
    """Have the verbs run one after the other, without a pause, on the last core."""
    again = "while :; do " + "; ".join(
        " ".join(_command(site, *words)) + " >/dev/null" for words in VERBS
    ) + "; done"  # fmt: skip
    last = str(max(os.sched_getaffinity(0)))
    process = subprocess.Popen(["taskset", "-c", last, "sh", "-c", again], start_new_session=True)
    try:
        time.sleep(0.3)
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait(10)


def _run(kit: Kit, site: Site) -> tuple[float, float]:
    """Return requests a second, and the child's processor time for each in microseconds."""
    child = site.child(name_of(0))
    first = str(min(os.sched_getaffinity(0)))
    subprocess.run(["taskset", "-pc", first, str(child)], stdout=subprocess.DEVNULL, check=True)
    before, _ = on_cpu_ns(child)
    found = load(kit, "-u", str(site.socket_path(name_of(0))), *LOAD, wrapper=("taskset", "-c", first))
    assert found.good, found.line
    return found.figures["req/s"], (on_cpu_ns(child)[0] - before) / 1000 / found.figures["requests"]


def _tell_ratios(kit: Kit, site: Site, rounds: int) -> None:
    rates, costs = [], []
    _run(kit, site)  # what is made on first use
    for number in range(rounds):
        pair: dict[bool, tuple[float, float]] = {}
        for beside in (number % 2 == 0, number % 2 == 1):
            if beside:
                with _onlooker(site):
                    pair[beside] = _run(kit, site)
            else:
                pair[beside] = _run(kit, site)
        rates.append(pair[True][0] / pair[False][0])
        costs.append(pair[True][1] / pair[False][1])
    for what, ratios in (("requests a second", rates), ("processor time for each", costs)):
        middle, least, most = statistics.median(ratios), min(ratios), max(ratios)
        print(f"{what}, beside loncctl to alone: median {middle:.3f} ({least:.3f} to {most:.3f}, {rounds} rounds)")


if __name__ == "__main__":
    sys.exit(main())
