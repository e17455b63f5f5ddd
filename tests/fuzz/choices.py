"""Owns how a harness takes its decisions from the bytes of an input, so that one input is always one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Choices:
    """The bytes of an input, taken from the front. When they are used up every number is 0 and every text
    empty."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Return whether something is left."""
        return self._at < len(self._data)

    def byte(self) -> int:
        """Return the next byte, 0 at the end."""
        at = self._at
        if at >= len(self._data):
            return 0
        self._at = at + 1
        return self._data[at]

    def number(self) -> int:
        """Return a number of two bytes, the high one first."""
        return self.byte() << 8 | self.byte()

    def pick(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[self.byte() % len(items)]

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end."""
        data = self._data[self._at : self._at + count]
        self._at += len(data)
        return data

    def text(self) -> bytes:
        """Return a piece whose length is in front of it: one byte."""
        return self.take(self.byte())

    def line(self) -> bytes:
        """Return what comes before the next newline, which is passed over; all that is left when there is none."""
        end = self._data.find(b"\n", self._at)
        end = len(self._data) if end < 0 else end
        data = self._data[self._at : end]
        self._at = end + 1
        return data

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data) - self._at)


def pieces(data: bytes, cuts: bytes) -> list[bytes]:
    """Return data in pieces that are not empty: cuts are their lengths, again and again; none: one piece.

    A long text is not cut into single bytes: some hundred pieces are enough.
    """
    least = len(data) // 300
    lengths = [max(cut, least) for cut in cuts if cut]
    if not lengths:
        return [data] if data else []
    found, at, turn = [], 0, 0
    while at < len(data):
        size = lengths[turn % len(lengths)]
        found.append(data[at : at + size])
        at += size
        turn += 1
    return found
