"""A flush turn by turn: what is done before the next message goes, and what while the peer works."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lonc.child.flush import Flush, FlushState
from lonc.config.model import Config
from lonc.delayed import DelayedQueue
from lonc.system.files import SystemFiles
from lonc.system.logs import Log, PermLog
from tests.unit.delayed_ground import FakeClock, FaultyFiles, Ground
from tests.unit.relay_stage import Stage


@dataclass(frozen=True)
class _Wanted:
    """The settings that a flush asks for."""

    delayed_pipeline: int = 1
    grace_s: float = 1.0
    delete_on_any_reply: bool = False


class Turns(Stage):
    """A flush on a relay; a turn is: replies, advance, what goes to the link, and then the rest."""

    def __init__(self, tmp_path: Path, *, window: int = 1) -> None:
        super().__init__(pipeline=1)
        self.ground = Ground(tmp_path)
        self.files = FaultyFiles(-1, lambda: None)
        clock: FakeClock = self.ground.clock
        self.logs = tmp_path
        log = Log(str(tmp_path / "lonc.log"), files=SystemFiles(), clock=clock, who="p1", stderr_fd=-1)
        perm_log = PermLog(str(tmp_path / "perm"), files=SystemFiles(), clock=clock, log=log)
        queue: DelayedQueue = self.ground.queue(files=self.files)
        settings: Any = _Wanted(window)
        config: Config = settings
        self.flush = Flush(
            queue, self.relay, log, perm_log, config, "p1", warn=lambda text, **_: log.write(text),
            wake=lambda _at: None, no_reply=lambda: None,
        )  # fmt: skip

    def put(self, count: int) -> None:
        for n in range(count):
            self.ground.put(self.ground.name(n), b"m%d\n" % n)

    def advance(self) -> bytes:
        """Do the first half of a turn; return what goes to the link."""
        self.flush.advance(self.now)
        return self.sent()

    def turn(self, replies: bytes = b"") -> bytes:
        assert self.link(replies)
        out = self.advance()
        if self.flush.behind:
            self.flush.meanwhile()
        return out

    def told(self) -> list[str]:
        """Return what both logs say of single messages, the log first."""
        log, perm = self.logs / "lonc.log", self.logs / "perm"
        lines = log.read_text().splitlines() if log.exists() else []
        records = perm.read_text().splitlines() if perm.exists() else []
        return [line.split("]: ")[1] for line in lines] + [":".join(line.split(":")[1:4]) for line in records]

    def logs_open(self) -> int:
        """Return how many of the logs are open."""
        found = []
        for fd in os.listdir("/proc/self/fd"):
            path = f"/proc/self/fd/{fd}"
            found += [os.readlink(path)] if os.path.lexists(path) else []
        return sum(name in (str(self.logs / "lonc.log"), str(self.logs / "perm")) for name in found)


@pytest.fixture
def turns(tmp_path: Path) -> Turns:
    return Turns(tmp_path)


def begin(turns: Turns, count: int) -> None:
    turns.put(count)
    turns.flush.look(turns.now, force=True)
    turns.turn()


def test_the_file_goes_then_the_next_message_then_the_lines(turns: Turns) -> None:
    turns.put(3)
    turns.flush.look(turns.now, force=True)
    assert turns.turn() == b"m0\n"
    assert turns.link(b"ok\n")
    assert turns.advance() == b"m1\n"
    assert turns.ground.names() == [turns.ground.name(1), turns.ground.name(2)]
    assert turns.told() == []
    turns.flush.meanwhile()
    assert turns.told() == ["Delayed m0 (2 bytes): >ok<", "S:p1:m0"]
    assert not turns.flush.behind


def test_the_next_file_is_read_while_the_peer_works_and_looked_at_once_when_its_turn_comes(turns: Turns) -> None:
    begin(turns, 3)
    turns.files.calls.clear()
    turns.turn(b"ok\n")
    removal = ["lstat", "rename", "lstat", "unlink"]
    reading = ["lstat", "open", "fstat", "read", "close"]
    assert turns.files.calls == [*removal, "lstat", "pwrite", "lstat", *reading]


def test_a_message_replaced_while_the_one_before_it_is_on_its_way_is_sent_as_it_is_now(turns: Turns) -> None:
    begin(turns, 2)
    turns.ground.replace(turns.ground.name(1), b"new\n")
    assert turns.turn(b"ok\n") == b"new\n"


def test_after_the_last_message_everything_is_told_and_both_logs_are_let_go(turns: Turns) -> None:
    begin(turns, 2)
    turns.turn(b"ok\n")
    assert turns.logs_open() == 2
    assert turns.link(b"ok\n")
    turns.flush.advance(turns.now)  # the lines do not wait for the rest of the turn: there is no next message
    assert turns.told() == ["Delayed m0 (2 bytes): >ok<", "Delayed m1 (2 bytes): >ok<", "S:p1:m0", "S:p1:m1"]
    assert turns.logs_open() == 0
    assert turns.flush.state is FlushState.IDLE


def test_a_lost_link_loses_no_line(turns: Turns) -> None:
    begin(turns, 3)
    assert turns.link(b"ok\n")
    turns.lost()
    turns.flush.link_lost(turns.now)
    assert turns.told() == ["Delayed m0 (2 bytes): >ok<", "S:p1:m0"]
    assert turns.logs_open() == 0
    assert len(turns.ground.names()) == 2


def test_answers_of_one_turn_are_told_in_order(tmp_path: Path) -> None:
    turns = Turns(tmp_path, window=4)
    begin(turns, 3)
    turns.turn(b"ok\nrefused\nok\n")
    told = turns.told()
    assert [line.partition(":")[0] for line in told[:1]] == ["Delayed m0 (2 bytes)"]
    assert "Delayed m1 (2 bytes): >refused<; moved to rejected/" in told[1]
    assert told[2:] == ["Delayed m2 (2 bytes): >ok<", "S:p1:m0", "F:p1:m1", "S:p1:m2"]


def test_a_message_without_a_reply_is_told_behind_those_before_it(tmp_path: Path) -> None:
    turns = Turns(tmp_path, window=4)
    begin(turns, 2)
    turns.turn(b"ok\n\n")
    assert turns.told()[:2] == ["Delayed m0 (2 bytes): >ok<", "Delayed m1 (2 bytes): no reply, it stays"]
