"""Requests on one link: what was handed to it, in order, and since when the first of them is being worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from lonc.errors import CipherError
from lonc.relay.client import Client
from lonc.wire.lines import Line, whole
from lonc.wire.outbox import Outbox
from lonc.wire.words import ENCRYPT

# Bytes the kernel has refused to take; beyond, requests wait in the queue, where a lost link cannot cost them.
LINK_HIGH_WATER = 1 << 20
STALE = 1 << 30  # added to the load of a link that is slow: it is taken only when all are


class Sent(NamedTuple):
    """A request in flight. The hot path makes plain tuples of this shape: a tuple is half the price."""

    client: Client
    asked: float  # when it was read
    number: int  # the client's number for it
    line: Line  # for the log's command word; long lines are kept by their beginning only


class Queued(NamedTuple):
    """A request that no link has been given yet. The queue holds plain tuples of this shape as well."""

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
    return line.startswith(ENCRYPT) if isinstance(line, bytes) else head(line, len(ENCRYPT)) == ENCRYPT


def remembered(line: Line) -> bytes:
    """Return what a link keeps of a request until its reply: enough to name it, not 16 MiB of it."""
    return line if isinstance(line, bytes) else head(line, 64)


class Lane:
    """One link as the relay sees it: bytes on their way out, requests whose replies are awaited, and its key.

    head_since: since when the first in flight is the first; with none in flight, when the last reply came.
    parked: requests that wait for this link alone, since an earlier one of their client is unanswered on it.
    """

    __slots__ = ("box", "decrypt", "encrypt", "head_since", "in_flight", "parked", "ready", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.ready = False
        self.box = Outbox()
        self.in_flight: deque[tuple[Client, float, int, Line]] = deque()
        self.parked: deque[tuple[Client, float, int, Line]] = deque()
        self.head_since = 0.0
        self.encrypt: Callable[[bytes], bytes] = _no_link
        self.decrypt: Callable[[bytes], bytes] = _no_link

    @property
    def open(self) -> bool:
        """Return whether another request may be handed over."""
        return self.ready and len(self.in_flight) < self.window and self.box.held < LINK_HIGH_WATER

    @property
    def answerable(self) -> int:
        """Return how many requests have wholly left, so that a reply to them may have come."""
        return len(self.in_flight) - self.box.lines

    def oldest(self) -> float | None:
        """Return when the first request in flight was read, None when there is none."""
        return self.in_flight[0][1] if self.in_flight else None

    def load(self, stale_before: float) -> int:
        """Return how many requests are in flight; more than any window if the oldest was read before that time.

        Then lond is at work on something slow, and answers on one connection in order.
        """
        count = len(self.in_flight)
        return count + STALE if count and self.in_flight[0][1] < stale_before else count

    def hand_over(self, client: Client, asked: float, number: int, line: Line, now: float) -> None:
        """Put a request on the link; one to be encrypted is encrypted here, with the key of this link."""
        if not self.in_flight:
            self.head_since = now
        self.in_flight.append((client, asked, number, remembered(line)))
        self.box.put(self.encrypt(whole(line)[len(ENCRYPT) :]) if is_encrypted(line) else line)

    def forget_key(self) -> None:
        """Note that the link is gone: its key is of no use to anybody."""
        self.encrypt = self.decrypt = _no_link

    def take_back(self) -> list[Queued]:
        """Take back, in order, the requests of which no byte was taken, as they were asked."""
        frames = self.box.take_back()
        entries = [Sent(*self.in_flight.pop()) for _ in frames]
        entries.reverse()
        return [
            # What was encrypted becomes a request again: the next link has another key.
            Queued(*entry[:3], ENCRYPT + self.decrypt(frame) if is_encrypted(entry.line) else frame)
            for entry, frame in zip(entries, frames, strict=True)
        ]


def _no_link(_: bytes) -> bytes:
    raise CipherError("no link, no key")
