"""Owns one real link of the examination: the dialogue row by row, single requests, and the end in order.

The link itself is lonc's own (wire/link.py), so what it accepts and refuses is what the daemon does. Everything
waits on the socket alone and never longer than its limit.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from lonc import __version__
from lonc.config import Config, Host
from lonc.wire.lines import whole
from lonc.wire.link import DIALOGUE, Farewell, Link, LinkEvent, LinkState, Lost, LostReason

REPLY_BYTES = 65536
READ_BYTES = 65536
LEAVE_S = 2.0
NAMES = ("init", "challenge", "sethost", "version", "pong", "ekey")
_STEP = {
    word: name for name, row in zip(NAMES, DIALOGUE, strict=True) for word in (row.sending, row.waiting)
}  # fmt: skip
SOCKET_ERROR = "socket_error"


@dataclass(frozen=True, slots=True)
class Heard:
    """The end of one row. answer: the line that came, as far as it came; lost: why the link ended with it."""

    step: str
    seconds: float
    answer: bytes
    lost: Lost | None


class TalkError(Exception):
    """A request brought no usable reply; the link is not used any more. The text says why."""


class Talk:
    """A link on a connected, non-blocking socket, which is the talk's from now on."""

    def __init__(self, config: Config, host: Host, sock: socket.socket, limit_s: float) -> None:
        """limit_s: for each request to be sent, and again for its answer."""
        self.sock = sock
        self.usable = False
        self._limit_s = limit_s
        self._heard = b""
        self.link = Link(
            config.host_id.encode(), host.id.encode(), f"lonc-{__version__}".encode(),
            init_timeout_s=limit_s, connect_timeout_s=limit_s, pong=True, pong_delay_s=0.0,
            reply_limit=REPLY_BYTES,
        )  # fmt: skip
        now = time.monotonic()
        self.link.dial(now)
        self.link.connected(now)

    def dialogue(self) -> Iterator[Heard]:
        """Yield each row as it ends; after the last one the link is usable, unless a row was its end."""
        while self.link.state in (LinkState.GREETING, LinkState.KEYING):
            step, began = _STEP[self.link.step], time.monotonic()
            self._heard = b""
            lost: Lost | None = None
            while lost is None and self._is_at(step):
                lost = next((event for event in self._turn() if isinstance(event, Lost)), None)
            yield Heard(step, time.monotonic() - began, self._heard.partition(b"\n")[0], lost)
        self.usable = self.link.state is LinkState.READY

    def _is_at(self, step: str) -> bool:
        return self.link.state in (LinkState.GREETING, LinkState.KEYING) and _STEP[self.link.step] == step

    def _turn(self) -> list[LinkEvent]:
        """Send what is due, wait for bytes or the deadline, and return what the link makes of it."""
        deadline = self.link.next_deadline()
        assert deadline is not None
        try:
            due = self.link.outgoing()
            if due:
                if not _send(self.sock, due, deadline):
                    return self.link.tick(time.monotonic())
                self.link.sent(time.monotonic())
                return []
            data = _receive(self.sock, deadline)
        except OSError as error:
            return self.link.lost(SOCKET_ERROR, os.strerror(error.errno or 0), time.monotonic())
        if data is None:
            return self.link.tick(time.monotonic())
        self._heard += data[: READ_BYTES - len(self._heard)]
        return self.link.receive(data, time.monotonic())

    def ask(self, line: bytes) -> bytes:
        """Return the reply to one request, both without newline. Raises TalkError; the link is over then."""
        deadline = time.monotonic() + self._limit_s
        try:
            if not _send(self.sock, line + b"\n", deadline):
                raise TalkError(f"it could not be sent within {self._limit_s:g} s")
            while True:
                data = _receive(self.sock, deadline)
                if data is None:
                    raise TalkError(f"no answer within {self._limit_s:g} s")
                if not data:
                    raise TalkError("the peer closed the connection")
                lines = self.link.replies(data)
                if len(lines) > 1 or (lines and self.link.reply_buffer.partial):
                    raise TalkError("more than one answer")
                if lines:
                    if lines[0] is None:
                        raise TalkError(f"an answer of more than {REPLY_BYTES} bytes")
                    return whole(lines[0])
        except OSError as error:
            self.usable = False
            raise TalkError(os.strerror(error.errno or 0)) from error
        except TalkError:
            self.usable = False
            raise

    def leave(self) -> str | None:
        """End the link, in order where it is usable; return what lond said to `exit`, None: it was not asked."""
        if not self.usable:
            self.sock.close()
            return None
        self.usable = False
        answer = ""
        try:
            events = self.link.close(time.monotonic())
            deadline = time.monotonic() + min(LEAVE_S, self._limit_s)
            _send(self.sock, self.link.outgoing(), deadline)
            self.link.sent(time.monotonic())
            while self.link.state is LinkState.CLOSING:
                data = _receive(self.sock, deadline)
                if data is None:
                    events = self.link.lost(LostReason.TIMEOUT, "", time.monotonic())
                else:
                    events = self.link.receive(data, time.monotonic())
            answer = next((event.answer for event in events if isinstance(event, Farewell)), "")
        except OSError:
            answer = ""  # the peer was quicker to close than to answer
        finally:
            self.sock.close()
        return answer


def _send(sock: socket.socket, data: bytes, deadline: float) -> bool:
    """Send all of data; return False at the deadline (monotonic) with some of it left. Raises OSError."""
    while data:
        if not _wait(sock, select.POLLOUT, deadline):
            return False
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            continue
    return True


def _receive(sock: socket.socket, deadline: float) -> bytes | None:
    """Return what has come, b"" for the end of file, None at the deadline (monotonic). Raises OSError."""
    while _wait(sock, select.POLLIN, deadline):
        try:
            return sock.recv(READ_BYTES)
        except BlockingIOError:
            continue
    return None


def _wait(sock: socket.socket, mask: int, deadline: float) -> bool:
    poll = select.poll()
    poll.register(sock, mask)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
