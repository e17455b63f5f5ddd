"""Row 10 with the real daemon: the wall clock jumps ten years to and fro; no limit, order or pause changes (P27).

libfaketime gives the daemon (and nobody else) a wall clock that a file sets at any moment; monotonic time stays
the machine's own, as with a clock that is set. Skipped where libfaketime is not (Debian: faketime).

LONC_TEST_JUMPS says how often the clock jumps under traffic (default 12); with more, a young file meets both ways.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Peer, Site, stays, wait_until
from tests.process.traffic import Traffic
from tests.proof.tally import Tally

YEARS = 10 * 365.25 * 86400
LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1",
             "/usr/lib64/faketime/libfaketime.so.1", "/usr/local/lib/faketime/libfaketime.so.1")  # fmt: skip
SETTINGS = {"loncDelayedScan": "0.2", "loncMaxAttempts": "0"}
YOUNG_S = 5.0  # how long a file is left alone
JUMPS = int(os.environ.get("LONC_TEST_JUMPS") or 12)
WAYS = (-YEARS, YEARS)


def library() -> str:
    """Return where libfaketime is; skips where it is not."""
    found = [str(path) for pattern in LIBRARIES for path in Path("/").glob(pattern.lstrip("/"))]
    if not found:
        pytest.skip("libfaketime is not here (package faketime)")
    return found[0]


class Jumping:
    """The wall clock of a site's daemon."""

    def __init__(self, site: Site) -> None:
        self.file = site.root / "clock"
        self.jumps = 0
        self.env = {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, seconds: float) -> None:
        """Let the clock be so many seconds off from now on."""
        new = self.file.with_name("clock.new")
        new.write_text(f"{seconds:+.0f}\n")
        new.rename(self.file)  # whole at once: it is read at every look at the clock
        self.jumps += 1


@contextmanager
def daemon(make_site: MakeSite, *rules: str, **settings: str) -> Iterator[tuple[Site, Peer, Jumping]]:
    """Give a daemon whose clock jumps, its peer and that clock; skips where the clock does not obey."""
    site = make_site(["msul1"], settings=SETTINGS | settings)
    clock = Jumping(site)
    peer = site.peer("msul1", *rules)
    site.start(env=clock.env)
    site.wait_ready()
    clock.set(-YEARS)
    site.log_path.write_text("")
    peer.restart()  # what it logs of that shows what time it believes
    site.wait_log("msul1 online", 30)
    year = time.localtime(time.time() - YEARS).tm_year
    if f" {year} (" not in site.log_text():
        pytest.skip("libfaketime does not move the daemon's clock here")
    clock.set(0)
    yield site, peer, clock
    assert "ABNORMAL EXIT" not in site.log_text()
    assert site.error_text() == ""


def test_jumps_under_traffic_lose_and_reorder_nothing(make_site: MakeSite, tally: Tally) -> None:
    """Messages and requests all the time, while the clock jumps between three decades.

    None is written while the clock is back: it would be of the future, and hold all others back for five seconds.
    """
    with daemon(make_site) as (site, peer, clock):
        child, opened = site.child("msul1"), site.board("msul1").child.links_opened
        written = 0
        with Traffic(site) as traffic:
            for number in range(JUMPS):
                clock.set((YEARS, -YEARS, 0)[number % 3])
                if number % 3 == 2:
                    site.delay("msul1", b"put:msu:u:ns:a=%d" % written)
                    written += 1
                    wait_until(lambda: not site.waiting(), 20, "a delivered message")
                traffic.more(20)
                tally.add(inputs=20, faults=1)
        executed = [line for line in peer.executed() if line.startswith("put:")]
        assert executed == [f"put:msu:u:ns:a={number}" for number in range(written)]
        assert site.child("msul1") == child
        assert site.board("msul1").child.links_opened == opened
        assert site.board("msul1").child.con_lost == 0


def test_a_jump_ends_and_prolongs_no_limit(make_site: MakeSite, tally: Tally) -> None:
    """A request in hand meets neither an early nor a late end; a redial pause is as long as ever."""
    limit = 1.5
    rules = ("on echo:slow=late:300", "on echo:never=stall")
    with daemon(make_site, *rules, loncRequestTimeout=f"{limit}") as (site, peer, clock):
        for to in WAYS:
            with site.connect("msul1") as client:
                done = len(peer.executed())
                client.send(b"echo:slow")
                peer.wait_executed(done + 1)
                clock.set(to)
                assert client.line() == b"slow"  # not ended by the jump
                clock.set(0)
                began = time.monotonic()
                client.send(b"echo:never")
                clock.set(to)
                assert client.line(20) == b"con_lost"  # and ended in its time
                assert time.monotonic() - began >= limit - 0.1
            clock.set(0)
            site.wait_ready()
            opened = site.board("msul1").child.links_opened
            peer.kill()
            wait_until(lambda: not site.ready("msul1"), 20, "a lost link")
            clock.set(to)
            peer.start()
            wait_until(lambda: site.board("msul1").child.links_opened > opened, 20, "the next link")  # noqa: B023 - called at once
            assert site.ask("msul1", b"echo:x") == b"x"
            clock.set(0)
            tally.add(inputs=3, faults=4)


def test_a_young_file_is_sent_after_five_seconds_all_the_same(make_site: MakeSite, tally: Tally) -> None:
    """Written just before the jump: forward it looks old at once, back it is of the future; later it is sent."""
    with daemon(make_site) as (site, peer, clock):
        for to in WAYS if JUMPS > 12 else WAYS[:1]:
            site.delayed(f"{int(time.time())}.1.1.put.msul1", b"put:msu:u:ns:before=1\n", age_s=0)
            wait_until(lambda: site.board("msul1").child.delayed == 1, 10, "a message that was seen")
            clock.set(to)
            # as written by one who has the same clock
            site.delayed(f"{int(time.time() + to)}.2.1.put.msul1", b"put:msu:u:ns:after=1\n", age_s=-to)
            stays(site.waiting, YOUNG_S - 2.0, "a young file that waits")
            wait_until(lambda: not site.waiting(), 30, "delivered messages")
            tally.add(inputs=2, faults=1)
            found = [line for line in peer.executed() if line.startswith("put:")][-2:]
            assert sorted(found) == ["put:msu:u:ns:after=1", "put:msu:u:ns:before=1"]
            assert os.listdir(site.delayed_dir) == [".lock-msul1"]
            clock.set(0)
