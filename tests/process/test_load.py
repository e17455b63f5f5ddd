"""Many requests at once, in every shape: each gets its own reply and nothing else (promises P8, P9, P13).

Figures are printed and never asserted: `bin/test tests/process/test_load.py -s` shows them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.bench.kit import Kit, Load, Stub, load
from tests.conftest import MakeSite
from tests.process.crowd import Tally, single_bytes, talk
from tests.process.harness import Entry, Site, wait_until

pytestmark = [pytest.mark.timing, pytest.mark.timeout(300)]

CLIENTS = 64
REQUESTS = 200_000


@pytest.fixture
def stubbed(make_site: MakeSite, kit: Kit) -> Iterator[Site]:
    """A daemon whose peer is the fast stub, its link ready."""
    site = make_site([Entry("msul1", "127.0.0.1")])
    with Stub(kit, port=site.port, own_id="msul1"):
        site.start()
        site.wait_ready()
        yield site


def run(site: Site, kit: Kit, *arguments: str) -> Load:
    socket = str(site.socket_path("msul1"))
    found = load(kit, "-u", socket, "-c", str(CLIENTS), "-v", *arguments, timeout_s=280)
    print(f"\n{found.line}")
    return found


def check(site: Site, found: Load, requests: int) -> None:
    assert found.good, (found.line, found.errors)
    assert found.figures["requests"] == requests
    assert found.figures["mismatches"] == found.figures["con_lost"] == found.figures["errors"] == 0
    counted(site, requests)


def counted(site: Site, requests: int) -> None:
    """The daemon has counted as many, on one link, and nothing was lost."""
    wait_until(lambda: site.board("msul1").child.replies >= requests, 5, f"{requests} replies on the scoreboard")
    shown = site.board("msul1").child
    assert (shown.replies, shown.requests, shown.con_lost) == (requests, requests, 0)
    assert (shown.in_flight, shown.queued, shown.links_opened) == (0, 0, 1)
    assert not [line for line in site.log_text().splitlines() if "CRITICAL" in line]


def good(tally: Tally) -> Tally:
    print(f"\n{tally}")
    assert tally.good, str(tally)
    return tally


def test_two_hundred_thousand_requests_of_64_clients(stubbed: Site, kit: Kit) -> None:
    check(stubbed, run(stubbed, kit, "-n", str(REQUESTS), "-s", "32"), REQUESTS)


def test_one_request_per_connection(stubbed: Site, kit: Kit) -> None:
    check(stubbed, run(stubbed, kit, "-n", str(REQUESTS), "-s", "32", "-k", "1"), REQUESTS)


def test_encrypted_requests_by_the_stub(stubbed: Site, kit: Kit) -> None:
    # the stub sends the frame back as it came: what comes out of it is the request itself
    check(stubbed, run(stubbed, kit, "-n", str(REQUESTS), "-s", "32", "-r", "encrypt:@"), REQUESTS)


def test_encrypted_requests_by_a_peer_that_knows_the_key(site: Site) -> None:
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    count = REQUESTS // 2
    # `echo` is answered in clear, `eecho` in a frame: both roads, by the key of this link
    tallies = [
        talk(site.socket_path("msul1"), CLIENTS, count, word=word, timeout_s=280)
        for word in (b"encrypt:echo:", b"encrypt:eecho:")
    ]
    for tally in tallies:
        good(tally)
    counted(site, 2 * count)
    assert len(peer.records("e")) == 2 * count
    assert not peer.records("c")


def test_requests_in_writes_of_one_byte(stubbed: Site) -> None:
    tally = talk(stubbed.socket_path("msul1"), CLIENTS, 5000, cut=single_bytes)
    assert tally.writes > 5000 * len(b"echo:1.1.12345678")
    counted(stubbed, good(tally).asked)


def test_two_to_fifty_lines_in_one_write(stubbed: Site) -> None:
    tally = talk(stubbed.socket_path("msul1"), CLIENTS, REQUESTS, batch=lambda: random.randint(2, 50))
    assert tally.writes < REQUESTS / 15
    counted(stubbed, good(tally).asked)


def test_lines_cut_anywhere(stubbed: Site) -> None:
    """Writes of 1 to 70 bytes over batches of lines: a write may end one line, hold two and begin a fourth."""

    def cut(data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            size = random.randint(1, 70)
            yield data[at : at + size]
            at += size

    tally = talk(stubbed.socket_path("msul1"), CLIENTS, 50_000, batch=lambda: random.randint(1, 20), cut=cut)
    counted(stubbed, good(tally).asked)


@pytest.mark.parametrize("size", [1, 7])
def test_replies_split_by_the_peer(site: Site, size: int) -> None:
    site.peer("msul1", f"at ready=slice:{size}")
    site.start()
    site.wait_ready()
    counted(site, good(talk(site.socket_path("msul1"), CLIENTS, 5000, batch=lambda: random.randint(1, 50))).asked)


def test_both_sides_in_single_bytes_and_encrypted(site: Site) -> None:
    site.peer("msul1", "at ready=slice:1")
    site.start()
    site.wait_ready()
    tally = talk(site.socket_path("msul1"), 16, 500, cut=single_bytes, word=b"encrypt:eecho:")
    counted(site, good(tally).asked)
