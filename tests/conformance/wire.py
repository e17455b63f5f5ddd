"""Owns the suite's own end of a connection: bytes out, lines in, each wait with a limit."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time

from tests.conformance.model import MismatchError, expect, shown

READ_BYTES = 1 << 18


def readable(fds: list[int], wait_s: float) -> set[int]:
    """Return which of these descriptors, of any number, can be read or are at their end; waits so long."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(wait_s * 1000)}


class Wire:
    """One stream socket. What does not come within limit_s, or comes otherwise, is a MismatchError."""

    def __init__(self, sock: socket.socket, limit_s: float) -> None:
        self.sock = sock
        self.limit_s = limit_s
        self.rest = bytearray()
        self.eof = False

    def fileno(self) -> int:
        """Return the descriptor, for select."""
        return self.sock.fileno()

    # --- out ------------------------------------------------------------------------------------------------

    def send(self, *lines: bytes) -> None:
        """Write lines, a newline behind each, in one go."""
        self.raw(b"".join(line + b"\n" for line in lines))

    def raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.sock.settimeout(self.limit_s)
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise MismatchError(f"that {shown(data)} can be written", str(error) or "no room in time") from error

    def half_close(self) -> None:
        """End what we send, and stay to read."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection at once; over TCP the other end is reset."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close; closing again does nothing."""
        self.eof = True
        with contextlib.suppress(OSError):
            self.sock.close()

    # --- in -------------------------------------------------------------------------------------------------

    def fill(self, wait_s: float) -> bool:
        """Read once, within this time; return whether anything came, the end included."""
        if self.eof:
            return True
        self.sock.settimeout(max(wait_s, 0.0))
        try:
            data = self.sock.recv(READ_BYTES)
        except (TimeoutError, BlockingIOError):
            return False
        except OSError:
            data = b""
        self.eof = not data
        self.rest += data
        return True

    def taken(self) -> bytes | None:
        """Return the next line that is here already, None when none is whole."""
        line, newline, rest = self.rest.partition(b"\n")
        if not newline:
            return None
        self.rest = rest
        return bytes(line)

    def line(self, what: str = "a line", limit_s: float = 0.0) -> bytes:
        """Return the next line without its newline; what: how a report names it."""
        deadline = time.monotonic() + (limit_s or self.limit_s)
        searched = 0
        while True:
            at = self.rest.find(b"\n", searched)
            if at >= 0:
                found = bytes(self.rest[:at])
                del self.rest[: at + 1]
                return found
            searched = len(self.rest)
            if self.eof:
                raise MismatchError(what, f"the end of the connection{self._behind()}")
            if time.monotonic() >= deadline:
                raise MismatchError(what, f"nothing within {limit_s or self.limit_s:g} s{self._behind()}")
            self.fill(deadline - time.monotonic())

    def expect(self, *allowed: bytes) -> None:
        """Read a line that must be one of these."""
        expect(self.line(" or ".join(map(shown, allowed))), *allowed)

    def end(self) -> None:
        """Read the end of the connection; a line, or part of one, before it is wrong."""
        deadline = time.monotonic() + self.limit_s
        while not self.eof and time.monotonic() < deadline and not self.rest:
            self.fill(deadline - time.monotonic())
        if self.rest:
            raise MismatchError("the end of the connection", shown(bytes(self.rest)))
        if not self.eof:
            raise MismatchError("the end of the connection", f"nothing within {self.limit_s:g} s")

    def nothing_yet(self, what: str) -> None:
        """Look once, without waiting: whatever is here is wrong."""
        self.fill(0.0)
        if self.rest or self.eof:
            raise MismatchError(f"nothing yet ({what})", shown(bytes(self.rest)) if self.rest else "the end")

    def _behind(self) -> str:
        return f", behind {shown(bytes(self.rest))}" if self.rest else ""
