"""Asks a client `ping` through our own lonc, off the loop: it may take as long as londPongTimeout.

One thread for each question. A worker never forks, so threads are safe in it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable

from lonc.config import Config
from lonc.lonnet.sockets import subreply
from lonc.loop import Loop
from lonc.system import signals
from lonc.wire import words

Answered = Callable[[bytes], None]


class AskBack:
    """Questions under way in one worker; their answers come by callback from the loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._answers: deque[tuple[Answered, bytes]] = deque()

    def ask(self, config: Config, client: str, answered: Answered) -> None:
        """Have answered(reply) called once, in a later turn; `con_lost` when nothing came in time."""
        if self._ends is None:
            self._ends = socket.socketpair()
            for end in self._ends:
                end.setblocking(False)
            self._loop.watch(self._ends[0], self._take)
        try:
            threading.Thread(target=self._work, args=(config, client, answered), daemon=True).start()
        except RuntimeError:  # no thread to be had
            self._give(answered, words.CON_LOST)

    def _work(self, config: Config, client: str, answered: Answered) -> None:
        signals.block_all()
        reply = words.CON_LOST
        try:
            reply = subreply(config, words.PING, client, limit_s=config.pong_timeout_s)
        finally:
            self._give(answered, reply)

    def _give(self, answered: Answered, reply: bytes) -> None:
        assert self._ends is not None
        self._answers.append((answered, reply))
        with contextlib.suppress(BlockingIOError):  # full: then the loop will look anyway
            self._ends[1].send(b".")

    def _take(self, _mask: int) -> None:
        assert self._ends is not None
        self._ends[0].recv(4096)
        while self._answers:
            answered, reply = self._answers.popleft()
            answered(reply)
