"""Clients of the UNIX sockets, as lonnet is one: a line out, a line in.

`ask` is one blocking client. `crowd` is many at once; they count what became of every request, since the
story is about numbers: how many were sent, answered, refused, lost.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

REPLY_LIMIT_S = 20.0
TOKENS_EACH = 16  # how many different values each client of a crowd asks for in turn


def tokens(clients: int) -> bytes:
    """Return the pairs `key=value` that a crowd of so many clients asks for, as `put` takes them."""
    names = [(number, turn) for number in range(clients) for turn in range(TOKENS_EACH)]
    return b"&".join(b"t%d_%d=%s" % (*name, _value(*name)) for name in names)


def _value(number: int, turn: int) -> bytes:
    return b"%d_%d_%s" % (number, turn, bytes([97 + number % 26]) * 20)


@dataclass
class Tally:
    """What became of the requests of a crowd; anything but replies is named with its count."""

    requests: int = 0
    replies: int = 0
    refused: int = 0  # the connect failed
    unanswered: int = 0  # connected, but no line came back
    wrong: int = 0  # a line, but not the right one
    lost: int = 0  # con_lost
    longest_s: float = 0.0
    seconds: float = 0.0
    first_trouble: str = field(default="", compare=False)

    @property
    def clean(self) -> bool:
        """Return whether every request was answered with its own reply."""
        return self.requests == self.replies > 0

    def __str__(self) -> str:
        rate = self.replies / self.seconds if self.seconds else 0.0
        return (
            f"{self.requests} requests, {self.replies} replies, refused {self.refused}, con_lost {self.lost}, "
            f"unanswered {self.unanswered}, wrong {self.wrong}; {rate:,.0f} a second, "
            f"longest {self.longest_s * 1000:.0f} ms"
        )


def ask(path: str, command: bytes, limit_s: float = REPLY_LIMIT_S) -> tuple[bytes, float]:
    """Return the reply line to one command, and the seconds it took. Raises OSError when there is none."""
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(limit_s)
        client.connect(path)
        client.sendall(command + b"\n")
        with client.makefile("rb") as stream:
            reply = stream.readline()
    if not reply.endswith(b"\n"):
        raise OSError(0, f"{path} was closed without a reply")
    return reply[:-1], time.monotonic() - began


def crowd(paths: list[str], clients: int, requests: int) -> Tally:
    """Let many clients at once ask for so many of their tokens each, each client over one connection."""

    async def one(number: int, tally: Tally) -> None:
        path = paths[number % len(paths)]
        async with asyncio.timeout(REPLY_LIMIT_S):
            reader, writer = await asyncio.open_unix_connection(path)
            for turn in range(requests):
                await _ask_token(reader, writer, number, turn % TOKENS_EACH, tally)
            writer.close()

    return asyncio.run(_all(one, clients))


def stream_of_clients(paths: list[str], lanes: int, meanwhile: Callable[[], Awaitable[None]]) -> Tally:
    """Let clients of one request each follow each other, `lanes` at a time, until `meanwhile` ends."""
    over = False

    async def one(number: int, tally: Tally) -> None:
        turn = 0
        while not over:
            async with asyncio.timeout(REPLY_LIMIT_S):
                try:
                    reader, writer = await asyncio.open_unix_connection(paths[number % len(paths)])
                except OSError as error:
                    tally.requests += 1
                    tally.refused += 1
                    tally.first_trouble = tally.first_trouble or f"connect: {error.strerror}"
                    await asyncio.sleep(0.01)
                    continue
                await _ask_token(reader, writer, number, turn % TOKENS_EACH, tally)
                writer.close()
            turn += 1

    async def conduct() -> Tally:
        nonlocal over
        work = asyncio.create_task(_all(one, lanes))
        try:
            await meanwhile()
        finally:
            over = True
        return await work

    return asyncio.run(conduct())


async def _all(one: Callable[[int, Tally], Awaitable[None]], clients: int) -> Tally:
    tally = Tally()
    began = time.monotonic()
    results = await asyncio.gather(*(one(number, tally) for number in range(clients)), return_exceptions=True)
    tally.seconds = time.monotonic() - began
    for result in results:
        if isinstance(result, Exception):
            tally.unanswered += 1
            tally.first_trouble = tally.first_trouble or f"{type(result).__name__}: {result}"
    return tally


async def _ask_token(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, turn: int, tally: Tally
) -> None:
    tally.requests += 1
    began = time.monotonic()
    token = _value(number, turn)
    writer.write(b"get:demo:alice:tokens:t%d_%d\n" % (number, turn))
    try:
        reply = await reader.readline()
    except OSError:
        reply = b""
    tally.longest_s = max(tally.longest_s, time.monotonic() - began)
    if reply == token + b"\n":
        tally.replies += 1
    elif reply == b"con_lost\n":
        tally.lost += 1
    elif not reply.endswith(b"\n"):
        tally.unanswered += 1
    else:
        tally.wrong += 1
    if reply != token + b"\n":
        tally.first_trouble = tally.first_trouble or f"reply {reply[:60]!r} to {token!r}"
