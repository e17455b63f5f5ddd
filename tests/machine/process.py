"""Owns one process of the state machine: the parts of a child, put together as lonc/child does, without sockets.

A turn is the child's: what is due, the flush, one send for each link, one for each client. What a kernel would
hold
lies in bytes here, and whoever plays decides how much of it moves, and when.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lonc.child.flush import Flush, FlushState
from lonc.config.model import Config
from lonc.delayed import DelayedQueue
from lonc.relay import Client, Lane, Relay
from lonc.system.files import SystemFiles
from lonc.system.logs import Log, PermLog
from lonc.wire.lines import Line
from lonc.wire.link import Farewell, Link, LinkEvent, LinkState, Lost, Ready
from lonc.wire.outbox import Outbox
from tests.machine.lond import LIMIT, Lond, Session
from tests.unit.delayed_ground import PEERS, FakeClock

REQUEST_S, DELAYED_S, GRACE_S, INIT_S, UPKEEP_S = 30.0, 10.0, 2.0, 20.0, 7.0
NEVER = float("inf")


@dataclass(frozen=True)
class _Wanted:
    """The settings that a flush asks for."""

    delayed_pipeline: int = 1
    grace_s: float = GRACE_S
    delete_on_any_reply: bool = False


class Caller(Client):
    """A client. written: not yet read of it. heard: what its kernel has taken; room: how much more it takes."""

    def __init__(self, process: Process) -> None:
        super().__init__(LIMIT)
        self.process = process
        self.written = b""
        self.heard = b""
        self.room = 1 << 20
        self.ended = False  # it writes no more
        self.vanished = False

    def read(self, count: int) -> None:
        """Read so many bytes of it, if it is to be read at all; then, perhaps, its end."""
        relay, now = self.process.relay, self.process.now
        if self.gone or not relay.wants_more(self):
            return
        data, self.written = self.written[:count], self.written[count:]
        if data:
            relay.client_data(self, data, now)
        elif self.ended:
            if self.turn == self.issued and not self.box:
                self.close()
            else:
                relay.client_eof(self)

    def attend(self) -> None:
        """Send what is owed, as far as its kernel takes it."""
        while chunks := self.box.batch():
            data = b"".join(chunks)
            if self.vanished:
                self.close()
                return
            taken = min(len(data), self.room)
            self.box.took(taken)
            self.heard += data[:taken]
            self.room -= taken
            if taken < len(data):
                return
        if self.finished:
            self.close()

    def close(self) -> None:
        """Close its socket."""
        if not self.gone:
            self.process.relay.client_gone(self)


class Wire:
    """One link with its connection. room: how many bytes the kernel keeps of what lond has not read."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lane: Lane = process.relay.add_lane()
        self.room = 1 << 20
        self.session: Session | None = None
        self.link = Link(
            b"own1", b"p1", b"lonc-1", init_timeout_s=INIT_S, connect_timeout_s=5.0, pong=True, pong_delay_s=0.0,
            reply_limit=1000,
        )  # fmt: skip
        self._talk = Outbox()

    @property
    def ready(self) -> bool:
        """Return whether requests can be sent on it."""
        return self.link.state is LinkState.READY

    def dial(self, lond: Lond) -> None:
        """Connect."""
        now = self.process.now
        self._handle(self.link.dial(now))
        self.session = Session(lond)
        self._handle(self.link.connected(now))

    def push(self) -> None:
        """Give the kernel what is due."""
        if self.session is None:
            return
        due = self.link.outgoing()
        if due:
            self._talk.fresh.append(due)
        talking = bool(self._talk)
        box = self._talk if talking else self.lane.box
        while self.session is not None and (chunks := box.batch()):
            data = b"".join(chunks)
            taken = min(len(data), max(0, self.room - len(self.session.inbox)))
            box.took(taken)
            self.session.inbox += data[:taken]
            if taken < len(data):
                return
            if box is self.lane.box:
                self.process.relay.pump(self.process.now)
        if talking and not box:
            self.link.sent(self.process.now)

    def read(self, count: int) -> list[bytes]:
        """Read so many bytes of replies; return the commands whose replies are whole with them."""
        assert self.session is not None
        data, whole = self.session.read(count)
        if data:
            self.hear(data)
        return whole

    def hear(self, data: bytes) -> None:
        """Take bytes that came from the peer, whoever sent them."""
        if not self.ready:
            self._handle(self.link.receive(data, self.process.now))
        else:
            self._take_replies(self.link.replies(data))

    def _take_replies(self, lines: list[Line | None]) -> None:
        relay, lane = self.process.relay, self.lane
        unasked = len(lines) > lane.answerable or (lines and not relay.replies(lane, lines, self.process.now))
        if unasked or (self.link.reply_buffer.partial and not lane.answerable):
            self.fail("out_of_step")

    def fail(self, reason: str) -> None:
        """End the link at once; no error when it is down."""
        if self.link.state is LinkState.DOWN:
            return
        was_ready = self.ready
        if was_ready:
            self.process.relay.link_lost(self.lane, self.process.now)
        self._handle(self.link.lost(reason, "", self.process.now))
        if was_ready:
            self.process.link_lost()

    def tick(self) -> None:
        """End a dialogue that takes too long."""
        self._handle(self.link.tick(self.process.now))

    def _handle(self, events: list[LinkEvent]) -> None:
        for event in events:
            if isinstance(event, Ready):
                frames = self.link.frames
                self.process.relay.link_ready(self.lane, frames.encode, frames.decode, self.process.now)
                self.process.flush.look(self.process.now, force=True)
            elif isinstance(event, Lost | Farewell):
                self.session = None
                self._talk.clear()


class Process:
    """One child from its start to its end. excuses: when something happened that may cost requests their
    answer."""

    def __init__(self, directory: str, logs: str, clock: FakeClock, on_unanswered: Callable[[str], None]) -> None:
        self.clock = clock
        self.relay = Relay(
            pipeline=3, request_timeout_s=REQUEST_S, delayed_timeout_s=DELAYED_S, grace_s=GRACE_S,
            max_line_bytes=LIMIT, client_buffer_bytes=1000, now=clock.mono,
        )  # fmt: skip
        files = SystemFiles()
        self.log_path = os.path.join(logs, "lonc.log")
        log = Log(self.log_path, files=files, clock=clock, who="p1", stderr_fd=-1)
        perm_log = PermLog(os.path.join(logs, "perm.log"), files=files, clock=clock, log=log)
        self.queue = DelayedQueue(directory, "p1", PEERS, files=files, clock=clock, max_line_bytes=LIMIT,
            retry_max_s=40.0)
        settings: Any = _Wanted()
        config: Config = settings
        self.flush = Flush(
            self.queue, self.relay, log, perm_log, config, "p1", warn=lambda text, **_: log.write(text),
            wake=self._wake, no_reply=self._no_reply,
        )  # fmt: skip
        self.wires = [Wire(self), Wire(self)]
        self.callers: list[Caller] = []
        self.excuses: list[float] = []
        self._on_unanswered = on_unanswered
        self._flush_at = NEVER
        self._upkeep_at = clock.mono

    @property
    def now(self) -> float:
        """Return the time."""
        return self.clock.mono

    def _wake(self, at: float) -> None:
        self._flush_at = min(self._flush_at, at)

    def _no_reply(self) -> None:
        if self.relay.delayed_lane is not None:
            self._fail(self.relay.delayed_lane, "no_reply")

    def _fail(self, lane: Lane, reason: str) -> None:
        next(wire for wire in self.wires if wire.lane is lane).fail(reason)

    def link_lost(self) -> None:
        """Do what a child does when a READY link is gone; the relay has been told."""
        self.excuses.append(self.now)
        last = not self.relay.ready
        if last or self.flush.cut:
            for name in self.on_their_way():
                self._on_unanswered(name)
            self.flush.link_lost(self.now)
        if not last:
            self.flush.look(self.now, force=True)

    def turn(self) -> None:
        """Do what a child does once in each turn of its loop."""
        relay, flush, now = self.relay, self.flush, self.now
        if not relay.ready and relay.grace_until is None:
            self.excuses.append(now)
        if now >= relay.wake_at:
            graced = relay.grace_until is not None
            for lane, _ in relay.tick(now):
                self._fail(lane, "timeout")
            if graced and relay.grace_until is None:
                self.excuses.append(now)
        for wire in self.wires:
            wire.tick()
        if now >= self._upkeep_at:
            self._upkeep_at = now + UPKEEP_S
            flush.look(now)
        if now >= self._flush_at:
            self._flush_at = NEVER
            flush.advance(now)
        if flush.busy:
            flush.advance(now)
        if relay.pump_due:
            relay.pump(now)
        for wire in self.wires:
            wire.push()
        while relay.dirty:
            dirty, relay.dirty = relay.dirty, []
            for client in dirty:
                client.dirty = False
                if not client.gone:
                    client.attend()
        if flush.behind:
            flush.meanwhile()

    def next_due(self) -> float:
        """Return when the child would wake up by itself."""
        deadlines = [wire.link.next_deadline() or NEVER for wire in self.wires]
        return min(self.relay.wake_at, self._flush_at, self._upkeep_at, *deadlines)

    def kill(self) -> None:
        """End it as kill -9 does: its locks are free, its memory is gone, what it wrote is on its way."""
        if self.queue.lock_fd >= 0:
            os.close(self.queue.lock_fd)

    def on_their_way(self) -> list[str]:
        """Return the names of the messages whose replies are awaited."""
        return [message.name for message in self.flush._in_flight]

    @property
    def sending(self) -> bool:
        """Return whether it sends delayed messages now."""
        return self.flush.state is FlushState.SENDING
