"""A relay with named clients and a link that is a list of lines: the stage of the relay's playbooks."""

from __future__ import annotations

from collections.abc import Callable

from lonc.errors import CipherError
from lonc.relay import Client, Relay, Sent
from lonc.wire.lines import LineBuffer

LIMIT = 100  # bytes of a request


def cipher(prefix: bytes) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """Return a readable stand-in for a link's key: what matters here is which key was used, and when."""

    def encrypt(command: bytes) -> bytes:
        return b"enc:" + prefix + command

    def decrypt(frame: bytes) -> bytes:
        if not frame.startswith(b"enc:" + prefix):
            raise CipherError("foreign key")
        return frame[4 + len(prefix) :]

    return encrypt, decrypt


class Stage:
    """A relay with named clients and a link that is a list of lines."""

    def __init__(self, *, pipeline: int = 8, ready: bool = True, limit: int = LIMIT, **limits: float) -> None:
        self.limit = limit
        self.now = 1000.0
        self.relay = Relay(
            pipeline=pipeline,
            request_timeout_s=limits.get("request", 300.0),
            delayed_timeout_s=limits.get("delayed", 60.0),
            grace_s=limits.get("grace", 2.0),
            max_line_bytes=limit,
            client_buffer_bytes=1000,
            now=self.now,
        )
        self.clients: dict[str, Client] = {}
        self.buffer = LineBuffer(1000)
        if ready:
            self.ready()

    def ready(self, key: bytes = b"K", *, thaw: bool = True) -> None:
        self.relay.link_ready(*cipher(key))
        if thaw:
            self.relay.thaw(self.now)

    def says(self, name: str, data: bytes) -> None:
        client = self.clients.setdefault(name, Client(self.limit))
        self.relay.client_data(client, data, self.now)

    def sent(self) -> bytes:
        """Take what goes to the link, as a kernel that takes everything."""
        out = b""
        while chunks := self.relay.lane.box.batch():
            data = b"".join(chunks)
            self.relay.lane.box.took(len(data))
            out += data
        return out

    def link(self, data: bytes) -> bool:
        lines = self.buffer.feed(data)
        return self.relay.replies(lines, self.now) if lines else True

    def hears(self, name: str) -> bytes:
        box = self.clients[name].box
        data = b"".join(box.batch())
        box.took(len(data))
        return data

    def close_asked(self) -> bool:
        return self.relay.close_asked

    def quiet(self) -> bool:
        return self.relay.quiet

    def later(self, seconds: float) -> Sent | None:
        self.now += seconds
        return self.relay.tick(self.now)
