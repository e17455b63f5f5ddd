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
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.kit import Kit, load
from tests.bench.rivals import PEER, Cores, Daemon
from tests.process.harness import Site
from tests.process.procs import strace_works

COUNT = 1000
COMMAND = b"echo:put:msu:someone:environment:key=value"
SYNC_EVERY = 64  # deletions, as lonc/delayed/remover.py has it
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Delayed:
    """Medians in ms for COUNT messages; with the extremes of the daemon's figure.

    counted: whether sync_count was seen by strace; else it is computed.
    """

    daemon: float
    least: float
    greatest: float
    wire_far: float  # asked from the daemon's core
    wire_near: float  # asked from the stub's core
    files: float
    syncs: float  # of the directory, as many as are computed
    sync_count: int
    counted: bool

    @property
    def daemon_without_syncs(self) -> float:
        """Return the daemon's time less its syncs, by what as many of them cost alone."""
        return self.daemon - self.syncs


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
        seen = _count_syncs(daemon)
    finally:
        daemon.close()
    middle = {name: statistics.median(values) for name, values in figures.items()}
    own = figures["daemon"]
    return Delayed(
        middle["daemon"], min(own), max(own), middle["far"], middle["near"], middle["files"], middle["syncs"],
        sync_count=-(-COUNT // SYNC_EVERY) if seen is None else seen, counted=seen is not None,
    )  # fmt: skip


def _count_syncs(daemon: Daemon) -> int | None:
    """Return how often the child syncs for COUNT messages, by strace; None where that cannot be used."""
    if not strace_works():
        return None
    written = daemon.site.root / "syncs"
    command = ["strace", "-f", "-o", str(written), "-e", "trace=fsync,fdatasync", "-p", str(daemon.pid)]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        assert tracer.stderr is not None
        if b"attached" not in tracer.stderr.readline():
            return None
        _by_daemon(daemon)
    finally:
        tracer.terminate()
        tracer.wait(10)
    return sum(" = 0" in line for line in written.read_text("utf-8", "replace").splitlines())


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
