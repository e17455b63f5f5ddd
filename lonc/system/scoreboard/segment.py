"""Owns memory for a range of slots that cannot fail under its writer.

A write to a mapped hole on a full disk is a SIGBUS. So the blocks are allocated before a range of a file is
mapped; where that fails the caller takes anonymous shared memory. A range once mapped stays where it is for
the life of the process: a board grows by another segment, and nothing that anybody uses moves.
"""

from __future__ import annotations

import mmap

from lonc.system.files import Files
from lonc.system.scoreboard.layout import FIELDS_AT, SLOT_SIZE, Part, Record

_RETRIES = 200  # of a torn read; a write takes some 20 us


class Segment:
    """Mapped slots, the header counted as one; offsets are bytes from the first of them."""

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        """start: where the first slot lies in memory (a mapping begins at a page)."""
        self._memory = memory
        self._start = start
        # Views with one aligned item per access: their stores are single instructions, never torn.
        self.bytes = memoryview(memory)
        self.numbers: memoryview[int] = self.bytes.cast("I")
        self.times: memoryview[float] = self.bytes.cast("d")

    @classmethod
    def of_file(cls, fd: int, first: int, slots: int, *, writable: bool) -> Segment:
        """Map slots of a file, whose blocks must have been allocated. OSError when it cannot be mapped."""
        offset = first * SLOT_SIZE
        start = offset % mmap.ALLOCATIONGRANULARITY
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        return cls(mmap.mmap(fd, start + slots * SLOT_SIZE, access=access, offset=offset - start), start)

    @classmethod
    def anonymous(cls, slots: int) -> Segment:
        """Map shared memory that forked children share and nobody else sees."""
        return cls(mmap.mmap(-1, slots * SLOT_SIZE), 0)

    def put(self, offset: int, data: bytes) -> None:
        """Store bytes as they are."""
        at = self._start + offset
        self.bytes[at : at + len(data)] = data

    def put_number(self, offset: int, number: int) -> None:
        """Store a 32-bit number in one go."""
        self.numbers[(self._start + offset) // 4] = number

    def number(self, offset: int) -> int:
        """Return a 32-bit number."""
        return self.numbers[(self._start + offset) // 4]

    def time_index(self, offset: int) -> int:
        """Return which item of `times` lies at offset."""
        return (self._start + offset) // 8

    def write(self, offset: int, part: Part[Record], record: Record) -> None:
        """Write a part; readers see it whole or see that it is being written."""
        index = (self._start + offset) // 4
        # A writer that was killed in the middle has left an odd number: the next odd one goes on from it.
        writing = (self.numbers[index] + 1) & 0xFFFFFFFF | 1
        self.numbers[index] = writing
        part.write(self.bytes, self._start + offset + FIELDS_AT, record)
        self.numbers[index] = (writing + 1) & 0xFFFFFFFF

    def read(self, offset: int, part: Part[Record]) -> Record | None:
        """Return a part as it was at one moment; None: torn, its writer is stuck or dead in the middle."""
        at = self._start + offset
        for _ in range(_RETRIES):
            before = self.numbers[at // 4]
            data = bytes(self.bytes[at + FIELDS_AT : at + FIELDS_AT + part.size])
            if before % 2 == 0 and self.numbers[at // 4] == before:
                return part.read(data)
        return None

    def close(self) -> None:
        """Give the memory back; the segment must not be used again."""
        for view in (self.times, self.numbers, self.bytes):
            view.release()
        self._memory.close()


def allocate(files: Files, fd: int, first: int, slots: int) -> None:
    """Give slots of a file their blocks on the disk; OSError: they have none and must not be mapped."""
    files.fallocate(fd, first * SLOT_SIZE, slots * SLOT_SIZE)
