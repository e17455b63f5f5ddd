"""Many peers in one process: lond's side of the dialogue on many addresses, for tests of scale and campaigns.

    python -m tests.fakes.crowd PORT COUNT [--first N] [--journal FILE] [--late EVERY:MS]

Peer i, from N on, is `peer<i>` on 127.1.x.y (address_of). It says `ready` when it listens everywhere, answers
ping, echo and put, and ends when its stdin does. A line `reset I` on stdin resets every connection of that peer.

--journal appends a line per executed request, before its answer goes out: `<pid>.<connection> TAB <monotonic
seconds> TAB <peer> TAB <line>`, so that a killed process keeps it. --late: every so many-th put is answered so
much later, and nothing else on that connection before it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import socket
import struct
import sys
import time

from lonc.wire.server import AskPong, Closed, Request, Send, ServerSession

CLIENT_ID = b"own1"


def address_of(number: int) -> str:
    """Return the address of a peer; numbers from 0 to 60,000."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def name_of(number: int) -> str:
    """Return the id of a peer."""
    return f"peer{number}"


class Crowd:
    """All peers of this process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.numbers = range(options.first, options.first + options.count)
        self.port: int = options.port
        every, _, late_ms = options.late.partition(":")
        self.late_every, self.late_s = int(every), int(late_ms or 0) / 1000
        self.journal_fd = -1
        if options.journal:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self.journal_fd = os.open(options.journal, flags, 0o600)
        self.puts = 0
        self.count = itertools.count(1)
        self.writers: dict[int, set[asyncio.StreamWriter]] = {number: set() for number in self.numbers}

    async def listen(self) -> None:
        """Listen for all."""
        for number in self.numbers:

            async def serve(r: asyncio.StreamReader, w: asyncio.StreamWriter, number: int = number) -> None:
                self.writers[number].add(w)
                with contextlib.suppress(ConnectionError):
                    await self._serve(name_of(number).encode(), r, w)
                self.writers[number].discard(w)
                w.close()

            await asyncio.start_server(serve, address_of(number), self.port)

    async def _serve(self, name: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = ServerSession(
            [name], CLIENT_ID, challenge=b"challenge", build_key=b"0123456789ABCDEF01234567", version=b"1"
        )
        link = b"%d.%d" % (os.getpid(), next(self.count))
        while data := await reader.read(65536):
            for event in session.receive(data):
                match event:
                    case Send():
                        writer.write(event.data)
                    case Request():
                        self._record(link, name, event.line)
                        await self._held_up(event.line)
                        writer.write(session.answer(_reply(name, event.line), event.encrypted))
                    case AskPong():
                        writer.write(session.answer_pong(name))
                    case Closed():
                        return

    def _record(self, link: bytes, name: bytes, line: bytes) -> None:
        if self.journal_fd >= 0:
            os.write(self.journal_fd, b"%s\t%.6f\t%s\t%s\n" % (link, time.monotonic(), name, line))

    async def _held_up(self, line: bytes) -> None:
        if self.late_every and line.startswith(b"put:"):
            self.puts += 1
            if self.puts % self.late_every == 0:
                await asyncio.sleep(self.late_s)

    def obey(self, line: str) -> None:
        """Carry out one line from stdin."""
        word, _, number = line.strip().partition(" ")
        for writer in list(self.writers[int(number)]) if word == "reset" else ():
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


def _reply(name: bytes, line: bytes) -> bytes:
    if line == b"ping":
        return name
    if line.startswith(b"put:"):
        return b"ok"
    return line[5:] if line.startswith(b"echo:") else b"unknown_cmd"


async def main(options: argparse.Namespace) -> None:
    """Listen for all, until stdin ends."""
    crowd = Crowd(options)
    await crowd.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()

    def orders() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(crowd.obey, line)

    await loop.run_in_executor(None, orders)
    os._exit(0)  # at once: asyncio would tell of every connection that is still open


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="tests.fakes.crowd", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--journal")
    parser.add_argument("--late", default="0", metavar="EVERY:MS")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(parse_options(sys.argv[1:])))
