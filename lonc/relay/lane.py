"""Requests on one link: what was handed to it, in order, and since when the first of them is being worked on."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from lonc.relay.client import Client
from lonc.wire.lines import Line
from lonc.wire.outbox import Outbox
from lonc.wire.words import ENCRYPT

# Bytes the kernel has refused to take; beyond, requests wait in the queue, where a lost link cannot cost them.
LINK_HIGH_WATER = 1 << 20


class Sent(NamedTuple):
    """A request in flight. The hot path makes plain tuples of this shape: a tuple is half the price."""

    client: Client
    asked: float  # when it was read
    number: int  # the client's number for it
    line: Line  # for the log's command word; long lines are kept by their beginning only


class Queued(NamedTuple):
    """A request that no link has been given yet."""

    client: Client
    asked: float
    number: int
    line: Line


def head(line: Line, count: int) -> bytes:
    """Return the first `count` bytes of a line, fewer when it is shorter."""
    if isinstance(line, bytes):
        return line[:count]
    out = b""
    for chunk in line:
        out += chunk[: count - len(out)]
        if len(out) == count:
            break
    return out


def is_encrypted(line: Line) -> bool:
    """Return whether the client asked for this request to be encrypted."""
    return head(line, len(ENCRYPT)) == ENCRYPT


def remembered(line: Line) -> bytes:
    """Return what a link keeps of a request until its reply: enough to name it, not 16 MiB of it."""
    return line if isinstance(line, bytes) else head(line, 64)


class Lane:
    """The two queues of one link: bytes on their way out, and requests whose replies are awaited."""

    __slots__ = ("box", "head_since", "in_flight", "ready", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.ready = False
        self.box = Outbox()
        self.in_flight: deque[tuple[Client, float, int, Line]] = deque()
        self.head_since = 0.0  # since when the first in flight is the first

    @property
    def open(self) -> bool:
        """Return whether another request may be handed over."""
        return self.ready and len(self.in_flight) < self.window and self.box.held < LINK_HIGH_WATER

    @property
    def answerable(self) -> int:
        """Return how many requests have wholly left, so that a reply to them may have come."""
        return len(self.in_flight) - self.box.lines

    def hand_over(self, entry: Queued, frame: Line, now: float) -> None:
        """Put a request on the link; `frame` is what goes over the wire for it."""
        if not self.in_flight:
            self.head_since = now
        self.in_flight.append((entry.client, entry.asked, entry.number, remembered(entry.line)))
        self.box.put(frame)

    def unsent(self) -> list[tuple[Sent, bytes]]:
        """Take back, in order, the requests of which no byte was taken, each with its line on the wire."""
        lines = self.box.take_back()
        entries = [Sent(*self.in_flight.pop()) for _ in lines]
        entries.reverse()
        return list(zip(entries, lines, strict=True))
