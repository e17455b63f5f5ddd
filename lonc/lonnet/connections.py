"""Owns connections to the sockets of lonc: a new one for each request, or kept ones, used one after the other.

A kept connection serves one request at a time, of any thread; one that the other side has closed meanwhile is
found before a request is written on it, or by a first write that takes nothing (EPIPE): only then is the request
written again, on a new one. After that no reply can be told from a lost one, so it is con_lost. A process made by
fork closes what it inherited, without a word to the other side, and starts with none.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import weakref
from typing import Protocol

from lonc.config import Config, valid_id
from lonc.lonnet.sockets import CONNECT_LIMIT_S, Unanswered, connected_to, exchange, request_line
from lonc.wire.words import CON_LOST

IDLE_LIMIT = 8  # kept for each peer: more are closed after their request


class Connections:
    """The connections of one process to all peers; safe for threads and across fork."""

    def __init__(self, config: Config, *, keep: bool, reply_limit_s: float | None = None) -> None:
        """reply_limit_s: how long a reply may take; None: as long as lonc waits for one at most, and a little."""
        self._config = config
        self._keep = keep
        # lonc answers at the latest after twice its limit (spec lonc.md 4).
        self._reply_limit_s = reply_limit_s or 2 * config.request_timeout_s + 5.0
        self._clear()
        begins_anew(self)

    def _clear(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, list[socket.socket]] = {}
        self._all: set[socket.socket] = set()

    def ask(self, command: bytes, peer: str) -> bytes:
        """Return the reply line, b"con_lost" on any trouble; see sockets.subreply for what that is.

        Connecting and writing may take CONNECT_LIMIT_S each, the reply reply_limit_s. ValueError: a newline.
        """
        line = request_line(command)
        if not valid_id(peer):
            return CON_LOST
        try:
            while self._keep and (kept := self._take(peer)) is not None:
                try:
                    return self._exchange(kept, line, peer)
                except Unanswered as error:
                    if error.sent:
                        raise
            there = connected_to(self._config.socket_path(peer), time.monotonic() + CONNECT_LIMIT_S)
            with self._lock:
                self._all.add(there)
            return self._exchange(there, line, peer)
        except OSError:
            return CON_LOST

    def close(self) -> None:
        """Close the connections that are kept; those in use are closed after their request, as all later ones."""
        with self._lock:
            self._keep = False
            idle = [there for kept in self._idle.values() for there in kept]
            self._idle.clear()
            self._all.difference_update(idle)
        for there in idle:
            there.close()

    def _exchange(self, there: socket.socket, line: bytes, peer: str) -> bytes:
        again = False
        try:
            now = time.monotonic()
            reply, again = exchange(there, line, now + CONNECT_LIMIT_S, now + self._reply_limit_s)
        finally:
            self._give_back(there, peer, again=again)
        return reply or CON_LOST

    def _take(self, peer: str) -> socket.socket | None:
        """Return a kept connection on which nothing has come and which is not closed, None when there is none."""
        while True:
            with self._lock:
                kept = self._idle.get(peer)
                there = kept.pop() if kept else None
            if there is None or not _readable(there):
                return there
            self._give_back(there, peer, again=False)

    def _give_back(self, there: socket.socket, peer: str, *, again: bool) -> None:
        with self._lock:
            kept = self._idle.setdefault(peer, [])
            if again and self._keep and len(kept) < IDLE_LIMIT:
                kept.append(there)
                return
            self._all.discard(there)
        there.close()

    def after_fork(self) -> None:
        """Close what a parent process has: in this process only, its connections stay."""
        inherited = self._all
        self._clear()  # a new lock too: another thread may have held the old one at the fork
        for there in inherited:
            there.close()


def _readable(there: socket.socket) -> bool:
    """Return whether something waits to be read where nothing can have been said: the end, or a stray line."""
    waiting = select.poll()
    waiting.register(there, select.POLLIN)
    return bool(waiting.poll(0))


class Forked(Protocol):
    """What must not go on in a process made by fork as it was in its parent."""

    def after_fork(self) -> None:
        """Begin anew: no lock that another thread held, nothing that is the parent's."""


_BEGIN_ANEW: weakref.WeakSet[Forked] = weakref.WeakSet()


def begins_anew(what: Forked) -> None:
    """Have after_fork called in every process made by fork from now on, as long as the object lives."""
    _BEGIN_ANEW.add(what)


def _after_fork() -> None:
    for what in list(_BEGIN_ANEW):
        what.after_fork()


os.register_at_fork(after_in_child=_after_fork)
