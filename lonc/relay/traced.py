"""A relay that is traced: of each request it is noted when it came, when a link got it and when it was answered.

A relay becomes such a one by begin() and a plain one again by end(), in the middle of its work. So nothing on the
hot path has to ask whether somebody traces: the plain relay does not know of it. While it is traced every request
goes through the queue, as with transaction logging.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from lonc.relay.client import Client
from lonc.relay.lane import Lane, Sent, head
from lonc.relay.relay import Relay
from lonc.wire.lines import Line, length
from lonc.wire.words import CLOSE_EXIT, CON_LOST

KEPT_BYTES = 64  # of a request: enough for its word


class Who(NamedTuple):
    """The process that asked; pid 0: not known, or a delayed message."""

    pid: int
    uid: int


@dataclass(frozen=True, slots=True)
class Traced:
    """One request that was answered. Times are monotonic seconds.

    line: its beginning; size: of all of it. handed: when a link got it, None when none did. reply: None when it
    was too long to keep. delayed: a message from the disk, who is nobody then.
    """

    who: Who
    line: bytes
    size: int
    asked: float
    handed: float | None
    answered: float
    reply: Line | None
    delayed: bool


@dataclass(slots=True)
class _Note:
    who: Who
    line: bytes
    size: int
    asked: float
    handed: float | None = None


class TracedRelay(Relay):
    """A Relay between begin() and end(); never made in another way."""

    emit: Callable[[Traced], None]
    who: Callable[[Client], Who]
    notes: dict[tuple[Client, int], _Note]
    traced_now: float  # of the turn, for what is lost without a time of its own

    def _note(self, client: Client, number: int, line: Line, now: float) -> None:
        if (client, number) not in self.notes:
            self.notes[client, number] = _Note(self.who(client), head(line, KEPT_BYTES), length(line), now)

    def _tell(self, note: _Note, now: float, reply: Line | None, *, delayed: bool = False) -> None:
        self.emit(Traced(note.who, note.line, note.size, note.asked, note.handed, now, reply, delayed))

    # --- in -------------------------------------------------------------------------------------------

    def _request(self, client: Client, line: Line, now: float) -> None:
        self.traced_now = now
        if line != CLOSE_EXIT:
            self._note(client, client.issued, line, now)
        super()._request(client, line, now)

    def _enqueue(self, client: Client, now: float, number: int, line: Line) -> None:
        self._note(client, number, line, now)
        super()._enqueue(client, now, number, line)

    # --- out ------------------------------------------------------------------------------------------

    def pump(self, now: float) -> None:
        """Hand over what may go, and keep the short way closed."""
        super().pump(now)
        self._only = None

    def _pump_one(self, lane: Lane, now: float) -> None:
        self._pump_several(now)

    def _hand_over(self, lane: Lane, client: Client, asked: float, number: int, line: Line, now: float) -> None:
        note = self.notes.get((client, number))
        if note is not None:
            note.handed = now
            if client.gone:  # it is dropped there
                del self.notes[client, number]
        super()._hand_over(lane, client, asked, number, line, now)

    # --- answered -------------------------------------------------------------------------------------

    def replies(self, lane: Lane, lines: list[Line | None], now: float) -> bool:
        """Note who is answered, then hand the replies on."""
        self.traced_now = now
        if len(lines) > len(lane.in_flight):  # nobody gets any of them: the link goes
            return super().replies(lane, lines, now)
        for (client, asked, number, request), reply in zip(lane.in_flight, lines, strict=False):
            note = self.notes.pop((client, number), None)
            delayed = client is self.delayed_client
            if note is None and (delayed or client.owed(number)):  # or it was asked before the trace began
                who = Who(0, 0) if delayed else self.who(client)
                note = _Note(who, head(request, KEPT_BYTES), length(request), asked, asked)
            if note is not None:
                self._tell(note, now, reply, delayed=delayed)
        return super().replies(lane, lines, now)

    def tick(self, now: float) -> list[tuple[Lane, Sent]]:
        """Do what is due; see Relay."""
        self.traced_now = now
        return super().tick(now)

    def link_lost(self, lane: Lane, now: float) -> None:
        """Note the time of what is lost now; see Relay."""
        self.traced_now = now
        super().link_lost(lane, now)

    def _lose(self, client: Client, number: int) -> None:
        note = self.notes.pop((client, number), None)
        if note is not None and client.owed(number):
            self._tell(note, max(self.traced_now, note.asked), CON_LOST)
        super()._lose(client, number)


def begin(relay: Relay, emit: Callable[[Traced], None], who: Callable[[Client], Who], now: float) -> None:
    """Have each request told to `emit` from now on, when it is answered; who: asked once for each request."""
    if isinstance(relay, TracedRelay):
        return
    relay.__class__ = TracedRelay
    assert isinstance(relay, TracedRelay)
    relay.emit, relay.who, relay.notes, relay.traced_now = emit, who, {}, now
    relay._only = None


def end(relay: Relay, now: float) -> None:
    """Make it a plain relay again; no error when it is one."""
    if not isinstance(relay, TracedRelay):
        return
    del relay.emit, relay.who, relay.notes, relay.traced_now
    relay.__class__ = Relay  # type: ignore[assignment]  # what it was before begin()
    relay.pump(now)
