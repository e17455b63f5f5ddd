"""Owns a campaign's world: one daemon with many peers, traffic, kills of every kind, and the history of it all."""

from __future__ import annotations

import random
import re
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import psutil

from tests.fakes.crowd import name_of
from tests.history.checker import Checker
from tests.history.model import Fault, Passed, Record
from tests.history.peers import Londs
from tests.history.traffic import Asker, Recorder, Worker, Writer
from tests.process import procs
from tests.process.harness import Site, wait_until

READY_S = 90.0
SETTLE_S = 120.0
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

    def __init__(self, site: Site, londs: Londs, *, askers: int, writes_per_s: float, most: int = 4) -> None:
        """askers: clients. most: messages of one peer that wait at once."""
        self.site = site
        self.londs = londs
        self.peers = [name_of(number) for number in range(londs.groups * londs.each)]
        self.recorder = Recorder()
        self.checker = Checker()
        self.kinds: Counter[str] = Counter()  # faults, by kind
        self.writer = Writer(site, self.peers, self.recorder, most)
        self.askers = [Asker(site, self.peers, self.recorder, f"t{number}") for number in range(askers)]
        self._workers = [Worker(asker.step, STEP_S) for asker in self.askers]
        self._writing = Worker(self.writer.step, 1 / writes_per_s)
        self._log_read = 0
        self._log_inode = 0

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
        passed = self._passed()
        self.checker.feed(self.recorder.take())
        self.checker.feed(passed)
        self.checker.feed(executed)
        for peer in self.peers:
            self.writer.waiting[peer] = self.checker.messages(peer).waiting
        broken = [worker.broken for worker in (*self._workers, self._writing) if worker.broken]
        assert not broken, broken

    def _passed(self) -> list[Record]:
        """Return what the log has newly told as passed over; a rotated log is read from its beginning."""
        path = self.site.log_path
        try:
            facts = path.stat()
        except FileNotFoundError:
            return []
        if facts.st_ino != self._log_inode or facts.st_size < self._log_read:
            self._log_inode, self._log_read = facts.st_ino, 0
        with path.open("rb") as stream:
            stream.seek(self._log_read)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._log_read += len(whole)
        names = _PASSED.findall(whole.decode("utf-8", "replace"))
        return [Passed(*self.writer.names[name]) for name in names if name in self.writer.names]

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
        for asker in self.askers:
            asker.close()
        self.pump()
        wait_until(lambda: not self.site.waiting(), SETTLE_S, "an empty directory")
        # the journal is written before the reply, so everything is in it by now
        self.pump()
        shelves = [path for name in ("rejected", "corrupt") for path in _files(self.site.delayed_dir / name)]
        return self.checker.finish() + [f"set aside: {path.name}" for path in shelves]


def _files(place: Path) -> list[Path]:
    return sorted(place.iterdir()) if place.is_dir() else []
