"""Owns how an order is given: to whom, that it has come about, and what is said of it.

An order is a signal, sent only to a process that was proved to be the one that is meant: the parent by the lock
that it holds, a child by the scoreboard and by being that parent's child. Then its effect is waited for, on the
scoreboard and in the log, for a limited time.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import psutil

from lonc.cli.ctl.log_tail import LogTail
from lonc.cli.ctl.operator import NotAllowedError, Person, become_operator
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.verbs import Exit, config_of
from lonc.config import Config
from lonc.errors import LoncError, ScoreboardError
from lonc.system.files import SystemFiles
from lonc.system.lock import is_alive, lock_holder
from lonc.system.scoreboard import ChildRecord, HeaderRecord, ParentRecord, Scoreboard

POLL_S = 0.02
HEARD_S = 10.0  # the loop of a child turns far more often
Seen = TypeVar("Seen")


class NotRunningError(LoncError):
    """Nobody holds the lock: there is no daemon to give an order to."""


class NoChildError(LoncError):
    """The peer has no child that could be given an order; the text says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an order. done: whether the effect was seen; facts: more for JSON; code: else by done."""

    done: bool
    text: str
    facts: dict[str, object] = field(default_factory=dict)
    code: Exit | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """What the scoreboard has of one peer."""

    parent: ParentRecord
    child: ChildRecord

    @property
    def child_pid(self) -> int:
        """Return the pid of the child that lives by the parent's word, 0 without one."""
        return self.parent.pid

    @property
    def said(self) -> bool:
        """Return whether the child's part is of the child that the parent has now."""
        return self.parent.pid != 0 and self.child.pid == self.parent.pid

    @property
    def ready(self) -> bool:
        """Return whether a link is ready."""
        return self.said and self.child.state == "ready"

    @property
    def state(self) -> str:
        """Return one word for where the peer stands."""
        return self.child.state if self.said else self.parent.state


class Scene:
    """A running daemon as an order finds it. pid: of the parent; began: when the order began (monotonic)."""

    def __init__(self, config: Config, person: Person) -> None:
        """Raises NotRunningError."""
        self.config = config
        self.person = person
        self.pid = parent_pid(config)
        self.began = time.monotonic()
        self.log = LogTail(config.log_path)

    def header(self) -> HeaderRecord | None:
        """Return what the parent says of itself; None: nothing that can be read."""
        board = self._board()
        if board is None:
            return None
        try:
            return board.read_header()
        finally:
            board.close()

    def slots(self) -> dict[str, Slot]:
        """Return what the scoreboard has of every peer; nothing when there is no board of this daemon."""
        board = self._board()
        if board is None:
            return {}
        try:
            found = {}
            for slot in range(board.count):
                parent = board.read_parent(slot)
                if parent is not None and parent.peer:
                    found[parent.peer] = Slot(parent, board.read_child(slot) or ChildRecord())
            return found
        finally:
            board.close()

    def slot(self, peer: str) -> Slot | None:
        """Return what the scoreboard has of one peer."""
        return self.slots().get(peer)

    def _board(self) -> Scoreboard | None:
        try:
            board = Scoreboard.open_reader(self.config.scoreboard_path)
        except ScoreboardError:
            return None
        header = board.read_header()
        if header is not None and header.pid != self.pid:
            board.close()
            return None  # of a daemon that is gone
        return board

    def tell_parent(self, signum: int) -> None:
        """Send a signal to the parent. Raises NotRunningError when it has gone meanwhile."""
        if parent_pid(self.config) != self.pid:
            raise NotRunningError("lonc has ended in this moment")
        try:
            os.kill(self.pid, signum)
        except ProcessLookupError:
            raise NotRunningError("lonc has ended in this moment") from None

    def child_pid(self, peer: str) -> int:
        """Return the pid of a peer's child, proved to be a child of the parent. Raises NoChildError."""
        slot = self.slot(peer)
        if slot is None:
            raise NoChildError(f"{peer} is not served: it is not in the table that lonc has read")
        if not slot.child_pid:
            why = f", {slot.parent.why}" if slot.parent.why else ""
            more = ": `loncctl retry` starts it" if slot.parent.state == "given up" else ""
            raise NoChildError(f"{peer} has no child now ({slot.parent.state}{why}){more}")
        try:
            ours = psutil.Process(slot.child_pid).ppid() == self.pid
        except psutil.Error:
            ours = False
        if not ours:
            raise NoChildError(f"the child of {peer} has ended in this moment")
        return slot.child_pid

    def call_child(self, peer: str) -> bool:
        """Send USR1 to the child of a peer: it reads lonc.wanted, looks at its messages, dials.

        Return whether it has done so, or another child has begun meanwhile. Raises NoChildError.
        """
        pid = self.child_pid(peer)
        at = time.monotonic()
        try:
            os.kill(pid, signal.SIGUSR1)
        except ProcessLookupError:
            raise NoChildError(f"the child of {peer} has ended in this moment") from None

        def heard() -> bool:
            # The last thing that a child does on USR1 is to write its slot, with the time of that turn.
            slot = self.slot(peer)
            return slot is not None and slot.said and slot.child.beat > at

        return wait_for(heard, HEARD_S)


def parent_pid(config: Config) -> int:
    """Return the pid of the parent: who holds the lock, and lives. Raises NotRunningError."""
    holder = lock_holder(config.lock_path, SystemFiles())
    if not holder or not is_alive(holder):
        raise NotRunningError("lonc is not running")
    return holder


def wait_for(look: Callable[[], Seen], limit_s: float) -> Seen:
    """Return what look returned as soon as it is true, or what it returned last after limit_s seconds."""
    until = time.monotonic() + limit_s
    while True:
        seen = look()
        if seen or time.monotonic() >= until:
            return seen
        time.sleep(POLL_S)


def carry_out(options: argparse.Namespace, out: Output, deed: Callable[[Scene], Result]) -> int:
    """Give an order to a running daemon and say what came of it; return the exit code (verbs.Exit)."""
    return tell(options, out, lambda config, person: deed(Scene(config, person)))


def tell(options: argparse.Namespace, out: Output, deed: Callable[[Config, Person], Result]) -> int:
    """Do what an operator may, and say what came of it; return the exit code (verbs.Exit)."""
    began = time.monotonic()
    try:
        config = config_of(options)
        result = deed(config, become_operator(config))
    except NotRunningError as error:
        result = Result(False, str(error), code=Exit.NOT_RUNNING)
    except NotAllowedError as error:
        result = Result(False, str(error), code=Exit.USAGE)
    except NoChildError as error:
        result = Result(False, str(error))
    code = result.code if result.code is not None else Exit.DONE if result.done else Exit.FAILED
    out.json(
        {
            "verb": options.verb,
            "done": result.done,
            "text": result.text,
            "seconds": round(time.monotonic() - began, 3),
            **result.facts,
        }
    )
    if result.done:
        out.say(result.text)
    elif not out.as_json:
        out.complain(result.text)
    return code
