"""Owns the ground for tests of the delayed directory: real files with chosen ages, two clocks, failing calls."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lonc.delayed import DelayedQueue, Entry, Look, Message
from lonc.system.files import Files, SystemFiles

PEERS = ("a.b", "b", "p1", "p2")
CALLS = frozenset(name for name in dir(SystemFiles) if not name.startswith("_"))


class FakeClock:
    """Both clocks, moved by hand; the wall one starts at the present, so that fresh files are fresh."""

    def __init__(self) -> None:
        self.mono = 1000.0
        self.now_wall = float(int(time.time()))

    def monotonic(self) -> float:
        return self.mono

    def wall(self) -> float:
        return self.now_wall

    def advance(self, seconds: float) -> None:
        self.mono += seconds
        self.now_wall += seconds


class Crash(BaseException):
    """Stands for kill -9: nothing may catch it but the test."""


class FaultyFiles(SystemFiles):
    """The machine's calls, with `fault` called before the n-th (from 0). After a Crash nothing is done."""

    def __init__(self, n: int, fault: Callable[[], None]) -> None:
        self.count = 0
        self.calls: list[str] = []
        self.hit = ""
        self._n = n
        self._fault = fault
        self._open: set[int] = set()
        self._dead = False

    def __getattribute__(self, name: str) -> Any:
        method = super().__getattribute__(name)
        return functools.partial(self._call, name, method) if name in CALLS else method

    def _call(self, name: str, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if self._dead:
            raise Crash
        self.count += 1
        self.calls.append(name)
        if self.count - 1 == self._n:
            self.hit = name
            try:
                self._fault()
            except Crash:
                self.die()
                raise
            except OSError:
                if name == "close":  # a failed close closes all the same
                    method(*arguments)
                    self._open.discard(arguments[0])
                raise
        result = method(*arguments, **options)
        if name == "open":
            self._open.add(result)
        elif name == "close":
            self._open.discard(arguments[0])
        return result

    def die(self) -> None:
        """Do what the kernel does for a killed process: close everything, so that its locks are free."""
        self._dead = True
        for fd in self._open:
            os.close(fd)
        self._open.clear()


class Ground:
    """A delayed directory in real files."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "delayed"
        self.path.mkdir(mode=0o700)
        self.clock = FakeClock()
        self.past = int(self.clock.now_wall) - 1000

    def queue(self, peer: str = "p1", files: Files | None = None, **options: Any) -> DelayedQueue:
        """Return a queue as a new child would make it."""
        return DelayedQueue(
            str(self.path), peer, PEERS, files=files or SystemFiles(), clock=self.clock, **options
        )

    def name(self, counter: int = 0, *, age: float = 1000, peer: str = "p1") -> str:
        """Return a standard name whose time is that many seconds ago."""
        return f"{int(self.clock.now_wall - age)}.{counter}.77.ping.{peer}"

    def put(self, name: str, content: bytes = b"ping\n", *, age: float = 1000) -> Path:
        """Write a file last changed that many seconds ago, by the fake wall clock."""
        path = self.path / name
        path.write_bytes(content)
        self.date(path, age)
        return path

    def date(self, path: Path, age: float) -> None:
        moment = self.clock.now_wall - age
        os.utime(path, (moment, moment))

    def replace(self, name: str, content: bytes, *, age: float = 1000) -> None:
        """Put a new file in the place of one, as a careful writer does."""
        fresh = self.put(".fresh", content, age=age)
        fresh.rename(self.path / name)

    def replace_in_place(self, name: str, content: bytes, *, age: float = 900) -> None:
        """Rewrite the same file, as a careless writer does."""
        self.put(name, content, age=age)

    def look(self, queue: DelayedQueue, *, force: bool = True) -> Look:
        return queue.look(self.clock.mono, force=force)

    def read(self, queue: DelayedQueue, name: str) -> object:
        """Read one file by its name, as if a look had handed it out."""
        parts = name.split(".")
        standard = parts[0].isdigit() and len(parts) > 4 and parts[1].isdigit()
        entry = Entry(int(parts[0]), int(parts[1]), name) if standard else Entry(0, 0, name)
        return queue.read(entry, self.clock.mono)

    def message(self, queue: DelayedQueue, name: str) -> Message:
        message = self.read(queue, name)
        assert isinstance(message, Message), message
        return message

    def names(self, folder: str = ".") -> list[str]:
        """Return the visible names in the directory or in one of its own."""
        return sorted(name for name in os.listdir(self.path / folder) if not name.startswith("."))


def ready(look: Look) -> list[str]:
    return [entry.name for entry in look.ready]
