"""Owns a test's client of lonc: a UNIX socket that speaks lines, as lonnet does."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from types import TracebackType


class Client:
    """One connection to a peer's socket. Every read has a time limit and raises TimeoutError beyond it."""

    def __init__(self, path: Path, timeout_s: float = 10.0) -> None:
        """Connect. Raises OSError when nobody listens there (FileNotFoundError, ConnectionRefusedError)."""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout_s)
        self._rest = bytearray()
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, *lines: bytes) -> None:
        """Write the lines, a newline behind each, in one go."""
        self.socket.sendall(b"".join(line + b"\n" for line in lines))

    def send_raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.socket.sendall(data)

    def half_close(self) -> None:
        """Send the end of file and stay to read, as `printf ... | nc -U` does."""
        self.socket.shutdown(socket.SHUT_WR)

    def line(self, timeout_s: float = 10.0) -> bytes | None:
        """Return the next reply without its newline; None at the end of file, whatever stood before it.

        Raises TimeoutError when no whole line came in time, and AssertionError on part of a line and then
        the end of file: that must never happen (spec lonc.md 4).
        """
        deadline = time.monotonic() + timeout_s
        searched = 0
        while (end := self._rest.find(b"\n", searched)) < 0:
            searched = len(self._rest)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no reply within {timeout_s:g} s")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                assert not self._rest, f"part of a line ({len(self._rest)} bytes), then the end of file"
                return None
            self._rest += data
        found = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return found

    def lines(self, count: int, timeout_s: float = 10.0) -> list[bytes | None]:
        """Return the next count replies, each within the time limit; None stands for the end of file."""
        return [self.line(timeout_s) for _ in range(count)]

    def ask(self, line: bytes, timeout_s: float = 10.0) -> bytes | None:
        """Send one request and return its reply, None when the socket was closed instead."""
        self.send(line)
        return self.line(timeout_s)

    def wait_closed(self, timeout_s: float = 10.0) -> None:
        """Return when lonc has closed this connection; a line before that is an error."""
        found = self.line(timeout_s)
        assert found is None, f"a line instead of the end: {found[:80]!r}"

    def close(self) -> None:
        """Close; closing again does nothing."""
        with contextlib.suppress(OSError):
            self.socket.close()
