"""Owns what it costs the daemon that somebody looks: requests beside loncctl, with 1,000 peers in the table.

    .venv/bin/python -m tests.bench.onlookers [ROUNDS]

In each round the same load is run twice beside `status`, `top --once` and `page`, one after the other without
a pause: once these look at the daemon that is under load, once at a copy of its files. loncctl needs a whole
core of its own here, which the peer then has to share; that is the same in both, so the ratio of the two is
what the looking costs the daemon. Printed: how long each verb takes, and that ratio of requests a second and
of the child's processor time for each.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
            _tell_times(site.conf_dir)
            with tempfile.TemporaryDirectory(prefix="lonc-copy-", dir="/tmp") as place:
                _tell_ratios(kit, site, _copy(site, Path(place)), rounds)
            site.stop()
    finally:
        site.cleanup()
    return 0


def _command(conf_dir: Path, *words: str) -> list[str]:
    return [sys.executable, str(TREE / "bin" / "loncctl"), "--conf-dir", str(conf_dir), *words]


def _copy(site: Site, place: Path) -> Path:
    """Return the configuration of a copy of all files of a site, but for its sockets."""

    def sockets(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder, name).is_socket()]

    shutil.copytree(site.root, place / "copy", ignore=sockets)
    conf_dir = place / "copy" / site.conf_dir.relative_to(site.root)
    for path in conf_dir.iterdir():
        path.write_text(path.read_text("utf-8").replace(str(site.root), str(place / "copy")), "utf-8")
    return conf_dir


def _tell_times(conf_dir: Path) -> None:
    for words in VERBS:
        took = []
        for _ in range(5):
            began = time.monotonic()
            subprocess.run(_command(conf_dir, *words), stdout=subprocess.DEVNULL, timeout=60, check=False)
            took.append(time.monotonic() - began)
        print(f"loncctl {' '.join(words)}, {PEERS} peers: median {statistics.median(took):.2f} s")


@contextmanager
def _onlooker(conf_dir: Path) -> Iterator[None]:
    """Have the verbs run one after the other, without a pause, on the last core."""
    again = "while :; do " + "; ".join(
        " ".join(_command(conf_dir, *words)) + " >/dev/null" for words in VERBS
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


def _tell_ratios(kit: Kit, site: Site, copy: Path, rounds: int) -> None:
    rates, costs = [], []
    _run(kit, site)  # what is made on first use
    for number in range(rounds):
        pair: dict[bool, tuple[float, float]] = {}
        for live in (number % 2 == 0, number % 2 == 1):
            with _onlooker(site.conf_dir if live else copy):
                pair[live] = _run(kit, site)
        rates.append(pair[True][0] / pair[False][0])
        costs.append(pair[True][1] / pair[False][1])
    for what, ratios in (("requests a second", rates), ("processor time for each", costs)):
        middle, least, most = statistics.median(ratios), min(ratios), max(ratios)
        spread = f"({least:.3f} to {most:.3f}, {rounds} rounds)"
        print(f"{what}, looked at to not looked at: median {middle:.3f} {spread}")


if __name__ == "__main__":
    sys.exit(main())
