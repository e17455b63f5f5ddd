"""A small real peer: lond's side of the link on a TCP port, with a store in memory.

Run as `python -m lonc.cli.demo.peer ID CLIENT ADDRESS PORT LOG`. It says `ready` on stdout when it listens,
and ends when its stdin does, so that it never outlives whoever started it. It knows ping, echo, put, get,
eget, log and load; what it holds is gone with it. It is no lond: no users, no rights, nothing on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from Crypto.Random import get_random_bytes

from lonc import __version__
from lonc.errors import LinkProtocolError
from lonc.wire import words
from lonc.wire.server import AskPong, Closed, Request, Send, ServerEvent, ServerSession

_SHOWN_BYTES = 60  # of a line, in the log of what came over the wire


class Store:
    """What was put, by user and namespace, and what was logged; keys and values as they came."""

    def __init__(self) -> None:
        self._tables: dict[bytes, dict[bytes, bytes]] = {}
        self._notes: list[bytes] = []

    def answer(self, line: bytes) -> bytes:
        """Return the reply to one request."""
        command, _, rest = line.partition(b":")
        match command:
            case b"echo":
                return rest
            case b"put":
                return self._put(rest)
            case b"get" | b"eget":
                return self._get(rest)
            case b"log":
                self._notes.append(rest)
                return words.OK
            case b"load":
                return b"0.1"
            case _:
                return words.UNKNOWN_CMD

    def _put(self, rest: bytes) -> bytes:
        fields = rest.split(b":", 3)
        if len(fields) < 4:
            return b"error: put needs domain, user, namespace and values"
        table = self._tables.setdefault(b":".join(fields[:3]), {})
        for pair in fields[3].split(b"&"):
            key, _, value = pair.partition(b"=")
            table[key] = value
        return words.OK

    def _get(self, rest: bytes) -> bytes:
        fields = rest.split(b":", 3)
        if len(fields) < 4:
            return b"error: get needs domain, user, namespace and keys"
        table = self._tables.get(b":".join(fields[:3]), {})
        return b"&".join(table.get(key, b"") for key in fields[3].split(b"&"))


class Peer:
    """One server, its connections and its log."""

    def __init__(self, host_id: bytes, client_id: bytes, log_path: str) -> None:
        self.host_id = host_id
        self.client_id = client_id
        self.store = Store()
        self._log_path = log_path

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        session = ServerSession(
            [self.host_id], self.client_id,
            challenge=get_random_bytes(12).hex().encode(), build_key=get_random_bytes(13).hex().upper().encode(),
            version=f"demo-{__version__}".encode(),
        )  # fmt: skip
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if any(data.startswith(word) for word in (words.ENC, words.INIT, words.EKEY)):
                    self.note(f"on the wire: {data[:_SHOWN_BYTES].decode('latin-1').strip()!r}")
                for event in session.receive(data):
                    writer.write(self._handle(session, event))
                await writer.drain()
                if session.state.name == "CLOSED":
                    break
        writer.close()

    def _handle(self, session: ServerSession, event: ServerEvent) -> bytes:
        """Return the bytes that answer one event."""
        match event:
            case Send(data):
                return data
            case AskPong():
                return session.answer_pong(words.CON_LOST)  # this peer has no lonc to ask back through
            case Closed():
                return b""
            case Request(line, encrypted):
                reply = session.host_id if line == words.PING else self.store.answer(line)
                if not line.startswith((b"echo:", words.PING)):
                    how = ", encrypted" if encrypted else ""
                    self.note(f"request {words.command_word(line)}{how} -> reply of {len(reply)} bytes")
                return session.answer(reply, encrypted=line.startswith(b"eget:"))
        raise LinkProtocolError(f"no answer to {event}")

    def note(self, text: str) -> None:
        """Append a line to the log."""
        with open(self._log_path, "a", encoding="ascii", errors="backslashreplace") as log:
            log.write(text + "\n")


async def _run(host_id: str, client_id: str, address: str, port: int, log_path: str) -> None:
    peer = Peer(host_id.encode(), client_id.encode(), log_path)
    await asyncio.start_server(peer.serve, address, port)
    print("ready", flush=True)
    # Until whoever started this closes the pipe, or dies.
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    await stdin.read()


def main() -> int:
    """Run the peer that the command line describes."""
    host_id, client_id, address, port, log_path = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(host_id, client_id, address, int(port), log_path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
