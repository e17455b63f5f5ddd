"""Owns a made network: the files of a running lonc with as many peers as a test wants, and no daemon.

The lock is held by the test's own process, which is also the pid of every child that lives: so whoever reads the
files finds a daemon at work, while nothing runs that could disturb or be disturbed.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from types import TracebackType

from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from lonc.system.lock import DaemonLock, write_pid_file
from lonc.system.scoreboard import ChildRecord, HeaderRecord, ParentRecord, Scoreboard, latency_bucket
from tests.process.installation import Entry, Installation

# What the peers are, in turn; most are up.
KINDS = ("up", "up", "up", "down", "up", "keying", "up", "given up", "up", "backoff", "up", "on demand", "up")
SPITEFUL = "<script>alert('x')</script> & \"refused\""


class MadeNetwork:
    """An installation with peers p0000, p0001, ...; used with `with`. even: all of them are up."""

    def __init__(self, count: int, *, even: bool = False, own_id: str = "own1") -> None:
        self.names = [f"p{i:04d}" for i in range(count)]
        self.kinds = dict.fromkeys(self.names, "up")
        if not even:
            self.kinds = {self.names[i]: KINDS[i % len(KINDS)] for i in range(count)}
        self.site = Installation(
            [Entry(name, "127.0.0.1", name="peer.example") for name in self.names], own_id=own_id
        )
        self.chance = random.Random(1)
        self.children: dict[str, ChildRecord] = {}

    def __enter__(self) -> MadeNetwork:
        """Take the lock and write the board."""
        files, site = SystemFiles(), self.site
        self.lock = DaemonLock.acquire(str(site.logs_dir / "lonc.lock"), files)
        write_pid_file(files, str(site.pid_path), os.getpid())
        self.board = Scoreboard.create(str(site.scoreboard_path), self.names)
        now = time.time()
        self.board.write_header(
            HeaderRecord(pid=os.getpid(), started=now - 90_000, state="serving", since=now - 90_000)
        )
        for name in self.names:
            self._begin(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give everything back."""
        self.board.close()
        self.lock.close()
        shutil.rmtree(self.site.root, ignore_errors=True)

    def _begin(self, name: str) -> None:
        kind, now = self.kinds[name], time.time()
        lives = kind in ("up", "down", "keying")
        self.board.write_parent(
            self.board.add(name),
            ParentRecord(
                peer=name, pid=os.getpid() if lives else 0, state="up" if lives else kind, since=now - 250,
                why="" if lives or kind == "on demand" else "ended with exit code 5", attempts=0 if lives else 3,
                next_start=time.monotonic() + 30,
            ),
        )  # fmt: skip
        if not lives:
            return
        state = {"up": "ready"}.get(kind, kind)
        self.children[name] = ChildRecord(
            pid=os.getpid(), state=state, step="Idle" if kind == "up" else "ChallengeReceived", since=now - 240,
            down_since=0.0 if kind == "up" else time.monotonic() - 240,
            why="" if kind == "up" else SPITEFUL, address="127.0.0.1", clients=3, links=int(kind == "up"),
            in_flight=int(kind == "up"), requests=1000, replies=990, con_lost=10, bytes_in=50_000, bytes_out=9_000,
        )  # fmt: skip
        self.turn(name, 0)

    def turn(self, name: str, requests: int) -> None:
        """Let a peer's child do so many requests, each of some milliseconds, and show that it lives."""
        record = self.children[name]
        record.requests += requests
        record.replies += requests
        for _ in range(requests):
            record.latency_us[latency_bucket(self.chance.lognormvariate(-6.0, 0.8))] += 1
        record.beat = SystemClock().monotonic()
        self.board.write_child(self.board.add(name), record)

    def turn_all(self, most: int = 40) -> None:
        """Let every child that lives do some requests."""
        for name in self.children:
            self.turn(name, self.chance.randrange(most) if self.kinds[name] == "up" else 0)
