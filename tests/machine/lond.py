"""Owns the peer of the state machine: a lond that works when it is told to, and remembers what it carried out.

    m:N   a delayed message: `did m:N`      r:N  one that is refused      e:N  one that has an empty reply
    q:N   a client's request: `did q:N`     anything else likewise
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lonc.wire.server import AskPong, Request, Send, ServerSession

BUILD_KEY = b"0123456789ABCDEF0123"
LIMIT = 60  # bytes of a request


@dataclass(frozen=True, slots=True)
class Deed:
    """A command that was carried out, when, and over which connection."""

    line: bytes
    at: float
    connection: int


@dataclass(slots=True)
class Lond:
    """One server over all its connections. deeds: in the order in which they were done."""

    deeds: list[Deed] = field(default_factory=list)
    connections: int = 0


class Session:
    """One connection as lond sees it. owed: the lines of the replies that are on their way, with their
    commands."""

    def __init__(self, lond: Lond) -> None:
        lond.connections += 1
        self.number = lond.connections
        self.inbox = b""  # written by lonc, not yet read by lond
        self.outbox = b""  # written by lond, not yet read by lonc
        self.owed: list[tuple[bytes, bytes]] = []
        self._lond = lond
        self._server = ServerSession(
            [b"p1"], b"own1", challenge=b"challenge %d" % self.number, build_key=BUILD_KEY, version=b"lond-1",
            command_limit=LIMIT,
        )  # fmt: skip

    def work(self, count: int, now: float) -> None:
        """Read so many lines, as far as they are there, and carry each out."""
        for _ in range(count):
            line, newline, rest = self.inbox.partition(b"\n")
            if not newline:
                return
            self.inbox = rest
            for event in self._server.receive(line + b"\n"):
                if isinstance(event, Send):
                    self._say(b"", event.data)
                elif isinstance(event, AskPong):
                    self._say(b"", self._server.answer_pong(b"own1"))
                elif isinstance(event, Request):
                    self._lond.deeds.append(Deed(event.line, now, self.number))
                    self._say(event.line, self._server.answer(reply_to(event.line), event.encrypted))

    def _say(self, command: bytes, reply: bytes) -> None:
        self.outbox += reply
        self.owed.append((command, reply))

    def read(self, count: int) -> tuple[bytes, list[bytes]]:
        """Take so many bytes of the replies; return them, and the commands whose replies are whole with them."""
        data, self.outbox = self.outbox[:count], self.outbox[count:]
        whole = [self.owed.pop(0)[0] for _ in range(data.count(b"\n"))]
        return data, whole


def reply_to(line: bytes) -> bytes:
    """Return what lond answers."""
    if line.startswith(b"r:"):
        return b"refused"
    return b"" if line.startswith(b"e:") else b"did " + line
