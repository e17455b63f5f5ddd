"""HUP under load: nobody is refused, every request has its reply (acceptance A6, promise P24).

Figures are printed, not asserted. The runs of clients that hang up take the 20 HUPs of the acceptance; those of
clients that never do take 4, and as many as LONC_TEST_HUPS says:

    LONC_TEST_HUPS=20 bin/test tests/process/test_restart_load.py -s
"""

from __future__ import annotations

import os
import threading

import pytest

from tests.bench.kit import Kit, KitMissing, Load, Stub, build, load
from tests.conftest import MakeSite
from tests.process.harness import Entry, Site
from tests.process.restarting import Crowd, descriptors, restart, restarts

pytestmark = [pytest.mark.timing, pytest.mark.timeout(300)]

HUPS = 20
FEW_HUPS = int(os.environ.get("LONC_TEST_HUPS", "4"))
CLIENTS = 64
SEGMENT_S = 3


@pytest.fixture
def served(site: Site) -> Site:
    """A daemon with one peer, its link ready."""
    site.peer("msul1")
    site.start()
    site.wait_ready()
    return site


def have_kit() -> bool:
    try:
        build()
    except KitMissing:
        return False
    return True


@pytest.mark.parametrize("per_connection", [1, 5])
def test_twenty_restarts_under_64_clients(make_site: MakeSite, kit: Kit, per_connection: int) -> None:
    site = make_site([Entry("msul1", "127.0.0.1")])
    runs: list[Load] = []
    stop = threading.Event()

    def ask() -> None:
        options = ("-c", str(CLIENTS), "-s", "32", "-k", str(per_connection), "-t", str(SEGMENT_S), "-v")
        while not stop.is_set():
            runs.append(load(kit, "-u", str(site.socket_path("msul1")), *options))

    with Stub(kit, port=site.port, own_id="msul1"):
        pid = site.start()
        site.wait_ready()
        restart(site)
        before = descriptors(pid), descriptors(site.child("msul1"))
        asker = threading.Thread(target=ask)
        asker.start()
        times = [restart(site) for _ in range(HUPS)]
        stop.set()
        asker.join(60)
        after = descriptors(pid), descriptors(site.child("msul1"))
    worst = max(run.figures["max"] for run in runs) / 1000
    asked = sum(run.figures["requests"] for run in runs)
    print(f"\n-k {per_connection}: {HUPS} HUPs, {asked:.0f} requests, longest stall {worst:.1f} ms, "
          f"a restart took {max(times):.2f} s at most")  # fmt: skip
    assert all(run.good for run in runs), [(run.line, run.errors) for run in runs]
    assert site.pid() == pid
    assert restarts(site) == HUPS + 1
    assert after == before
    assert site.stop() < 12


@pytest.mark.parametrize("per_connection", [1, 5])
def test_restarts_under_clients_in_python(served: Site, per_connection: int) -> None:
    """The same without the C programs; all 20 only where those are missing."""
    pid = served.pid()
    with Crowd(served.socket_path("msul1"), CLIENTS, per_connection) as crowd:
        for _ in range(3 if have_kit() else HUPS):
            restart(served)
    print(f"\npython, {per_connection} per connection: {crowd}")
    assert crowd.good, str(crowd)
    assert not crowd.tally["visible"]
    assert crowd.tally["answered"] > CLIENTS
    assert served.pid() == pid


@pytest.mark.parametrize("lines", [1, 7])
def test_clients_that_never_hang_up_are_answered_or_refused_visibly(served: Site, lines: int) -> None:
    with Crowd(served.socket_path("msul1"), CLIENTS, 0, lines) as crowd:
        for _ in range(FEW_HUPS):
            restart(served)
    print(f"\nnever hang up, {lines} lines a write: {FEW_HUPS} HUPs, {crowd}")
    assert crowd.good, str(crowd)
    assert crowd.tally["visible"] >= CLIENTS  # each of them was asked to go, between two requests
    assert crowd.tally["answered"] > crowd.tally["visible"]
