"""One client's socket as its session sees it: sending, closing, and what is read from it."""

from __future__ import annotations

import socket

from lonc.loop import Loop


class Channel:
    """A client's socket. Output is bounded: while more than 1 MiB waits, nothing is read from that client.

    address: its IP without the port (an IPv4 address that came by IPv6 as IPv4), "" for a UNIX socket.
    sock: for socket options; it is not to be read, written or closed.
    """

    address: str
    loop: Loop
    sock: socket.socket

    @property
    def closed(self) -> bool:
        """Return whether close() or abort() was called, or the other side is gone."""
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """Return how many bytes of output are not yet taken by the kernel."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Have data written, all of this turn in one go at its end. Does nothing once the channel is closed."""
        raise NotImplementedError

    def close(self) -> None:
        """Close as soon as all output is written; nothing is read any more. No error when closed already."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close now, whatever waits."""
        raise NotImplementedError
