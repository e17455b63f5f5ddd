"""Newline framing with a limit: bytes in any split go in, whole lines come out.

One LineBuffer stands behind each socket that is read, and everything that passes goes through its feed,
so feed is built for the two common cases. A read that is exactly one whole line with nothing pending is
cut once and handed on; a read of many lines is one split. A long line, which comes in many reads, is kept
as a list of chunks and handed on as that list: joining it piece by piece, `rest + data`, copies the whole
line once per read and cost a factor of fourteen at 1 MiB.

Memory stays bounded whatever the sender does. Not more than the limit is held of a line, and pieces of a
few bytes are collected in one growing block, because a list of them would weigh many times their text.
"""

from __future__ import annotations

from typing import Final

JOIN_BYTES: Final = 65536  # lines up to this size are handed on as one bytes object
CHUNK_BYTES: Final = 16384  # a piece of at least this size is kept as it came, smaller ones are collected

Line = bytes | list[bytes]  # a line without its newline; a long one that came in pieces is a list of chunks


def whole(line: Line) -> bytes:
    """Return the line as one bytes object; a line in chunks is copied once."""
    return line if isinstance(line, bytes) else b"".join(line)


def length(line: Line) -> int:
    """Return the number of bytes of a line, without its newline, and without joining it."""
    return len(line) if isinstance(line, bytes) else sum(map(len, line))


class LineBuffer:
    """Cuts a stream of bytes into lines.

    partial: whether an unfinished line is at hand, so that the next byte does not begin a new one.
    size: bytes held of that line; 0 again as soon as it is known to be too long.
    overflow: whether that line is longer than the limit; its rest is swallowed up to its newline.
    """

    __slots__ = ("_chunks", "_limit", "_tail", "overflow", "partial", "size")

    def __init__(self, limit: int) -> None:
        """limit: the greatest number of bytes that a line may have before its newline, at least 0."""
        self._limit = limit
        self._chunks: list[bytes] = []  # of the unfinished line, in order, before _tail
        self._tail = bytearray()  # its last small pieces
        self.partial = False
        self.size = 0
        self.overflow = False

    def feed(self, data: bytes) -> list[Line | None]:
        """Return the lines that data completes, in order, each without its newline.

        None stands for a line longer than the limit: its place is kept, its bytes are gone. A line of more
        than JOIN_BYTES that came in several reads is a list of chunks. Empty data completes nothing.
        """
        first = data.find(b"\n")
        last = len(data) - 1
        if first == last and not self.partial and 0 <= last <= self._limit:
            return [data[:-1]]
        if first < 0:
            if data:
                self._hold(data)
            return []
        parts = data.split(b"\n")
        tail = parts.pop()
        limit = self._limit
        lines: list[Line | None] = [*parts]
        if last > limit:  # else no part of this read can be too long, and none is looked at
            lines = [part if len(part) <= limit else None for part in parts]
        if self.partial:
            lines[0] = self._finish(parts[0])
        if tail:
            self._hold(tail)
        return lines

    def _hold(self, data: bytes) -> None:
        """Keep a piece of an unfinished line, or swallow it when the line has become too long."""
        self.partial = True
        if self.overflow:
            return
        self.size += len(data)
        if self.size > self._limit:
            self._forget()
            self.overflow = self.partial = True
        elif len(data) >= CHUNK_BYTES:
            self._set_aside()
            self._chunks.append(data)
        else:
            self._tail += data
            if len(self._tail) >= JOIN_BYTES:
                self._set_aside()

    def _set_aside(self) -> None:
        """Move the collected small pieces behind the chunks, so that the order stays."""
        if self._tail:
            self._chunks.append(bytes(self._tail))
            self._tail = bytearray()

    def _finish(self, last_piece: bytes) -> Line | None:
        """Return the unfinished line with its last piece, None if it is too long; nothing is pending then."""
        if last_piece:
            self._hold(last_piece)
        line: Line | None
        if self.overflow:
            line = None
        else:
            self._set_aside()
            line = self._chunks if self.size > JOIN_BYTES else b"".join(self._chunks)
        self._forget()
        return line

    def _forget(self) -> None:
        """Go back to the state in which the next byte begins a line."""
        self._chunks = []
        self._tail = bytearray()
        self.size = 0
        self.partial = False
        self.overflow = False
