"""The pool: the process that forks the workers, replaces them, and never accepts (unless it is the only one)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence

from lonc.loop import Loop
from lonc.pool.service import PoolRules, Service
from lonc.system.clock import Clock
from lonc.system.logs import Log
from lonc.system.scoreboard import Scoreboard


class Pool:
    """Workers on one or more listening sockets, and whoever looks after them.

    on_word: called in the parent with the worker's name and the word that it told. signals: what is done about
    each signal; the pool's own table unless another one was given, and may be changed until start().
    """

    on_word: Callable[[str, bytes], object]
    signals: dict[int, Callable[[], object]]

    def __init__(
        self, listeners: Sequence[socket.socket], service: Service, rules: PoolRules, *, loop: Loop, log: Log,
        board: Scoreboard | None, clock: Clock, signals: Mapping[int, Callable[[], object]] | None = None,
    ) -> None:  # fmt: skip
        """listeners: from listen_tcp and listen_unix; the pool closes them, and removes the paths that it made.

        board: None: one of its own in memory. signals: None: the pool's own table; {}: the caller catches signals
        himself and calls stop(), reap() and the others.
        """
        raise NotImplementedError

    @property
    def workers(self) -> dict[str, int]:
        """Return the pid of every worker that lives, by its name; empty where the process itself accepts."""
        raise NotImplementedError

    def start(self) -> None:
        """Catch the signals (unless the table is empty) and fork the first workers."""
        raise NotImplementedError

    def keep(self) -> int:
        """Serve until the end was asked for and every worker is gone; return the exit code."""
        raise NotImplementedError

    def reap(self) -> None:
        """Take note of every worker that has died (CHLD)."""
        raise NotImplementedError

    def stop(self, now: bool) -> None:
        """Close the listeners, remove their paths, end the workers; nothing is replaced any more.

        now: workers leave at once (INT); else they finish the requests in hand (TERM), killed after
        stop_timeout_s. A second call is harder than the first.
        """
        raise NotImplementedError

    def shutdown(self) -> None:
        """Close the listeners and let every worker finish its clients, however long that takes; then end."""
        raise NotImplementedError

    def resize(self, delta: int) -> None:
        """Have so many workers more (TTIN: 1) or less (TTOU: -1); with `idle`: so many idle ones."""
        raise NotImplementedError

    def reload_workers(self) -> None:
        """Have Service.reload called in every worker, between two requests."""
        raise NotImplementedError

    def call(self) -> None:
        """Look after everybody: pauses over, every worker writes its block of the status file."""
        raise NotImplementedError

    def inner_state(self) -> list[str]:
        """Return what the pool knows, as lines (USR2 writes them to the log)."""
        raise NotImplementedError
