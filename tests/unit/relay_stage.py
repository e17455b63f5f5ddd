"""A relay with named clients and links that are lists of lines: the stage of the relay's playbooks."""

from __future__ import annotations

from collections.abc import Callable

from lonc.errors import CipherError
from lonc.relay import Client, Lane, Relay
from lonc.wire.lines import LineBuffer, whole

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
    """A relay with named clients; `lane` is its only link, or the first of several."""

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
            spread_after_s=limits.get("spread", 0.02),
        )
        self.lane = self.relay.add_lane()
        self.clients: dict[str, Client] = {}
        self.buffers: dict[Lane, LineBuffer] = {}
        if ready:
            self.ready()

    def ready(self, key: bytes = b"K", *, thaw: bool = True, lane: Lane | None = None) -> None:
        self.relay.link_ready(lane or self.lane, *cipher(key), self.now)
        if thaw:
            self.relay.thaw(self.now)

    def another(self, key: bytes = b"L") -> Lane:
        """Return the lane of one more link that is READY."""
        lane = self.relay.add_lane()
        self.ready(key, thaw=False, lane=lane)
        return lane

    def lost(self, lane: Lane | None = None) -> None:
        self.relay.link_lost(lane or self.lane, self.now)

    def says(self, name: str, data: bytes) -> None:
        client = self.clients.setdefault(name, Client(self.limit))
        self.relay.client_data(client, data, self.now)
        if self.relay.pump_due:
            self.relay.pump(self.now)

    def sent(self, lane: Lane | None = None) -> bytes:
        """Take what goes to the link, as a kernel that takes everything."""
        out, box = b"", (lane or self.lane).box
        while chunks := box.batch():
            data = b"".join(chunks)
            box.took(len(data))
            out += data
        return out

    def link(self, data: bytes, lane: Lane | None = None) -> bool:
        lane = lane or self.lane
        lines = self.buffers.setdefault(lane, LineBuffer(1000)).feed(data)
        return self.relay.replies(lane, lines, self.now) if lines else True

    def hears(self, name: str) -> bytes:
        """Take what a client is owed, at the end of a turn: only who is listed for it is looked at, once."""
        client, dirty = self.clients[name], self.relay.dirty
        data = b"".join(client.box.batch())
        client.box.took(len(data))
        assert dirty.count(client) == int(client.dirty)
        assert client.dirty or not data, "it would hear this in another turn"
        if client.dirty:
            dirty.remove(client)
            client.dirty = False
        return data

    def close_asked(self) -> bool:
        return self.relay.close_asked

    def quiet(self) -> bool:
        return self.relay.quiet

    def later(self, seconds: float) -> list[bytes]:
        """Let time pass; return the requests over their limit, of links that must go."""
        self.now += seconds
        return [whole(late.line).rstrip(b"\n") for _, late in self.relay.tick(self.now)]
