"""Owns one client's link: lines in, commands carried out one after the other, replies out in their order.

    received ---> _raw, in pieces as they came ---> one line ---> ServerSession ---> carry_out ---> _out ---> send

A line is given to the session only when all before it are done, since `sethost` and `ekey` change what the lines
behind them mean. Work stops while a `pong` is asked back, while too much output waits for a client that does not
read (the channel is full), and after WORK_S seconds, so that replies go out and signals are heard.

When the worker is to leave, the link is closed at a moment when nothing is in flight: replies are held back until
no request has come for QUIET_S seconds. Then everybody who waits at the other end waits for a reply that is here,
and all of them go out right before the end of the connection (doc/DEVIATIONS.md, D86).
Source: spec lond.md 1, wire.md 1 and 2.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Final, Protocol

from lonc.errors import LinkProtocolError
from lonc.lond.commands.model import Reply
from lonc.pool import Channel
from lonc.system.clock import Clock
from lonc.system.tcp import set_option
from lonc.wire.server import AskPong, Closed, Request, Send, ServerEvent, ServerSession, ServerState

WORK_S: Final = 0.003  # of commands in one turn: the replies of a turn go out together at its end
MOST_WAITING: Final = 1 << 20  # bytes of output, or of input, that may wait; what a command adds comes on top
QUIET_S: Final = 0.1
GATHER_S: Final = 1.5  # the longest time that replies are held back


class Duty(Protocol):
    """What a link needs of its worker."""

    clock: Clock
    init_timeout_s: float
    raw_limit: int  # bytes that may wait while nothing can be carried out

    def carry_out(self, link: Link, line: bytes, encrypted: bool) -> Reply:
        """Return the reply to a command."""

    def ask_back(self, link: Link) -> None:
        """Ask the client `ping`; its answer comes by link.asked_back, in a later turn."""

    def complain(self, link: Link, why: str) -> None:
        """Take note that this link ends for a fault of its client's."""

    def over(self, link: Link) -> None:
        """Take note that this link has ended."""


class Link:
    """One client's connection, a Session of the pool. client: its id; session: its dialogue."""

    def __init__(self, channel: Channel, client: str, session: ServerSession, duty: Duty) -> None:
        self.channel = channel
        self.client = client
        self.session = session
        self._duty = duty
        self._raw: deque[bytes] = deque()
        self._raw_size = 0
        self._at = 0  # where the first piece's next line begins
        self._out: list[bytes] = []
        self._out_size = 0
        self._asking = False
        self._over = False
        self._open_until = duty.clock.monotonic() + duty.init_timeout_s
        self._quiet_at: float | None = None  # set while the worker is leaving
        self._gathered_at = 0.0
        self.deadline: float | None = self._open_until

    @property
    def state(self) -> str:
        """What it is doing, in a word: `init`, `echo`, `open`, `closed`, `asking back`, `leaving`."""
        if self._quiet_at is not None:
            return "leaving"
        return "asking back" if self._asking else self.session.state.value

    # --- what comes -----------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Take what came, and carry out as much as one turn allows."""
        if self._over:
            return
        self._raw.append(data)
        self._raw_size += len(data)
        now = self._duty.clock.monotonic()
        if self._quiet_at is not None:
            self._quiet_at = min(now + QUIET_S, self._gathered_at)
        # A client that writes on and on while nothing can be done for it.
        if self._raw_size > self._duty.raw_limit:
            self._fail("more input than can wait")
            return
        self._work(now)

    def due(self, now: float) -> None:
        """Go on with the work, or with the end."""
        if self._over:
            self.deadline = None
        elif not self._is_open() and now >= self._open_until:
            self._fail("no opening dialogue in time")
        elif self._quiet_at is not None and now >= self._quiet_at and (self._done() or now >= self._gathered_at):
            # The end of the connection comes in one segment with the replies, or the other end would send what
            # follows from them to a link that is about to close.
            set_option(self.channel.sock, socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            self._close()
        else:
            self._work(now)

    def asked_back(self, answer: bytes) -> None:
        """Take what `ping` brought from the client, and go on."""
        if self._over or not self._asking:
            return
        self._asking = False
        self._reply(self.session.answer_pong(answer))
        self._work(self._duty.clock.monotonic())

    def leave(self) -> None:
        """End the link as soon as what is in hand is done and answered; nothing in flight is lost."""
        if self._over or self._quiet_at is not None:
            return
        if not self._is_open():
            self._close()
            return
        now = self._duty.clock.monotonic()
        self._quiet_at = now + QUIET_S
        self._gathered_at = now + GATHER_S
        self._settle()

    def ended(self) -> None:
        """The other side is gone, or we have closed. What had come and was not carried out is dropped."""
        if not self._over:
            self._end()

    # --- the work -------------------------------------------------------------------------------------

    def _is_open(self) -> bool:
        return self.session.state is ServerState.OPEN

    def _done(self) -> bool:
        return not self._raw and not self._asking

    def _work(self, now: float) -> None:
        """Carry out line after line until there is none, none can be, or the time is over."""
        until = now + WORK_S
        while self._raw and not self._asking and not self._over:
            # Beyond what may wait of input there is no pause for the loop: it would only read more.
            if now >= until and self._raw_size <= MOST_WAITING:
                break
            if self.channel.waiting + self._out_size > MOST_WAITING:
                self._flush()
            if self.channel.full:
                break
            for event in self.session.receive(self._next_piece()):
                self._handle(event)
            now = self._duty.clock.monotonic()
        if self._quiet_at is None:
            self._flush()
        self._settle()

    def _next_piece(self) -> bytes:
        """Return the next line with its newline, or what there is of it."""
        piece = self._raw[0]
        end = piece.find(b"\n", self._at) + 1 or len(piece)
        part = piece[self._at : end]
        self._at = end
        self._raw_size -= len(part)
        if end == len(piece):
            self._raw.popleft()
            self._at = 0
        return part

    def _handle(self, event: ServerEvent) -> None:
        match event:
            case Send():
                self._reply(event.data)
            case Request():
                self._reply(self._answer(self._duty.carry_out(self, event.line, event.encrypted)))
            case AskPong():
                self._asking = True
                self._duty.ask_back(self)
            case Closed():
                if event.reason != "exit":
                    self._duty.complain(self, "wrong opening dialogue")
                self._close()

    def _answer(self, reply: Reply) -> bytes:
        try:
            return self.session.answer(reply.line, reply.encrypted)
        except LinkProtocolError:  # a newline in it would put every later reply out of step
            return b"error: the reply cannot be sent\n"

    def _reply(self, data: bytes) -> None:
        self._out.append(data)
        self._out_size += len(data)

    def _flush(self) -> None:
        if self._out:
            self.channel.send(b"".join(self._out))
            self._out.clear()
            self._out_size = 0

    def _settle(self) -> None:
        """Set the deadline by what there is to do next."""
        if self._over:
            self.deadline = None
            return
        # As long as it is set, a client that has only ended its own half is not closed.
        self.channel.on_room = None if self._done() and not self._out else self._room
        if self._raw and not self._asking and not self.channel.full:
            self.deadline = self._duty.clock.monotonic()
        elif self._quiet_at is not None:
            self.deadline = self._quiet_at if not self._asking else self._gathered_at
        else:
            self.deadline = None if self._is_open() else self._open_until

    def _room(self) -> None:
        """The channel can take more: go on in the next turn."""
        self._settle()

    # --- the end --------------------------------------------------------------------------------------

    def _fail(self, why: str) -> None:
        self._duty.complain(self, why)
        self._end()
        self.channel.abort()

    def _close(self) -> None:
        """Send what was held back and close behind it."""
        self._flush()
        self._end()
        self.channel.close()

    def _end(self) -> None:
        self._over = True
        self.deadline = None
        self._raw.clear()
        self._duty.over(self)
