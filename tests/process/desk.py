"""Owns a test's stand-in for the child of one peer: a UNIX socket that answers lines as a function says."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

Answer = Callable[[bytes], bytes | None]  # the raw answer, newline and all; None: close without one


class Desk:
    """Listens at a path; a thread per connection. lines: every request; accepted, ended: how many connections
    came, and how many of them it has closed itself."""

    def __init__(self, path: Path, answer: Answer, *, close_after: int = 0) -> None:
        """close_after: so many requests, then that connection is closed (0: never)."""
        self.lines: list[bytes] = []
        self.accepted = self.ended = 0
        self._answer = answer
        self._close_after = close_after
        self._open: list[socket.socket] = []
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End listener and connections, and remove the path."""
        # shutdown wakes the thread that waits in accept
        for there in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                there.shutdown(socket.SHUT_RDWR)
            there.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                there = self._listener.accept()[0]
            except OSError:
                return
            self.accepted += 1
            self._open.append(there)
            threading.Thread(target=self._serve, args=(there,), daemon=True).start()

    def _serve(self, there: socket.socket) -> None:
        served = 0
        with contextlib.suppress(OSError, ValueError), there, there.makefile("rb") as lines:
            for line in lines:
                self.lines.append(line.rstrip(b"\n"))
                reply = self._answer(line.rstrip(b"\n"))
                if reply is not None:
                    there.sendall(reply)
                served += 1
                if reply is None or served == self._close_after:
                    there.shutdown(socket.SHUT_RDWR)
                    self.ended += 1
                    return
