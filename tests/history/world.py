"""Owns a campaign's world: one daemon with many peers, traffic, kills of every kind, and the history of it all."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import psutil

from tests.fakes.crowd import name_of
from tests.history.checker import Checker
from tests.history.model import Fault, Passed
from tests.history.peers import Londs
from tests.history.traffic import Asker, Recorder, Worker, Writer
from tests.process import procs
from tests.process.harness import Site, wait_until

READY_S = 90.0
SETTLE_S = 120.0
MOST_WAITING = 4  # messages of one peer
SLOW_S = 0.5
STEP_S = 0.01  # between two steps of one client, on average
_PASSED = re.compile(r"Delayed .* in (\S+) stayed unanswered on \d+ links")
# Restarts and looks at the directory as fast as they may be, no child given up.
SETTINGS = {
    "loncMaxAttempts": "0",
    "loncRestartMin": "0.01",
    "loncDelayedScan": "0.3",
    "loncGrace": "0.5",
    "loncRedialMax": "0.2",
    "loncRequestTimeout": "20",
    "loncDelayedTimeout": "20",
}


class World:
    """The site's peers are those of `londs`, and nothing else; use it in a `with` statement."""

    def __init__(self, site: Site, londs: Londs, *, askers: int, writes_per_s: float, slow: int = 0) -> None:
        """askers: clients; slow: those that leave their replies unread for a while, besides."""
        self.site = site
        self.londs = londs
        self.peers = [name_of(number) for number in range(londs.groups * londs.each)]
        self.recorder = Recorder()
        self.checker = Checker()
        self.abnormal = 0  # ends that the log calls so
        self.kinds: Counter[str] = Counter()  # faults, by kind
        self.writer = Writer(site, self.peers, self.recorder, MOST_WAITING)
        self.askers = [Asker(site, self.peers, self.recorder, f"t{number}") for number in range(askers)]
        self.askers += [Asker(site, self.peers, self.recorder, f"slow{n}", SLOW_S) for n in range(slow)]
        self._workers = [Worker(asker.step, STEP_S) for asker in self.askers]
        self._writing = Worker(self.writer.step, 1 / writes_per_s)
        self.log = LogReader(site.log_path)

    def __enter__(self) -> World:
        self.londs.start()
        self.site.start()
        wait_until(self.all_ready, READY_S, "ready links to all peers")
        return self

    def begin(self) -> None:
        """Let clients ask and messages be stored from now on."""
        for worker in (*self._workers, self._writing):
            worker.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_workers()
        self.londs.stop()
        self.log.close()

    def _stop_workers(self) -> None:
        for worker in (*self._workers, self._writing):
            worker.stop()
        for worker in (*self._workers, self._writing):
            if worker.is_alive():
                worker.join(100)

    def all_ready(self) -> bool:
        """Return whether the link to every peer is ready."""
        return all(self.site.ready(peer) for peer in self.peers)

    # --- the history ----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Feed the checker with all that was seen since the last time. AssertionError: a thread has ended."""
        executed = self.londs.executed()  # first: what brought these about is recorded by now
        told = self.log.more()
        names = _PASSED.findall(told)
        self.abnormal += told.count("ABNORMAL")
        self.checker.feed(self.recorder.take())
        self.checker.feed(Passed(*self.writer.names[name]) for name in names if name in self.writer.names)
        self.checker.feed(executed)
        for peer in self.peers:
            self.writer.waiting[peer] = self.checker.messages(peer).waiting
        broken = [worker.broken for worker in (*self._workers, self._writing) if worker.broken]
        assert not broken, broken

    # --- faults ---------------------------------------------------------------------------------------

    def fault(self, kind: str, peers: Sequence[str], name: str = "") -> None:
        """Record a fault that is about to be injected; name: what it is counted as, if not its kind."""
        self.recorder.note(Fault(time.monotonic(), kind, tuple(peers)))
        self.kinds[name or kind] += 1

    def child(self, peer: str) -> int:
        """Return the pid of this peer's child; 0 when there is none, or none that is this daemon's."""
        pid = self.site.board(peer).parent.pid
        try:
            return pid if pid > 1 and psutil.Process(pid).ppid() == self.site.pid() else 0
        except psutil.Error:
            return 0

    def kill_child(self, chance: random.Random, flushing: bool) -> bool:
        """Kill a child that has messages to flush, or one that has none; False: there is none such now."""
        choice = [peer for peer in self.peers if bool(self.writer.waiting[peer]) == flushing] or self.peers
        peer = chance.choice(choice)
        pid = self.child(peer)
        if not pid:
            return False
        busy = self.site.board(peer).child.delayed > 0
        self.fault("child", [peer], "child in a flush" if busy else "idle child")
        return procs.send(pid, signal.SIGKILL)

    def kill_parent(self, chance: random.Random, together: bool) -> None:
        """Kill the parent, some of its children with it if so wanted, and start a new daemon at once."""
        chosen = chance.sample(self.peers, len(self.peers) // 2) if together else []
        pids = [pid for pid in map(self.child, chosen) if pid]
        self.fault("parent", self.peers, "parent and children" if together else "parent")
        parent = self.site.pid()
        for pid in (parent, *pids):
            procs.send(pid, signal.SIGKILL)
        wait_until(lambda: not procs.alive(parent), 20, "its end")
        self.site.start()

    def kill_londs(self, chance: random.Random) -> None:
        """Kill the londs of one group, and start them again."""
        group = chance.randrange(self.londs.groups)
        self.fault("lond", self.londs.names(group))
        self.londs.kill(group)
        self.londs.start(group)

    def reset_link(self, chance: random.Random) -> None:
        """Have one lond reset its connections."""
        number = chance.randrange(len(self.peers))
        self.fault("link", [self.peers[number]])
        self.londs.reset(number)

    # --- the end --------------------------------------------------------------------------------------

    def settle(self) -> list[str]:
        """Stop the traffic, wait until every message is gone, and return all violations."""
        self._stop_workers()
        return self.rest()

    def rest(self) -> list[str]:
        """Pause the traffic until go_on(), wait until no message is left, and return all violations so far."""
        for worker in (*self._workers, self._writing):
            worker.pause()
        for asker in self.askers:
            asker.close()
        self.pump()
        wait_until(lambda: not self.site.waiting(), SETTLE_S, "an empty directory")
        # the journal is written before the reply, so everything is in it by now
        self.pump()
        places = [self.site.delayed_dir / name for name in ("rejected", "corrupt")]
        shelved = [path.name for place in places if place.is_dir() for path in sorted(place.iterdir())]
        abnormal = [f"{self.abnormal} ends that the log calls ABNORMAL"] if self.abnormal else []
        return self.checker.finish() + abnormal + [f"set aside: {name}" for name in shelved]

    def go_on(self) -> None:
        """Let clients ask and messages be stored again."""
        for worker in (*self._workers, self._writing):
            worker.go_on()


class LogReader:
    """What is new in a log; one that was renamed or removed is read on for a while, before its successor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[BinaryIO] = []  # the latest generations, oldest first
        self._rest: dict[int, bytes] = {}

    def more(self) -> str:
        """Return the whole lines that were added since the last call."""
        with contextlib.suppress(FileNotFoundError):
            inode = self._path.stat().st_ino
            if not self._open or os.fstat(self._open[-1].fileno()).st_ino != inode:
                self._open.append(self._path.open("rb"))
        for old in self._open[:-3]:
            old.close()
        self._open = self._open[-3:]
        return "".join(map(self._lines, self._open))

    def _lines(self, stream: BinaryIO) -> str:
        data = self._rest.pop(stream.fileno(), b"") + stream.read()
        whole, newline, rest = data.rpartition(b"\n")
        self._rest[stream.fileno()] = rest
        return (whole + newline).decode("utf-8", "replace")

    def close(self) -> None:
        """Close what is open."""
        for stream in self._open:
            stream.close()
        self._open.clear()
