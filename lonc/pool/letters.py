"""The letters between a worker and its parent: one datagram each, in order, over a pair of sockets.

    worker to parent   READY       begin() is through, it accepts
                       STATE       `<clients> <whether it accepts> <clients in all>`
                       WORD        a word of the service for whoever owns the pool
    parent to worker   REST         leave if you have nobody
                       RETIRE      take nobody any more, leave when you have finished
                       RELOAD      Service.reload

The pair is the lifeline as well: only the parent has its end, so its end of file says that the parent is gone.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from lonc.loop import READ, WRITE, Loop

READY: Final = b"r"
STATE: Final = b"s"
WORD: Final = b"w"
REST: Final = b"q"
RETIRE: Final = b"c"
RELOAD: Final = b"l"

LONGEST: Final = 4096  # bytes of a word
_MOST_WAITING = 1000  # letters that the other side has not taken
_PER_TURN = 64
_LEAVING_S = 1.0  # what the last letters get


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends; both are closed by exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Post:
    """One end, watched by a loop."""

    def __init__(
        self, sock: socket.socket, loop: Loop, on_letter: Callable[[bytes, bytes], None],
        on_end: Callable[[], None],
    ) -> None:  # fmt: skip
        """on_letter(kind, text) is called for each letter; on_end() once, when the other end is closed."""
        sock.setblocking(False)
        self._sock = sock
        self._loop = loop
        self._on_letter = on_letter
        self._on_end = on_end
        self._waiting: deque[bytes] = deque()
        self._open = True
        loop.watch(sock, self._ready)

    def send(self, kind: bytes, text: bytes = b"") -> bool:
        """Send a letter, now or as soon as there is room; False: too many wait, it is lost.

        No error when nobody is there to read it.
        """
        if not self._open:
            return True
        if len(self._waiting) >= _MOST_WAITING:
            return False
        self._waiting.append(kind + text)
        if len(self._waiting) == 1 and not self._push():
            self._loop.watch(self._sock, self._ready, READ | WRITE)
        return True

    def _push(self) -> bool:
        """Send what waits; return False when the kernel has no room."""
        while self._waiting:
            try:
                self._sock.send(self._waiting[0], socket.MSG_NOSIGNAL)
            except (BlockingIOError, TimeoutError):
                return False
            except OSError:  # the other end is gone, which reading tells
                self._waiting.clear()
                return True
            self._waiting.popleft()
        return True

    def _ready(self, mask: int) -> None:
        if mask & WRITE and self._push():
            self._loop.watch(self._sock, self._ready)
        if mask & READ:
            self.read(_PER_TURN)

    def read(self, most: int) -> None:
        """Take so many letters as have come, at most `most`."""
        for _ in range(most):
            if not self._open:
                return
            try:
                letter = self._sock.recv(1 + LONGEST)
            except BlockingIOError:
                return
            except OSError:
                letter = b""
            if not letter:
                self.close()
                self._on_end()
                return
            self._on_letter(letter[:1], letter[1:])

    def flush(self) -> None:
        """Send what waits before the process ends; wait a little for room."""
        if self._open and self._waiting:
            self._sock.settimeout(_LEAVING_S)
            self._push()

    def close(self) -> None:
        """Close this end; no error when it is closed already."""
        if self._open:
            self._open = False
            self._loop.unwatch(self._sock)
            self._sock.close()

    def leave_to_parent(self) -> None:
        """In a forked process: close this copy of the parent's end, whose loop is closed already."""
        self._open = False
        self._sock.close()
