"""Owns the memory of idle children, and the time that IDEA alone takes: what needs no load generator."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lonc.system.scoreboard import NO_SLOT, Scoreboard
from lonc.wire.cipher import FrameCipher
from lonc.wire.idea import Idea
from tests.fakes.crowd import address_of, name_of
from tests.process.harness import Entry, Site, wait_until
from tests.process.test_scale import crowd, memory_kib

REPEATS = 5
CALLS = 2000
READY_S = 120.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Medians (and the greatest PSS) of all idle children, KiB.

    pss_parent: of the parent; total: PSS of parent and children.
    """

    peers: int
    wheel: bool  # the cryptography wheel was there
    uss: float
    pss: float
    pss_most: float
    pss_parent: float
    total: float


@dataclass(frozen=True, slots=True)
class Idea1KiB:
    """Best time per 1 KiB request and its reply, us: IDEA both ways, and the whole frames both ways."""

    engine: str
    idea: float
    frames: float


def idle_memory(peers: int, *, wheel: bool = True) -> Memory:
    """Measure a daemon with so many peers, all READY and idle; wheel False: as if it were not installed."""
    site = Site([Entry(name_of(i), address_of(i)) for i in range(peers)])
    try:
        with tempfile.TemporaryDirectory() as place, crowd(site.port, peers):
            env = dict(os.environ) if wheel else _without_wheel(Path(place))
            site.start(env=env, timeout_s=READY_S)
            children = wait_all_ready(site, peers)
            uss = [memory_kib(pid, "Private_") for pid in children]
            pss = [memory_kib(pid, "Pss:") for pid in children]
            parent = memory_kib(site.pid(), "Pss:")
            site.stop()
    finally:
        site.cleanup()
    middles = statistics.median(uss), statistics.median(pss)
    return Memory(peers, wheel, *middles, max(pss), parent, parent + sum(pss))


def wait_all_ready(site: Site, peers: int) -> list[int]:
    """Return the children of peers 0 to `peers` - 1 of a crowd, when all their links are ready."""
    names = [name_of(i) for i in range(peers)]

    def ready() -> list[int]:
        board = Scoreboard.open_reader(str(site.scoreboard_path))
        try:
            slots = board.peers()
            records = [board.read_child(slots.get(name, NO_SLOT)) for name in names]
        finally:
            board.close()
        found = [record.pid for record in records if record is not None and record.state == "ready"]
        return found if len(found) == peers else []

    return wait_until(ready, READY_S, f"{peers} ready links")


def _without_wheel(place: Path) -> dict[str, str]:
    """Return an environment in which `import cryptography` fails."""
    hidden = place / "cryptography"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("raise ImportError('hidden by the measurement')\n")
    return dict(os.environ) | {"PYTHONPATH": str(place)}


def idea_1kib(core: int) -> Idea1KiB:
    """Measure coding and decoding of the 1 KiB requests of the case, on this core."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        key = bytes(range(16))
        cipher, idea = FrameCipher(key), Idea(key)
        text = b"c12n345".ljust(1016, b".")
        blocks = text.ljust(1024)

        def frames() -> None:
            cipher.decode(cipher.encode(text))

        def alone() -> None:
            idea.decrypt(idea.encrypt(blocks))

        return Idea1KiB(idea.engine, _best_us(alone), _best_us(frames))
    finally:
        os.sched_setaffinity(0, mine)


def _best_us(work: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        for _ in range(CALLS):
            work()
        best = min(best, (time.perf_counter() - began) / CALLS * 1e6)
    return best
