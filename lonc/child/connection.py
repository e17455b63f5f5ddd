"""The clients' side of a child: its UNIX socket, who may use it, reading, writing, and the orderly end.

Most connections carry one request, so a connection has to be cheap as well. Its sockets are used with
MSG_DONTWAIT instead of being switched to non-blocking; it is read when it is accepted; it is closed in the
read that finds its end, when nothing is owed; and closing is what takes it out of epoll: a child never forks,
so nobody else has a copy. Eight system calls: accept, its address (Python's own), who is it, epoll, read, send,
read the end, close.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import struct
from collections import Counter
from collections.abc import Callable

from lonc.loop import READ, WRITE, Loop
from lonc.relay import Client, Relay

READ_BYTES = 16 * 1024
LONG_READ_BYTES = 64 * 1024  # when a line is already known to be long
ACCEPTS_PER_TURN = 64
EMFILE_PAUSE_S = 0.5  # new clients wait in the backlog; those that are there go on
KEPT_DESCRIPTORS = 32  # never given to clients: a child has some 15 open, and log, link and scan need theirs
_RECV = socket.MSG_DONTWAIT
_SEND = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_UCRED = struct.Struct("3i")
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Connection(Client):
    """One client and its socket."""

    __slots__ = ("clients", "sock", "watching")

    def __init__(self, sock: socket.socket, clients: Clients, max_line_bytes: int) -> None:
        super().__init__(max_line_bytes)
        self.sock = sock
        self.clients = clients
        self.watching = READ

    def on_ready(self, mask: int) -> None:
        """Read once, write what waits. Called by the loop while more than reading is wanted."""
        if mask & READ:
            self.read()
        if mask & WRITE and not self.gone:
            self.attend()

    def read(self, _mask: int = READ) -> bool:
        """Read once; return whether there may be more. Called by the loop while only reading is wanted."""
        clients = self.clients
        try:
            data = self.sock.recv(LONG_READ_BYTES if self.buffer.size else READ_BYTES, _RECV)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            return False
        if data:
            clients.relay.client_data(self, data, clients.loop.now)
            return True
        if self.turn == self.issued and not self.box:  # nothing is owed to it
            self.close()
        else:
            clients.relay.client_eof(self)
        return False

    def attend(self) -> None:
        """Send what is owed in one call, then watch what is wanted, or close when nothing is left."""
        box = self.box
        if box.fresh and not box.held:
            data = box.first()
            try:
                sent = self.sock.send(data, _SEND)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close()
                return
            if sent == len(data):
                box.fresh.clear()
            else:
                box.took(sent)
        elif box and not self._send_backlog():
            return
        if self.full or self.finishing or box.held or self.watching != READ:
            self._rewatch()

    def _send_backlog(self) -> bool:
        """Send chunks until the kernel refuses; return False when the client is gone."""
        box = self.box
        while chunks := box.batch():
            try:
                sent = self.sock.sendmsg(chunks, (), _SEND)
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return False
            box.took(sent)
            if sent < sum(map(len, chunks)):
                break
        if box.held > self.clients.buffer_bytes:
            self.clients.tell(f"Closed a client that left {box.held} bytes of replies unread")
            self.close()
            return False
        return True

    def _rewatch(self) -> None:
        """Compare what is wanted of the loop with what it does for this client."""
        if self.finished:
            self.close()
            return
        wanted = READ if self.clients.relay.wants_more(self) else 0
        if self.box.held:
            wanted |= WRITE
        if wanted == self.watching:
            return
        if wanted:
            self.clients.loop.watch(self.sock, self.read if wanted == READ else self.on_ready, wanted)
        else:
            # Not even a hang-up is wanted now; the failing write will tell it.
            self.clients.loop.unwatch(self.sock)
        self.watching = wanted

    def close(self) -> None:
        """Close the socket; what it asked is answered to nobody. No error when it is closed already."""
        if self.gone:
            return
        self.clients.forget(self)
        self.sock.close()

    def stop_asking(self) -> None:
        """Take what the kernel already has of its requests; from here on its writes fail visibly (house.md 3)."""
        try:
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            self.close()
            return
        while not self.finishing and not self.gone and self.read():
            pass
        if not self.gone:
            self.clients.relay.client_eof(self)


class _Listener(socket.socket):
    """A listening UNIX socket that knows what it is.

    accept() asks for both of these once for each client, and looks them up among all constants of their kind:
    a fifth of its time.
    """

    @property
    def family(self) -> socket.AddressFamily:
        """Return the constant."""
        return socket.AF_UNIX

    @property
    def type(self) -> socket.SocketKind:
        """Return the constant."""
        return socket.SOCK_STREAM


def _room_for_clients() -> int:
    """Return how many clients the limit of descriptors leaves room for, at least 1."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if soft == resource.RLIM_INFINITY else max(1, soft - KEPT_DESCRIPTORS)


class Clients:
    """All clients of a child, and the listening socket while it accepts.

    empty_since: when the last client left, or this was made (monotonic seconds); while there is none.
    """

    def __init__(
        self, listener: socket.socket, loop: Loop, relay: Relay, *, max_clients: int, max_line_bytes: int,
        buffer_bytes: int, allowed_uids: frozenset[int], tell: Callable[[str], None],
        pause: Callable[[float], None],
    ) -> None:  # fmt: skip
        """listener is taken over: it is detached. tell(text) logs a WARNING; pause(seconds) has resume() called
        so much later.
        """
        self.loop = loop
        self.relay = relay
        self.buffer_bytes = buffer_bytes
        self.tell = tell
        self.open: set[Connection] = set()
        self.empty_since = loop.now
        self._listener = _Listener(socket.AF_UNIX, socket.SOCK_STREAM, 0, listener.detach())
        self._max_clients = min(max_clients, _room_for_clients())
        self._max_line_bytes = max_line_bytes
        self._allowed_uids = allowed_uids
        self._trusted_uids = frozenset({0, os.geteuid()})
        # Of other users: each may have half of the places, so that the web server's own always find one.
        self._foreign: dict[Connection, int] = {}
        self._places: Counter[int] = Counter()  # by user, of these
        self._pause = pause
        self._accepting = False
        self._ended = False
        self._listener.setblocking(False)

    def resume(self) -> None:
        """Accept, unless the child ends or has as many clients as it may."""
        wanted = not self._ended and len(self.open) < self._max_clients
        if wanted and not self._accepting:
            self.loop.watch(self._listener, self._accept)
        elif not wanted and self._accepting:
            self.loop.unwatch(self._listener)
        self._accepting = wanted

    def stop_accepting(self) -> None:
        """Accept no more, for good; those who come now wait for this child's successor."""
        self._ended = True
        self.resume()

    def _accept(self, _mask: int) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    self.loop.unwatch(self._listener)
                    self._accepting = False
                    self._pause(EMFILE_PAUSE_S)
                    self.tell(f"Cannot accept clients for the moment: {error.strerror}")
                return
            uid = self._welcome(sock)
            if uid < 0:
                continue
            client = Connection(sock, self, self._max_line_bytes)
            self.open.add(client)
            if uid not in self._trusted_uids:
                self._foreign[client] = uid
                self._places[uid] += 1
            self.loop.watch(sock, client.read)
            client.read()  # most clients have written by now: that saves a turn
            if len(self.open) >= self._max_clients:
                self.resume()
                return

    def _welcome(self, sock: socket.socket) -> int:
        """Return the user of the process at the other end; -1, and it is closed, when there is no place for it."""
        pid, uid, _gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        if uid in self._allowed_uids:
            if uid in self._trusted_uids or self._places[uid] < max(1, self._max_clients // 2):
                return int(uid)
            self.tell(f"Closed a client: user id {uid} has half of all places already")
            sock.close()
            return -1
        self.tell(f"Refused a client: process {pid} of user id {uid} may not use this socket")
        sock.close()
        return -1

    def forget(self, client: Connection) -> None:
        """Drop a client whose socket is about to be closed."""
        self.loop.unwatch(client.sock, closing=True)
        self.open.discard(client)
        if client in self._foreign:
            self._places[self._foreign.pop(client)] -= 1
        if not self.open:
            self.empty_since = self.loop.now
        self.relay.client_gone(client)
        if not self._accepting:
            self.resume()

    def stop_asking(self) -> None:
        """Let no client ask any more; each is closed when it has been answered."""
        for client in list(self.open):
            client.stop_asking()
            if not client.gone:
                client.attend()

    def close_all(self) -> None:
        """Close every client, answered or not."""
        for client in list(self.open):
            client.close()
