"""Row 18: very many peers, all away, half of them, none: everybody has an answer, and nothing grows or spins.

LONC_TEST_PEERS says how many (default 100; the promise is about 1,000).
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import time

import pytest

from lonc.system.scoreboard import Scoreboard
from tests.conftest import MakeSite
from tests.fakes.crowd import address_of, name_of
from tests.process.harness import Entry, Site, wait_until
from tests.process.memory import cpu_s
from tests.process.test_scale import crowd
from tests.proof.tally import Tally

PEERS = int(os.environ.get("LONC_TEST_PEERS") or 100)
SETTINGS = {"loncMaxAttempts": "0", "loncGrace": "0.5", "loncConnectTimeout": "5"}
LIMIT_S = 60 + PEERS / 2
FORKS_PER_S = 20  # P17


def states(site: Site) -> dict[str, str]:
    """Return what each peer's child says of its link, from one look at the scoreboard."""
    board = Scoreboard.open_reader(str(site.scoreboard_path))
    try:
        found = {name: board.read_child(slot) for name, slot in board.peers().items()}
        return {name: record.state if record else "" for name, record in found.items()}
    finally:
        board.close()


def ready(site: Site) -> int:
    return sum(state == "ready" for state in states(site).values())


def answers(site: Site, numbers: range) -> list[bytes | None]:
    return [site.ask(name_of(number), b"ping", LIMIT_S) for number in numbers]


def stop(site: Site) -> None:
    """End the daemon and see that nothing is left."""
    site.stop(LIMIT_S)
    assert not list(site.sock_dir.glob("peer*"))


@pytest.mark.timing
@pytest.mark.timeout(300 + 4 * PEERS)
def test_all_away_then_half_of_them_then_none(make_site: MakeSite, tally: Tally) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * PEERS + 1000)), hard))
    site = make_site([Entry(name_of(i), address_of(i)) for i in range(PEERS)], settings=SETTINGS)
    everybody, half = range(PEERS), range(PEERS // 2)
    pid = site.start(timeout_s=LIMIT_S)
    wait_until(lambda: len(site.children()) == PEERS, LIMIT_S, "all children")
    time.sleep(1)  # longer than the grace
    began = time.monotonic()
    assert answers(site, everybody) == [b"con_lost"] * PEERS
    print(f"\nall {PEERS} away: con_lost from each, {time.monotonic() - began:.1f} s for all, one after the other")
    tally.add(inputs=PEERS, faults=PEERS)
    used, began = cpu_s(pid), time.monotonic()
    time.sleep(2)
    assert cpu_s(pid) - used < 0.5 * (time.monotonic() - began)  # it does not spin
    with crowd(site.port, PEERS // 2):
        site.signal(signal.SIGUSR1)  # they dial again at once
        wait_until(lambda: ready(site) == PEERS // 2, LIMIT_S, "half of the links")
        assert answers(site, half) == [name_of(number).encode() for number in half]
        assert answers(site, range(PEERS // 2, PEERS)) == [b"con_lost"] * (PEERS - PEERS // 2)
        tally.add(inputs=PEERS, faults=PEERS - PEERS // 2)
    wait_until(lambda: ready(site) == 0, LIMIT_S, "no link")
    with crowd(site.port, PEERS):
        site.signal(signal.SIGUSR1)
        wait_until(lambda: ready(site) == PEERS, LIMIT_S, "all links")
        assert answers(site, everybody) == [name_of(number).encode() for number in everybody]
        tally.add(inputs=PEERS)
        assert site.pid() == pid
        assert len(site.children()) == PEERS
        stop(site)
    assert "ABNORMAL EXIT" not in site.log_text()


@pytest.mark.timeout(120)
def test_peers_whose_children_end_one_after_the_other_are_few_forks(make_site: MakeSite, tally: Tally) -> None:
    """Children that give up, each peer away: at most 20 starts in any second, however many peers (P17)."""
    count = min(PEERS, 60)
    settings = SETTINGS | {"loncMaxAttempts": "1000", "loncRestartMin": "0.05"}
    settings |= {"loncRetryMin": "0.2", "loncRetryMax": "0.4"}
    site = make_site([Entry(name_of(i), address_of(i)) for i in range(count)], settings=settings)
    site.start()
    later: list[float] = []
    seen: dict[str, float] = {}
    end = time.monotonic() + 5
    while time.monotonic() < end:
        board = Scoreboard.open_reader(str(site.scoreboard_path))
        for name, slot in board.peers().items():
            record = board.read_parent(slot)
            if record and record.spawned_at != seen.get(name):
                later += [record.spawned_at] if name in seen else []
                seen[name] = record.spawned_at
        board.close()
        time.sleep(0.02)
    later.sort()
    tally.add(inputs=len(later), faults=len(later))
    assert len(later) > FORKS_PER_S
    spans = [after - before for before, after in zip(later, later[FORKS_PER_S:], strict=False)]
    assert all(span > 0.9 for span in spans), min(spans)
    with socket.socket(socket.AF_UNIX) as client:  # and they are served all the time
        client.settimeout(20)
        wait_until(lambda: site.socket_path(name_of(0)).exists(), 20, "a socket")
        client.connect(str(site.socket_path(name_of(0))))
