"""Owns what children on demand cost: memory of many peers that are hardly asked, and how long first requests wait.

A first request waits for the parent's fork, the child's beginning, its dial and its dialogue; beside it stand a
request on a new connection once child and link are there, and a dial with its dialogue alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.kit import Kit, load
from tests.bench.rivals import Missing
from tests.fakes.crowd import address_of, name_of
from tests.process.harness import Entry, Site, stays, wait_until
from tests.process.test_scale import crowd, memory_kib

PEERS = 1000
ASKED = (0, 1, 10, 100)  # peers that have been asked, each of them once
QUIET_S = 0.5  # no child may come by itself for so long


@dataclass(frozen=True, slots=True)
class OnDemand:
    """totals: PSS of parent and children in KiB by how many peers have been asked; times in ms, medians.

    first: of a peer's first request; again: of one more on a new connection; dial: connection and dialogue with
    a peer, without lonc.
    """

    peers: int
    totals: dict[int, float]
    first: float
    first_most: float
    again: float
    dial: float


def on_demand(kit: Kit, peers: int = PEERS, asked: Sequence[int] = ASKED) -> OnDemand:
    """Measure a daemon with so many peers. Raises Missing when children come without being asked for."""
    site = Site([Entry(name_of(i), address_of(i)) for i in range(peers)], settings={"loncOnDemand": "on"})
    try:
        with crowd(site.port, peers):
            site.start()
            _nobody(site)
            totals: dict[int, float] = {}
            first: list[float] = []
            again: list[float] = []
            for count in asked:
                first += [_ask(site, number) for number in range(len(first), count)]
                totals[count] = _total(site, count)
            again = [_ask(site, number) for number in range(len(first))]
            dial = _dial(kit, site.port)
            site.stop()
    finally:
        site.cleanup()
    return OnDemand(peers, totals, statistics.median(first), max(first), statistics.median(again), dial)


def _nobody(site: Site) -> None:
    try:
        stays(lambda: not site.children(), QUIET_S, "no child")
    except AssertionError as reason:
        raise Missing(f"children are there that nobody has asked for: {reason}") from reason


def _ask(site: Site, number: int) -> float:
    """Return how long a request on a new connection takes, in ms."""
    name = name_of(number)
    began = time.monotonic()
    reply = site.ask(name, b"echo:x")  # no `ping`: it does not wait for a link
    took = time.monotonic() - began
    assert reply == b"x", f"{name}: {reply!r}"
    return took * 1000


def _total(site: Site, count: int) -> float:
    wait_until(lambda: len(site.children()) == count, 10, f"{count} children")
    return float(sum(memory_kib(pid, "Pss:") for pid in [site.pid(), *site.children()]))


def _dial(kit: Kit, port: int) -> float:
    """Return the median time of a request on a new connection with its dialogue, to a peer directly."""
    peer = ("-p", str(port), "-a", address_of(0), "-i", name_of(0), "-H")
    found = load(kit, *peer, "-c", "1", "-k", "1", "-n", "100")
    assert found.good, found.line
    return found.figures["p50"] / 1000
