"""One direction of a connection through the bad line, and what is done to the bytes that go that way.

Orders for one direction ("up" from the client, "down" to it) are one JSON object; each order replaces the last one
of its direction, and `{}` makes it a good line again. Counts of bytes begin anew with the order, and with each
connection. Chance is that of the proxy's seed.

    {"latency_ms": N}     every piece comes so late; [LOW, HIGH] draws for each; none overtakes another
    {"slice": N}          at most N bytes in one write; [LOW, HIGH] draws for each
    {"cut": N}            after N bytes the connection ends in order, {"reset": N} by a reset; both ways
    {"swallow": N}        what comes after N bytes vanishes, the connection stays open
    {"corrupt": K}        one bit of every Kth byte is flipped; {"corrupt_about": K} of about every Kth
    {"duplicate": K}      about every Kth piece comes twice
"""

from __future__ import annotations

import random
import socket
from collections import deque
from dataclasses import dataclass

ORDERS = ("latency_ms", "slice", "cut", "reset", "swallow", "corrupt", "corrupt_about", "duplicate")
SLICED = 1 << 30  # more than ever waits


class Cut(Exception):
    """The connection is to end now; the text says how: `close` or `rst`."""


@dataclass(frozen=True, slots=True)
class Spoiling:
    """What is done to one direction; the defaults are a good line. Bounds are (lowest, highest)."""

    latency_ms: tuple[int, int] = (0, 0)
    slice: tuple[int, int] = (0, 0)
    cut: int = -1
    reset: int = -1
    swallow: int = -1
    corrupt: int = 0
    corrupt_about: int = 0
    duplicate: int = 0

    @classmethod
    def of(cls, orders: dict[str, object]) -> Spoiling:
        """Return what the orders say. Raises ValueError for an unknown one or a number that is none."""
        found: dict[str, object] = {}
        for name, value in orders.items():
            numbers = value if isinstance(value, list) else [value]
            if name not in ORDERS or not all(isinstance(number, int) for number in numbers):
                raise ValueError(f"unknown: {name}={value!r}, known: {' '.join(ORDERS)}")
            found[name] = (numbers[0], numbers[-1]) if name in ("latency_ms", "slice") else value
        return cls(**found)  # type: ignore[arg-type]  # checked above


class Way:
    """One direction of one connection: what was read from `source` goes to `target`."""

    def __init__(self, source: socket.socket, target: socket.socket, name: str) -> None:
        self.source = source
        self.target = target
        self.name = name  # "up" from the client, "down" to it
        self.late: deque[tuple[float, bytes]] = deque()  # pieces that are not due yet, and when they are
        self.held = bytearray()
        self.ended = False  # the source has sent its end of file
        self.told = False  # and the target knows
        self.next_at = 0.0  # not before this time may the next write be
        self.carried = 0
        self.since = 0  # bytes read since the last order
        self.doomed = False  # what comes next is cut anywhere, and the connection with it

    def waiting(self) -> int:
        """Return how many bytes are held back, for whatever reason."""
        return len(self.held) + sum(len(piece) for _at, piece in self.late)

    def take_due(self, now: float) -> float:
        """Make what is due ready to be written; return when the next piece is due, 0 without one."""
        while self.late and self.late[0][0] <= now:
            self.held += self.late.popleft()[1]
        return self.late[0][0] if self.late else 0.0

    def add(self, data: bytes, spoiling: Spoiling, chance: random.Random, now: float) -> None:
        """Take a piece that has come, as spoilt as is wanted. Raises Cut when the connection is to end."""
        before, self.since = self.since, self.since + len(data)
        for how, limit in (("close", spoiling.cut), ("rst", spoiling.reset)):
            if 0 <= limit <= self.since:
                self.target.send(self.held + data[: max(0, limit - before)])
                raise Cut(how)
        if 0 <= spoiling.swallow < self.since:
            data = data[: max(0, spoiling.swallow - before)]
        data = corrupted(data, before, spoiling, chance)
        if spoiling.duplicate and not chance.randrange(spoiling.duplicate):
            data += data
        low, high = spoiling.latency_ms
        if not high and not self.late:
            self.held += data
            return
        due = now + chance.uniform(low, high) / 1000
        self.late.append((max(due, self.late[-1][0]) if self.late else due, data))

    def portion(self, spoiling: Spoiling, slice_bytes: int, chance: random.Random) -> bytes:
        """Return what the next write may hold."""
        size = chance.randint(*spoiling.slice) if spoiling.slice[1] else slice_bytes
        return bytes(self.held[: size or SLICED])


def corrupted(data: bytes, before: int, spoiling: Spoiling, chance: random.Random) -> bytes:
    """Return data with one bit of each chosen byte flipped; before: how many bytes went before these."""
    changed = bytearray(data)
    if spoiling.corrupt:
        for at in range(spoiling.corrupt - 1 - before % spoiling.corrupt, len(data), spoiling.corrupt):
            changed[at] ^= 1 << chance.randrange(8)
    if spoiling.corrupt_about:
        for at in range(len(data)):
            if not chance.randrange(spoiling.corrupt_about):
                changed[at] ^= 1 << chance.randrange(8)
    return bytes(changed)
