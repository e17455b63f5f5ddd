"""A child with nothing to do: it wakes up for its upkeep and for nothing else (acceptance A10)."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from tests.conftest import MakeSite
from tests.process import memory
from tests.process.harness import Site, stays, wait_until

UPKEEP_S = 15  # four a minute
WINDOW_S = 4 * UPKEEP_S + 1
LATE_S = 1.0  # a wake-up may come, or be seen, so much later than it is due


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


def watch(pids: list[int], seconds: float) -> list[list[float]]:
    """Return when each process was seen to wake up, in s. Looking at it does not wake it.

    Another one within LATE_S is none of its own: a wait for the disk or a lock, once in a while.
    """
    first = counts = [memory.waits(pid) for pid in pids]
    seen: list[list[float]] = [[] for _ in pids]
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        before, counts = counts, [memory.waits(pid) for pid in pids]
        for times, earlier, later in zip(seen, before, counts, strict=True):
            if later != earlier and (not times or now - times[-1] > LATE_S):
                times.append(now)
        time.sleep(0.05)
    for times, earlier, later in zip(seen, first, counts, strict=True):
        assert later - earlier <= len(times) + 1, "more waits than wake-ups"
    return seen


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
    seen = watch(children, WINDOW_S)
    idle_client.close()
    for times in seen:
        print(f"\nwoke up after {', '.join(f'{at:.2f}' for at in times)} s of {WINDOW_S}", end="")
        # Each is that long after the last, so that no minute has five of them, wherever it begins ...
        assert all(later - earlier > UPKEEP_S - LATE_S for earlier, later in pairwise(times))
        # ... and no longer, or the parent would take the child for stuck.
        assert len(times) >= WINDOW_S // UPKEEP_S - 1


def test_the_delayed_scan_is_all_that_wakes_an_idle_child(make_site: MakeSite) -> None:
    """With a look every second there is one wake-up a second: nothing else adds to it."""
    site = make_site(["msul1"], settings={"loncDelayedScan": "1"})
    site.peer("msul1")
    site.start()
    children = settled(site)
    before = memory.waits(children[0])
    began = time.monotonic()
    stays(lambda: True, 6, "a watched child")
    count, seconds = memory.waits(children[0]) - before, time.monotonic() - began
    print(f"\nwake-ups in {seconds:.1f} s with loncDelayedScan 1: {count}")
    assert 3 <= count <= seconds + 1  # the window may begin and end just so
