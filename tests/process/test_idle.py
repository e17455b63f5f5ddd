"""A child with nothing to do: it wakes up for its upkeep and for nothing else (acceptance A10)."""

from __future__ import annotations

import time

import pytest

from tests.conftest import MakeSite
from tests.process import memory
from tests.process.harness import Site, stays, wait_until

WINDOW_S = 60
WAKE_UPS = 4


def settled(site: Site) -> list[int]:
    """Bring all links up, let every child answer one request, and return the children when that has died down.

    The grace of the start, the delay of the scoreboard and the limit of that request are behind them then.
    """
    site.wait_ready(timeout_s=30)
    peers = [entry.id for entry in site.entries]
    assert [site.ask(peer, b"echo:x") for peer in peers] == [b"x"] * len(peers)
    wait_until(lambda: all(site.board(peer).child.replies == 1 for peer in peers), 5, "replies on the scoreboard")
    children = [site.child(peer) for peer in peers]
    stays(lambda: len(site.children()) == len(children), 3, "nobody coming or going")
    return children


def watch(pids: list[int], seconds: float) -> list[int]:
    """Return how often each process wakes up within so many seconds. Looking at it does not wake it."""
    before = [memory.waits(pid) for pid in pids]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(max(0.0, end - time.monotonic()))
    return [memory.waits(pid) - count for pid, count in zip(pids, before, strict=True)]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_idle_child_wakes_up_four_times_a_minute(make_site: MakeSite) -> None:
    site = make_site([f"msul{number}" for number in range(1, 6)])
    for entry in site.entries:
        site.peer(entry.id)
    site.start()
    children = settled(site)
    idle_client = site.connect("msul1")  # somebody who is there and silent
    assert idle_client.ask(b"echo:y") == b"y"
    stays(lambda: True, 1, "the scoreboard's delay")
    parent = site.pid()
    *counts, of_the_parent = watch([*children, parent], WINDOW_S)
    print(f"\nwake-ups in {WINDOW_S} s: children {counts}, parent {of_the_parent}")
    idle_client.close()
    assert max(counts) <= WAKE_UPS
    # and they were awake at all: the beat is at least one in 15 s, or the parent would take them for stuck
    assert min(counts) >= WAKE_UPS - 1


def test_the_delayed_scan_is_all_that_wakes_an_idle_child(make_site: MakeSite) -> None:
    """With a look every second there is one wake-up a second: nothing else adds to it."""
    site = make_site(["msul1"], settings={"loncDelayedScan": "1"})
    site.peer("msul1")
    site.start()
    children = settled(site)
    (count,) = watch(children, 6)
    print(f"\nwake-ups in 6 s with loncDelayedScan 1: {count}")
    assert 4 <= count <= 7  # the window may begin and end just so
