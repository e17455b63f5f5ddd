"""Owns what delayed messages cost: a thousand sent by the daemon, beside what the wire and the files alone cost.

The daemon's figure begins with the signal that has it look (USR1) and ends when the last file is gone, all
names dated in the past. The wire alone is as many requests of the same size, one at a time, from the daemon's
core and from the stub's own; the files alone are list, read, unlink, in plain Python on the daemon's core.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lonc.delayed import DelayedQueue
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from tests.bench.kit import Kit, load
from tests.bench.rivals import PEER, Cores, Daemon
from tests.process.harness import Site

COUNT = 1000
COMMAND = b"echo:put:msu:someone:environment:key=value"
SYNC_EVERY = 64  # deletions, as lonc/delayed/remover.py has it
MANY = 100_000
PEERS = 1000
SCAN_S = 15.0  # loncDelayedScan
IDLE_LOOKS = 20
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Delayed:
    """Medians in ms for COUNT messages; with the extremes of the daemon's figure."""

    daemon: float
    least: float
    greatest: float
    wire_far: float  # asked from the daemon's core
    wire_near: float  # asked from the stub's core
    files: float
    syncs: float  # of the directory, as many as the daemon makes
    sync_count: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A directory of MANY files, by the daemon's own code in this process.

    all_ms: listing it when all are one peer's; idle_us: processor time of a child's look when nothing has
    changed and each of PEERS peers has its share, idle_all_us when one peer has all.
    """

    all_ms: float
    idle_us: float
    idle_all_us: float

    @property
    def idle_share(self) -> float:
        """Return the share of one core that PEERS children take for their looks, each every SCAN_S seconds."""
        return self.idle_us * PEERS / 1e6 / SCAN_S


def delayed(kit: Kit, cores: Cores, port: int, rounds: int) -> Delayed:
    """Measure everything in interleaved rounds."""
    figures: dict[str, list[float]] = {name: [] for name in ("daemon", "far", "near", "files", "syncs")}
    daemon = Daemon(cores, port, {"loncDelayedScan": "3600"})
    try:
        for _ in range(rounds):
            figures["daemon"].append(_by_daemon(daemon))
            for name, core in (("far", cores.daemon), ("near", cores.load)):
                figures[name].append(_by_wire(kit, core, port))
            files, syncs = _by_files(cores, daemon.site)
            figures["files"].append(files)
            figures["syncs"].append(syncs)
    finally:
        daemon.close()
    middle = {name: statistics.median(values) for name, values in figures.items()}
    own = figures["daemon"]
    return Delayed(
        middle["daemon"], min(own), max(own), middle["far"], middle["near"], middle["files"], middle["syncs"],
        sync_count=-(-COUNT // SYNC_EVERY),
    )  # fmt: skip


def _by_daemon(daemon: Daemon) -> float:
    """Return how long the daemon takes from its order to the end; tried again when it began by itself."""
    site = daemon.site
    for _ in range(5):
        paths = [site.delay(PEER, COMMAND) for _ in range(COUNT)]
        early = not paths[0].exists()
        began = time.monotonic()
        site.signal(signal.SIGUSR1, daemon.pid)
        while os.path.exists(paths[-1]):
            assert time.monotonic() < began + PATIENCE_S, f"not sent: {site.log_text()[-2000:]}"
            time.sleep(0.0005)
        ended = time.monotonic()
        assert site.waiting() == [], "sent out of order"
        if not early:
            return (ended - began) * 1000
    raise AssertionError("the daemon began by itself each time")


def _by_wire(kit: Kit, core: int, port: int) -> float:
    wrapper = ["taskset", "-c", str(core)]
    size = str(len(COMMAND))
    found = load(kit, "-p", str(port), "-c", "1", "-n", str(COUNT), "-s", size, wrapper=wrapper)
    assert found.good, found.line
    return found.figures["seconds"] * 1000


def _by_files(cores: Cores, site: Site) -> tuple[float, float]:
    """Return what list, read, unlink of the same files cost, and the syncs of their directory."""
    place = Path(tempfile.mkdtemp(prefix="files-", dir=site.root))
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores.daemon})
    try:
        for number in range(COUNT):
            (place / f"1000000000.{number}.1.echo.{PEER}").write_bytes(COMMAND + b"\n")
        began = time.monotonic()
        spent_syncing = 0.0
        for number, name in enumerate(sorted(os.listdir(place)), 1):
            path = f"{place}/{name}"
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            os.read(fd, 65536)
            os.close(fd)
            os.unlink(path)
            if number % SYNC_EVERY == 0 or number == COUNT:
                spent_syncing += _sync(place)
        return (time.monotonic() - began - spent_syncing) * 1000, spent_syncing * 1000
    finally:
        os.sched_setaffinity(0, mine)
        shutil.rmtree(place)


def _sync(place: Path) -> float:
    began = time.monotonic()
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fsync(fd)
    os.close(fd)
    return time.monotonic() - began


def listing(count: int = MANY) -> Listing:
    """Measure listing, and looking again."""
    all_ms, idle_all_us = _look(count, 1)
    _, idle_us = _look(count, PEERS)
    return Listing(all_ms, idle_us, idle_all_us)


def _look(count: int, peers: int) -> tuple[float, float]:
    """Return ms of the best of three listings and us of processor time of one idle look."""
    place = Path(tempfile.mkdtemp(prefix="files-", dir="/tmp"))
    clock = SystemClock()
    try:
        old = time.time() - 1000
        for number in range(count):
            path = f"{place}/{int(old)}.{number}.1.echo.peer{number % peers}"
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        os.utime(place, (old, old))
        ids = [f"peer{number}" for number in range(peers)]
        queue = DelayedQueue(str(place), "peer0", ids, files=SystemFiles(), clock=clock)
        times = []
        for _ in range(3):
            began = time.monotonic()
            queue.look(clock.monotonic(), force=True)
            times.append((time.monotonic() - began) * 1000)
        began_ns = time.process_time_ns()
        for _ in range(IDLE_LOOKS):
            queue.look(clock.monotonic())
        return min(times), (time.process_time_ns() - began_ns) / IDLE_LOOKS / 1000
    finally:
        shutil.rmtree(place)
