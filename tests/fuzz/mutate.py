"""Owns the making of inputs: known ones with bits flipped, parts left out, doubled, exchanged, and words put in.

All chance comes from one seeded source: the same seed, corpus and dictionary make the same inputs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

BYTES = (0, 1, 9, 10, 13, 27, 32, 37, 38, 45, 46, 47, 48, 57, 58, 61, 91, 127, 128, 192, 255)
SIZES = (0, 1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 5000)
NUMBERS = (
    b"0", b"1", b"-1", b"00", b"8", b"255", b"256", b"65535", b"65536", b"2147483648", b"4294967296",
    b"9223372036854775808", b"999999999999", b"1" + b"0" * 400, b"1" * 5000, b"1e309", b"NaN", b"Infinity", b"0.5",
)  # fmt: skip
_DIGITS = re.compile(rb"[0-9]+")


class Mutator:
    """Makes inputs of at most max_bytes for one harness. known: at least one input; more may be added."""

    def __init__(
        self, source: random.Random, known: Sequence[bytes], words: Sequence[bytes], max_bytes: int
    ) -> None:
        self.known = list(known)
        self._random = source.random
        self._bits = source.getrandbits
        self._words = list(words) or [b"\n"]
        self._max_bytes = max_bytes
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._flip, self._flip, self._set, self._set, self._insert, self._word, self._word, self._replace,
            self._leave_out, self._double, self._exchange, self._splice, self._repeat, self._number, self._lines,
            self._cut,
        )  # fmt: skip

    def make(self) -> bytes:
        """Return the next input."""
        data = self.known[self._below(len(self.known))]
        for _ in range(1 + self._below(1 << self._below(4))):
            data = self._ways[self._below(len(self._ways))](data)
            if len(data) > self._max_bytes:
                data = data[: self._max_bytes]
        return data

    def _below(self, limit: int) -> int:
        return int(self._random() * limit)

    def _range(self, data: bytes) -> tuple[int, int]:
        """Return the ends of a part, mostly a short one."""
        begin = self._below(len(data) + 1)
        longest = len(data) - begin
        size = min(longest, 1 + self._below(8)) if self._bits(1) else self._below(longest + 1)
        return begin, begin + size

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        at = self._below(len(data))
        return data[:at] + bytes((data[at] ^ 1 << self._below(8),)) + data[at + 1 :]

    def _set(self, data: bytes) -> bytes:
        if not data:
            return data
        at = self._below(len(data))
        value = BYTES[self._below(len(BYTES))] if self._bits(1) else self._bits(8)
        return data[:at] + bytes((value,)) + data[at + 1 :]

    def _insert(self, data: bytes) -> bytes:
        at = self._below(len(data) + 1)
        return data[:at] + bytes(self._bits(8) for _ in range(1 + self._below(8))) + data[at:]

    def _word(self, data: bytes) -> bytes:
        at = self._below(len(data) + 1)
        return data[:at] + self._words[self._below(len(self._words))] + data[at:]

    def _replace(self, data: bytes) -> bytes:
        begin, end = self._range(data)
        return data[:begin] + self._words[self._below(len(self._words))] + data[end:]

    def _leave_out(self, data: bytes) -> bytes:
        begin, end = self._range(data)
        return data[:begin] + data[end:]

    def _double(self, data: bytes) -> bytes:
        begin, end = self._range(data)
        return data[:end] + data[begin:end] + data[end:]

    def _exchange(self, data: bytes) -> bytes:
        begin, end = self._range(data)
        at = self._below(len(data) + 1)
        part, rest = data[begin:end], data[:begin] + data[end:]
        return rest[:at] + part + rest[at:]

    def _splice(self, data: bytes) -> bytes:
        other = self.known[self._below(len(self.known))]
        begin, end = self._range(other)
        at = self._below(len(data) + 1)
        return data[:at] + other[begin:end] + (data[at:] if self._bits(1) else b"")

    def _repeat(self, data: bytes) -> bytes:
        """Make a run of one byte as long as limits are."""
        at = self._below(len(data) + 1)
        value = data[at : at + 1] or b"x"
        return data[:at] + value * SIZES[self._below(len(SIZES))] + data[at:]

    def _number(self, data: bytes) -> bytes:
        found = list(_DIGITS.finditer(data))
        if not found:
            return data
        one = found[self._below(len(found))]
        return data[: one.start()] + NUMBERS[self._below(len(NUMBERS))] + data[one.end() :]

    def _lines(self, data: bytes) -> bytes:
        lines = data.split(b"\n")
        one, other = self._below(len(lines)), self._below(len(lines))
        way = self._below(3)
        if way == 0:
            lines[one], lines[other] = lines[other], lines[one]
        elif way == 1:
            lines.insert(one, lines[other])
        else:
            del lines[one]
        return b"\n".join(lines)

    def _cut(self, data: bytes) -> bytes:
        return data[: self._below(len(data) + 1)]
