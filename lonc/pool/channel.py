"""One client's socket as its session sees it: sending, closing, and what is read from it.

A channel is OPEN until its session, its worker or the other side ends it. Then what was sent to it is still
written (CLOSING), for a while, and the socket is closed (GONE). ended() of the session is called on the way.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from lonc.loop import READ, WRITE, Loop
from lonc.pool.service import Session
from lonc.wire.outbox import Outbox

if TYPE_CHECKING:
    from lonc.pool.clients import Clients

READ_BYTES = 64 * 1024
OUTPUT_BYTES = 1 << 20  # while more than that waits, nothing is read from this client
CLOSING_S = 30.0  # what a client gets to take its last output
_DISCARDED = 64  # reads of what a closed client has sent, so that its last answer is not reset away
_RECV = socket.MSG_DONTWAIT
_SEND = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_MAPPED = "::ffff:"


class Stage(Enum):
    """How far the end of a channel has come."""

    OPEN = auto()
    CLOSING = auto()
    GONE = auto()


class Channel:
    """A client's socket. Output is bounded: while more than 1 MiB waits (full), nothing is read from that client.

    on_room: called once when the channel is not full any more, then None again. A session that finds it full in
    the middle of many requests sets it, keeps the rest and goes on from there.
    address: its IP without the port (an IPv4 address that came by IPv6 as IPv4), "" for a UNIX socket.
    sock: for socket options; it is not to be read, written or closed. session: None until it is connected.
    """

    def __init__(self, sock: socket.socket, address: object, loop: Loop, clients: Clients) -> None:
        self.sock = sock
        self.address = address_of(sock, address)
        self.loop = loop
        self.session: Session | None = None
        self.on_room: Callable[[], object] | None = None
        self.close_by: float | None = None  # while CLOSING
        self.dirty = False  # stands in the list of those that attend() is due for
        self._clients = clients
        self._box = Outbox(keep_lines=False)
        self._stage = Stage.OPEN
        self._told = False  # ended() was called
        self._watching = 0
        self._last = False  # nothing more is read; closed when the session has done what it holds back

    @property
    def closed(self) -> bool:
        """Return whether close() or abort() was called, or the other side is gone."""
        return self._stage is not Stage.OPEN

    @property
    def waiting(self) -> int:
        """Return how many bytes of output are not yet taken by the kernel."""
        return self._box.size

    @property
    def full(self) -> bool:
        """Return whether so much output waits that no more should be made."""
        return self._box.size > OUTPUT_BYTES

    def send(self, data: bytes) -> None:
        """Have data written, all of this turn in one go at its end. Does nothing once the channel is closed."""
        if self._stage is Stage.OPEN and data:
            self._box.fresh.append(data)
            self._clients.later(self)

    def close(self) -> None:
        """Close as soon as all output is written; nothing is read any more. No error when closed already."""
        if self._stage is Stage.OPEN:
            self._stage = Stage.CLOSING
            self.close_by = self.loop.now + CLOSING_S
            self._clients.later(self)

    def abort(self) -> None:
        """Close now, whatever waits."""
        if self._stage is Stage.GONE:
            return
        self._stage = Stage.GONE
        self._clients.later(self)  # its session is told there: never inside a call of its own
        if self._watching:
            self._watching = 0
            self.loop.unwatch(self.sock)
        self._clients.gone(self)
        self.sock.close()

    # --- for the worker -------------------------------------------------------------------------------

    def watch(self) -> None:
        """Compare what is wanted of the loop with what it does for this client."""
        wanted = WRITE if self._box.held else 0
        if self._stage is Stage.OPEN and not self.full and not self._last:
            wanted |= READ
        if wanted and wanted != self._watching:
            self.loop.watch(self.sock, self._ready, wanted)
        elif not wanted and self._watching:
            self.loop.unwatch(self.sock)
        self._watching = wanted

    def attend(self) -> None:
        """Write what waits as far as the kernel takes it, tell the session of its end, close what is done."""
        self.dirty = False
        if self._stage is not Stage.GONE and self._box and not self._write():
            self.abort()
        if self._stage is not Stage.OPEN:
            self._tell_end()
        if self._stage is Stage.CLOSING and not self._box:
            self._discard()
            self.abort()
        elif self._stage is not Stage.GONE:
            self._offer_room()
            if self._last and self.on_room is None:
                self.close()
            self.watch()

    def _offer_room(self) -> None:
        if self.on_room is not None and self._stage is Stage.OPEN and not self.full:
            go_on, self.on_room = self.on_room, None
            go_on()

    def stop_asking(self) -> None:
        """Take what the kernel already has of this client's requests, then close in order."""
        try:
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            self.abort()
            return
        while self._stage is Stage.OPEN and self._read():
            pass
        self._last = True
        self._clients.later(self)

    def _ready(self, mask: int) -> None:
        if mask & WRITE:
            self._clients.later(self)
        if mask & READ and self._stage is Stage.OPEN and not self._last:
            self._read()

    def _read(self) -> bool:
        """Read once; return whether there was something."""
        try:
            data = self.sock.recv(READ_BYTES, _RECV)
        except BlockingIOError:
            return False
        except OSError:
            self.abort()
            return False
        assert self.session is not None
        if data:
            self._clients.record.bytes_in += len(data)
            self.session.received(data)
            return True
        self._last = True  # a client that has only ended its half may still be answered
        self._clients.later(self)
        return False

    def _write(self) -> bool:
        """Send until the kernel refuses; return False when the client is gone."""
        box = self._box
        while chunks := box.batch():
            try:
                sent = self.sock.sendmsg(chunks, (), _SEND)
            except BlockingIOError:
                break
            except OSError:
                box.clear()
                return False
            box.took(sent)
            self._clients.record.bytes_out += sent
        return True

    def _tell_end(self) -> None:
        if not self._told:
            self._told = True
            if self.session is not None:
                self.session.ended()

    def _discard(self) -> None:
        """Read what has come behind the close: a socket closed with unread data resets its last output away."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            for _ in range(_DISCARDED):
                if not self.sock.recv(READ_BYTES, _RECV):
                    return
        except OSError:
            return


def address_of(sock: socket.socket, address: object) -> str:
    """Return the IP of an accepted socket's other end, "" for a UNIX socket."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
        return ""
    host = str(address[0])
    return host[len(_MAPPED) :] if host.startswith(_MAPPED) and "." in host else host
