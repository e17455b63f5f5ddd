"""All clients of one worker, and the listening sockets as long as it accepts.

Several workers wait on one listener. All that have room are told of a client, and whoever comes first has it;
the others find nothing (EAGAIN). A worker without room does not wait at all. The kernel could tell one of them
only (EPOLLEXCLUSIVE), but that one may have no room any more when it comes to it, and nobody else would be told.
"""

from __future__ import annotations

import contextlib
import math
import resource
import socket
from collections.abc import Callable, Sequence
from functools import partial

from lonc.loop import Loop
from lonc.pool.channel import Channel
from lonc.pool.service import Parting, PoolRules, Service
from lonc.system.scoreboard import ChildRecord

PAUSE_S = 0.5  # after an accept that failed; new clients wait in the backlog or go to another worker
KEPT_DESCRIPTORS = 64  # never given to clients: the log and what the service opens need theirs
_NOBODY = (BlockingIOError, ConnectionAbortedError, InterruptedError)  # somebody else was first, or it left again


def _room() -> int:
    """Return how many clients the limit of descriptors leaves room for, at least 1."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if soft == resource.RLIM_INFINITY else max(1, soft - KEPT_DESCRIPTORS)


class Clients:
    """Accepts, holds and ends the clients of a worker.

    open: every channel whose socket is not closed. taken: how many clients came in all. resume_at: when accepting
    goes on after a failure (monotonic seconds); None: it does not have to.
    """

    def __init__(
        self, listeners: Sequence[socket.socket], service: Service, rules: PoolRules, *, loop: Loop,
        record: ChildRecord, share: int, warn: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        """share: how many clients may come in all; 0: no limit. warn(text, reason) logs a warning."""
        self.open: set[Channel] = set()
        self.taken = 0
        self.resume_at: float | None = None
        self.record = record
        self.accepting = False
        self._listeners = list(listeners)
        self._service = service
        self._loop = loop
        self._at_once = min(rules.at_once, _room())
        self._share = share
        self._warn = warn
        self._dirty: list[Channel] = []

    @property
    def finished(self) -> bool:
        """Return whether no client will come any more."""
        return not self._listeners

    def watch(self) -> None:
        """Accept if there is room; to be called when that may have changed."""
        if self._share and self.taken >= self._share:
            self.stop_accepting()
        wanted = bool(self._listeners) and len(self.open) < self._at_once and self.resume_at is None
        if wanted == self.accepting:
            return
        self.accepting = wanted
        for listener in self._listeners:
            if wanted:
                self._loop.watch(listener, partial(self._accept, listener))
            else:
                self._loop.unwatch(listener)

    def resume(self) -> None:
        """Accept again after a failure."""
        self.resume_at = None
        self.watch()

    def stop_accepting(self) -> None:
        """Take no more clients, for good; the sockets are closed."""
        for listener in self._listeners:
            self._loop.unwatch(listener)
            listener.close()
        self._listeners.clear()
        self.accepting = False
        self.resume_at = None

    def _accept(self, listener: socket.socket, _mask: int) -> None:
        """Take one client: the next one may find a worker that has less to do."""
        try:
            sock, address = listener.accept()
        except _NOBODY:
            return
        except OSError as error:
            self.resume_at = self._loop.now + PAUSE_S
            self._warn(f"Cannot accept clients for the moment: {error.strerror}", str(error.errno))
            self.watch()
            return
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            with contextlib.suppress(OSError):  # it may be gone already
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small answers go at once
        channel = Channel(sock, address, self._loop, self)
        self.taken += 1
        self.record.links_opened += 1
        self.open.add(channel)
        self.watch()
        channel.session = self._service.connected(channel)
        if channel.session is None:
            channel.close()
        else:
            channel.watch()

    # --- the turn -------------------------------------------------------------------------------------

    def later(self, channel: Channel) -> None:
        """Have attend() of the channel called at the end of this turn."""
        if not channel.dirty:
            channel.dirty = True
            self._dirty.append(channel)

    def gone(self, channel: Channel) -> None:
        """Forget a channel whose socket is closed."""
        self.open.discard(channel)

    def attend(self, now: float) -> bool:
        """Call what is due and write what was sent; return whether anything was done."""
        busy = bool(self._dirty)
        if self.resume_at is not None and now >= self.resume_at:
            self.resume()
        for channel in list(self.open):
            session = channel.session
            if channel.close_by is not None and now >= channel.close_by:
                channel.abort()
            elif session is not None and not channel.closed and now >= (session.deadline or math.inf):
                busy = True
                session.due(now)
        while self._dirty:
            dirty, self._dirty = self._dirty, []
            for channel in dirty:
                channel.attend()
        self.record.clients = len(self.open)
        self.watch()
        return busy

    def deadline(self) -> float | None:
        """Return when attend() is due next; None: nothing waits for time."""
        found = [self.resume_at]
        for channel in self.open:
            if channel.close_by is not None:
                found.append(channel.close_by)
            elif channel.session is not None:
                found.append(channel.session.deadline)
        return min((when for when in found if when is not None), default=None)

    # --- the end --------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Let no client ask any more; each is closed when it has its answers."""
        self.stop_accepting()
        for channel in list(self.open):
            if channel.closed:
                continue
            session: object = channel.session
            if isinstance(session, Parting):
                session.leave()
            else:
                channel.stop_asking()

    def abort_all(self) -> None:
        """Close every client now."""
        self.stop_accepting()
        for channel in list(self.open):
            channel.abort()
