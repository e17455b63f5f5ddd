"""One worker: accepts, serves its clients side by side, tells the parent how busy it is, leaves in order.

The ways out: its share of clients is served; TERM (requests in hand are finished); INT (at once); REST and RETIRE
from the parent; the parent is gone. Each but INT closes the listeners first, and the worker leaves when its last
client has gone.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lonc.errors import ExitCode, LoncError
from lonc.loop import Loop
from lonc.pool import letters
from lonc.pool.clients import Clients
from lonc.pool.letters import Post
from lonc.pool.orders import LeaveNow, Orders
from lonc.pool.service import PoolRules, Service
from lonc.system import signals, status, titles
from lonc.system.clock import Clock
from lonc.system.files import SystemFiles
from lonc.system.logs import Log, RepeatedWarnings, Severity
from lonc.system.scoreboard import ChildRecord, Scoreboard

BEAT_S = 15.0  # the scoreboard is written at least so often
BOARD_S = 0.25  # and so long after a change
LEAVE_SHARE = 0.9  # of stop_timeout_s: then it leaves by itself, before the parent kills it
ORPHAN_S = 2.0  # what clients get when the parent is gone


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is given by its pool."""

    number: int
    listeners: Sequence[socket.socket]
    service: Service
    rules: PoolRules
    log: Log
    clock: Clock
    board: Scoreboard
    slot: int


class Worker:
    """A worker as its service sees it.

    number: 1, 2, ... (0 where the process itself accepts); name: `w1`. forked: whether it is a process of its own.
    record: its counters on the scoreboard (requests, replies ...), written out a moment after a change.
    """

    def __init__(self, place: Place, loop: Loop, post: socket.socket | None) -> None:
        """post: the worker's end of the pair; None: the process itself is the worker."""
        self.number = place.number
        self.name = f"w{place.number}"
        self.forked = post is not None
        self.loop = loop
        self.log = place.log
        self.record = ChildRecord(pid=os.getpid(), state="starting", since=place.clock.wall())
        self.gone = False
        self.code = ExitCode.OK
        self.on_word: Callable[[bytes], object] = lambda word: None  # where the process itself accepts
        self._place = place
        self._warnings = RepeatedWarnings(place.clock)
        self.clients = Clients(
            place.listeners, place.service, place.rules, loop=loop, record=self.record,
            share=place.rules.connections if self.forked else 0, warn=self._warn,
        )  # fmt: skip
        self._post = Post(post, loop, self._letter, self._parent_is_gone) if post is not None else None
        self._told = b""
        self._begun = False
        self._leave_by: float | None = None
        self._changed = True  # the record is to be written
        self._board_at = loop.now

    # --- for the service ------------------------------------------------------------------------------

    def tell(self, word: bytes) -> None:
        """Have Pool.on_word called with this word in the parent. ValueError: longer than 4 KiB."""
        if len(word) > letters.LONGEST:
            raise ValueError(f"a word of {len(word)} bytes: at most {letters.LONGEST}")
        if self._post is not None:
            if not self._post.send(letters.WORD, word):
                self._warn("A word for the parent is lost: it reads none", "words")
        else:
            self.on_word(word)

    def show(self, text: str) -> None:
        """Show what the worker is doing: its title, its status in the log, its state on the scoreboard."""
        self.log.status = text
        self.record.state, self.record.since = text, self._place.clock.wall()
        self._changed = True
        titles.set_title(f"{self._place.rules.program}: {text}")

    def beat(self) -> None:
        """Tell that this worker lives: for work that takes longer than one turn of the loop."""
        self._place.board.beat(self._place.slot, self._place.clock.monotonic())

    # --- the life of a forked one ---------------------------------------------------------------------

    def live(self) -> int:
        """Live in this process until the end; return its exit code. All signals are blocked on the call."""
        orders = Orders()
        orders.catch(self.loop)
        try:
            signals.restore(())
            if self.begin():
                self._serve(orders)
            orders.leaving()
        except LeaveNow:
            pass
        self.last_words()
        return self.code

    def _serve(self, orders: Orders) -> None:
        while not self.gone:
            self.attend(self.loop.turn(self.deadline()))
            if orders.now:  # LeaveNow was raised where Python drops errors (a destructor)
                return
            if orders.drain:
                self.drain(LEAVE_SHARE * self._place.rules.stop_timeout_s)
            if orders.report:
                orders.report = False
                self.report()

    def begin(self) -> bool:
        """Get ready and accept; return whether that could be done."""
        self.show(f"{self.name} starting")
        try:
            self._place.service.begin(self)
        except LoncError as error:
            self.log.write(f"The worker cannot begin: {error}", Severity.CRITICAL)
            self.code = ExitCode.FAILED
            self.gone = True
            return False
        self._begun = True
        if self.log.status == f"{self.name} starting":
            self.show(f"{self.name} waiting")
        self.clients.watch()
        if self._post is not None:
            self._post.send(letters.READY)
        self.attend(self.loop.now)
        return True

    def attend(self, now: float) -> None:
        """Do what this turn has brought; to be called behind every turn of the loop."""
        if self.clients.attend(now):
            self._changed = True
        state = b"%d %d %d" % (len(self.clients.open), self.clients.accepting, self.clients.taken)
        if state != self._told:
            self._told = state
            self._changed = True
            if self._post is not None:
                self._post.send(letters.STATE, state)
        if self._leave_by is not None and now >= self._leave_by:
            self.clients.abort_all()
            self.clients.attend(now)
        if self.clients.finished and not self.clients.open:
            self.gone = True
        self.beat()
        if now >= self._board_at + (BOARD_S if self._changed else BEAT_S):
            self._write_board(now)

    def deadline(self) -> float:
        """Return when attend() is due next, whatever happens."""
        board_at = self._board_at + (BOARD_S if self._changed else BEAT_S)
        return min(when for when in (board_at, self.clients.deadline(), self._leave_by) if when is not None)

    def _write_board(self, now: float) -> None:
        self._board_at, self._changed = now, False
        self.record.last_line, self.record.lost_lines = self.log.last_line, self.log.lost
        self._place.board.write_child(self._place.slot, self.record)

    # --- the ways out ---------------------------------------------------------------------------------

    def drain(self, within_s: float) -> None:
        """Finish the requests in hand and leave, within so many seconds."""
        if self._leave_by is None:
            self._leave_by = self.loop.now + within_s
            self.clients.finish()
            self.attend(self.loop.now)

    def retire(self) -> None:
        """Take no more clients; leave when those that are there have gone."""
        self.clients.stop_accepting()
        self.attend(self.loop.now)

    def leave_now(self) -> None:
        """Drop every client and leave."""
        self.clients.abort_all()
        self.attend(self.loop.now)

    def _letter(self, kind: bytes, _text: bytes) -> None:
        if kind == letters.RELOAD:
            self._place.service.reload()
        elif kind == letters.RETIRE:
            self.retire()
        elif kind == letters.REST and not self.clients.open and not self.gone:
            self.code = ExitCode.IDLE
            self.retire()

    def _parent_is_gone(self) -> None:
        self.log.write("The parent is gone: this worker ends", Severity.WARNING)
        self.code = ExitCode.ORPHANED
        self.drain(ORPHAN_S)

    def last_words(self) -> None:
        """Have the service give back what it took, and tell what was not told yet."""
        if self._begun:
            self._begun = False
            self._place.service.end()
        self._write_board(self.loop.now)
        if self._post is not None:
            self._post.flush()

    # --- telling --------------------------------------------------------------------------------------

    def report(self) -> None:
        """Append this worker's block to the status file."""
        path = self._place.rules.status_path
        if path:
            line = status.ProcessLine(
                os.getpid(), self.name, self.log.status_text, self.log.last_line, self.log.trouble
            )
            shown = [channel.address or "local" for channel in self.clients.open]
            more = self._place.service.report()
            trouble = status.append_block(path, line, files=SystemFiles(), connections=shown, more=more)
            if trouble:
                self._warn(f"Status file cannot be written: {trouble}", "status")

    def _warn(self, text: str, reason: str) -> None:
        line = self._warnings.pass_on(reason, reason, text)
        if line is not None:
            self.log.write(line, Severity.WARNING)


def fresh_process() -> None:
    """Let go of what a fork has left of the parent's signals; everything stays blocked."""
    signals.reset_inherited(blocked=True)
    for signum in (signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(signum, signal.SIG_DFL)
