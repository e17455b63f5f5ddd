"""Many peers in one process: lond's side of the dialogue on many addresses, for tests of scale.

Run as `python -m tests.fakes.crowd PORT COUNT`: peer i is `peer<i>` on 127.1.x.y (address_of). It says `ready`
when it listens everywhere, answers ping and echo, and ends when its stdin does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

from lonc.wire.server import AskPong, Closed, Request, Send, ServerSession

CLIENT_ID = b"own1"


def address_of(number: int) -> str:
    """Return the address of a peer; numbers from 0 to 60,000."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def name_of(number: int) -> str:
    """Return the id of a peer."""
    return f"peer{number}"


async def _serve(name: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    session = ServerSession(
        [name], CLIENT_ID, challenge=b"challenge", build_key=b"0123456789ABCDEF01234567", version=b"1"
    )
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            for event in session.receive(data):
                match event:
                    case Send():
                        writer.write(event.data)
                    case Request():
                        writer.write(session.answer(_reply(name, event.line), event.encrypted))
                    case AskPong():
                        writer.write(session.answer_pong(name))
                    case Closed():
                        writer.close()
                        return
    writer.close()


def _reply(name: bytes, line: bytes) -> bytes:
    if line == b"ping":
        return name
    return line[5:] if line.startswith(b"echo:") else b"unknown_cmd"


async def main(port: int, count: int) -> None:
    """Listen for all, until stdin ends."""
    for number in range(count):
        name = name_of(number).encode()

        async def serve(r: asyncio.StreamReader, w: asyncio.StreamWriter, name: bytes = name) -> None:
            await _serve(name, r, w)

        await asyncio.start_server(serve, address_of(number), port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)  # at once: asyncio would tell of every connection that is still open


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
