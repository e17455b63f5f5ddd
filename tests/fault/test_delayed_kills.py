"""kill -9 while delayed messages are on their way: none lost, at most one twice per kill, one sender (A5).

By default a part of the acceptance's counts; the whole of them, with the figures:

    LONC_TEST_KILLS=200 LONC_TEST_PARENT_KILLS=20 bin/test tests/fault/test_delayed_kills.py -s
"""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.conftest import MakeSite
from tests.history.checker import Checker
from tests.history.model import Executed, Fault, Stored
from tests.process import procs
from tests.process.harness import Peer, Site, stays, wait_until
from tests.proof.tally import Tally

KILLS = int(os.environ.get("LONC_TEST_KILLS", "50"))
PARENT_KILLS = int(os.environ.get("LONC_TEST_PARENT_KILLS", "6"))
BATCH = 300  # messages on disk while kills go on
SETTINGS = {"loncMaxAttempts": "0", "loncRestartMin": "0.01", "loncDelayedScan": "0.2", "loncGrace": "0.2"}


class Writer:
    """Puts numbered messages, dated in the past, into the delayed directory."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.written = 0

    def fill(self, up_to: int) -> None:
        """Write until so many wait."""
        for _ in range(up_to - len(self.site.waiting())):
            number = self.written
            self.written += 1
            name = f"{int(time.time()) - 5000 + number // 50}.{number % 50}.{os.getpid()}.put.msul1"
            # one rename: the file is there at once and whole
            self.site.delayed(name, b"put:msu:u:ns:a=%d\n" % number)


def check(peer: Peer, written: int, kills: int, tally: Tally) -> int:
    """Check the peer's log for order, loss, doubles and two senders; count all; return how many came twice."""
    checker = Checker()
    checker.feed(Stored("msul1", f"m.msul1.{number}") for number in range(written))
    checker.feed([Fault(0.0, "child", ("msul1",))] * kills)
    checker.feed(
        Executed(record.at, "msul1", f"m.msul1.{record.text.rpartition('=')[2]}", record.connection)
        for record in peer.records("c")
    )
    violations = checker.finish()
    tally.add(inputs=written, faults=kills, violations=checker.count)
    assert not violations
    return checker.doubles


def check_open_times(peer: Peer) -> None:
    """No message may be executed on a link while an earlier one that carried messages is still open."""
    carrying: set[str] = set()
    for record in peer.records("+-c"):
        if record.kind == "c":
            carrying.add(record.connection)
            assert len(carrying) == 1, f"two links carry messages at once: {carrying}"
        elif record.kind == "-":
            carrying.discard(record.connection)


def moments(seed: int) -> Iterator[float]:
    """Yield pauses before kills: most fall into a flush at work, some into the dialogue or the start."""
    chance = random.Random(seed)
    while True:
        yield chance.choice((chance.uniform(0, 0.004), chance.uniform(0, 0.03), chance.uniform(0, 0.15)))


def busy_wait(seconds: float) -> None:
    """Let a time pass that is shorter than what a sleep can do."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if end - time.monotonic() > 0.005:
            time.sleep(0.002)


def kill_child(site: Site) -> bool:
    """Kill the child by SIGKILL; return whether it had messages on disk to send at that moment."""
    child = site.board("msul1").child.pid
    waiting = bool(site.waiting())
    if not child or not procs.send(child, signal.SIGKILL):
        return False
    wait_until(lambda: not procs.alive(child), 10, "its end")
    return waiting


def wait_flush(peer: Peer) -> None:
    """Return when another message has been executed."""
    before = peer.stats()["executed"]
    wait_until(lambda: peer.stats()["executed"] > before, 20, "a flush")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_child_killed_at_random_instants_of_a_flush(make_site: MakeSite, tally: Tally) -> None:
    seed = random.randrange(1 << 30)
    site = make_site(["msul1"], settings=SETTINGS)
    peer = site.peer("msul1", "on *=late:1")
    writer = Writer(site)
    writer.fill(BATCH)
    site.start()
    began = time.monotonic()
    kills = in_flush = 0
    for pause in itertools.islice(moments(seed), 3 * KILLS):
        if kills % 8:  # every eighth at any moment, also before the flush begins
            wait_flush(peer)
        busy_wait(pause)
        in_flush += kill_child(site)
        kills += 1
        writer.fill(BATCH)
        if in_flush == KILLS:
            break
    wait_until(lambda: not site.waiting(), 60, "an empty directory")
    doubles = check(peer, writer.written, kills, tally)
    check_open_times(peer)
    assert in_flush == KILLS, f"only {in_flush} of {kills} kills met messages on disk"
    told = site.log_text().count("may have been sent already before a crash")
    assert told >= doubles, f"{doubles} doubles, {told} told"
    print(f"\n{kills} kills of the child (seed {seed}), {in_flush} of them in a flush, {writer.written} messages:")
    print(f"0 lost, {doubles} twice, {told} told as possibly twice, {time.monotonic() - began:.0f} s")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_parent_and_a_new_daemon_at_once(make_site: MakeSite, tally: Tally) -> None:
    """The orphan finishes what it has in hand while its successor is up already: never both at once."""
    seed = random.randrange(1 << 30)
    site = make_site(["msul1"], settings=SETTINGS | {"loncDelayedTimeout": "5"})
    peer = site.peer("msul1", "on *0=late:120", "on *5=late:1300")
    writer = Writer(site)
    writer.fill(BATCH)
    site.start()
    kills = overlaps = 0
    for pause in itertools.islice(moments(seed), 4 * PARENT_KILLS):
        if kills >= PARENT_KILLS and overlaps:
            break
        wait_flush(peer)
        if kills < PARENT_KILLS:
            busy_wait(pause * 3)
        else:  # a busy machine starts a daemon so slowly that the orphan needs all of its time
            wait_until(lambda: peer.executed()[-1].endswith("5"), 20, "a message that takes long")
        orphans = site.kill()
        kills += 1
        site.start()
        overlaps += any(map(procs.alive, orphans))
        writer.fill(BATCH)
    peer.script()
    wait_until(lambda: not site.waiting(), 60, "an empty directory")
    doubles = check(peer, writer.written, kills, tally)
    check_open_times(peer)
    assert overlaps, "no new daemon met an orphan: nothing was shown"
    print(f"\n{kills} kills of the parent (seed {seed}), {overlaps} orphans met by the new daemon,")
    print(f"{writer.written} messages, 0 lost, {doubles} twice, never two senders")


def test_parent_and_child_killed_together(make_site: MakeSite, tally: Tally) -> None:
    site = make_site(["msul1"], settings=SETTINGS)
    peer = site.peer("msul1", "on *=late:5")
    writer = Writer(site)
    writer.fill(100)
    site.start()
    for kills in range(1, 6):
        peer.wait_executed(kills * 5)
        family = [site.pid(), *site.children()]
        for pid in family:
            procs.send(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(procs.alive, family)), 10, "their end")  # noqa: B023 - called at once
        site.start()
    wait_until(lambda: not site.waiting(), 30, "an empty directory")
    check(peer, writer.written, 5, tally)


def test_a_killed_lond_loses_nothing(make_site: MakeSite, tally: Tally) -> None:
    site = make_site(["msul1"], settings=SETTINGS)
    peer = site.peer("msul1", "on *=late:5")
    writer = Writer(site)
    writer.fill(100)
    site.start()
    for kills in range(1, 6):
        peer.wait_executed(kills * 5)
        peer.restart()
    wait_until(lambda: not site.waiting(), 30, "an empty directory")
    check(peer, writer.written, 5, tally)


def test_a_lock_held_elsewhere_stops_clients_once_and_for_five_seconds(make_site: MakeSite) -> None:
    """Whoever holds the lock may be an orphan about to end, or hang for good: messages wait, clients do not."""
    site = make_site(["msul1"], settings=SETTINGS)
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    lock = site.delayed_dir / ".lock-msul1"
    with lock.open("w") as holder:
        lock.chmod(0o600)
        fcntl.flock(holder, fcntl.LOCK_EX)
        site.delay("msul1", b"put:msu:u:ns:a=0")
        wait_until(lambda: site.board("msul1").child.delayed == 1, 5, "a message that was seen")
        with site.connect("msul1") as client:
            began = time.monotonic()
            assert client.ask(b"echo:x", 15) == b"x"
            assert time.monotonic() - began < 8
            site.wait_log("another process holds the flush lock")
            # looks every 0.2 s go on: none of them may stop clients again
            for _ in range(40):
                began = time.monotonic()
                assert client.ask(b"echo:y", 15) == b"y"
                assert time.monotonic() - began < 3
                time.sleep(0.02)
        stays(lambda: "put:msu:u:ns:a=0" not in peer.executed(), 0.5, "no second sender")
        assert site.log_text().count("another process holds the flush lock") == 1
    wait_until(lambda: "put:msu:u:ns:a=0" in peer.executed(), 10, "the message, the lock being free")
    wait_until(lambda: not site.waiting(), 5, "an empty directory")
