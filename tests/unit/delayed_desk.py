"""Owns a desk for tests of what is told: a delayed directory, keys, a writer, an operator, all on one record."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lonc.delayed.operating import Operator
from lonc.delayed.sealing import Keys
from lonc.delayed.shelves import Found, everything, which
from lonc.delayed.store import MessageStore
from lonc.system.files import SystemFiles
from tests.unit.delayed_calls import Recorder
from tests.unit.delayed_ground import PEERS, Ground

FILES = SystemFiles()


class Desk(Ground):
    """A delayed directory with an operator and a writer at it."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.base = base
        self.files = Recorder(base)
        self.keys = Keys(str(base / "lonc.keys"), files=self.files, clock=self.clock)
        self.operator = Operator(
            str(self.path), PEERS, self.keys, files=self.files, clock=self.clock, max_line_bytes=100, reply_s=0.0
        )  # fmt: skip
        self.store = MessageStore(
            str(self.path), self.keys, files=self.files, clock=self.clock, max_line_bytes=100
        )

    def found(self, name: str, content: bytes = b"ping\n", folder: str = "") -> Found:
        (self.path / folder).mkdir(exist_ok=True)
        self.put(os.path.join(folder, name), content)
        return self.one(f"{folder}/{name}" if folder else f"delayed/{name}")

    def one(self, said: str) -> Found:
        return which(everything(FILES, str(self.path), PEERS), said)


class Time:
    """Stands for the module: a clock that moves by sleeping only."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return 100.0 + sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def why(kind: type[BaseException], action: Callable[[], object]) -> str:
    """Return the text of the error that an action must end in."""
    with pytest.raises(kind) as caught:
        action()
    return str(caught.value)


def broken(code: int = errno.EIO) -> Callable[[], None]:
    """Return what fails with this error, for Recorder.before()."""

    def action() -> None:
        raise OSError(code, os.strerror(code))

    return action
