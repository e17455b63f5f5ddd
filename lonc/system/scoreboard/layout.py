"""Owns where each byte of the scoreboard lies.

    slot 0 (header)   magic 8s, layout version I, slot size I, slots I            written once, slots on growth
                      +64: the parent's part about itself
    slot 1, 2, ...    +0: the parent's part, +512: the child's part               one of each per peer

    a part            sequence number I, nothing I, beat d, then the record's fields in their order

A part has one writer. The sequence number is odd while it writes and even afterwards, so a reader that saw
the same even number before and after its copy has a whole record. That needs stores to be seen in their
order: x86 promises it, elsewhere the many instructions of Python between them make a miss most unlikely,
and a missed one costs one wrong picture. The beat is a single aligned store and needs no number.
All numbers are in the machine's byte order: the file never leaves the machine.
"""

from __future__ import annotations

import re
import struct
from dataclasses import fields
from typing import Generic, TypeVar

from lonc.system.scoreboard.records import LATENCY_BUCKETS, ChildRecord, HeaderRecord, ParentRecord
from lonc.system.shown import cut_bytes, printable

MAGIC = b"loncBRD\n"
LAYOUT_VERSION = 4  # to be raised with every change of this file or of a record's fields
SLOT_SIZE = 2048
HEADER = struct.Struct("=8sIII")
SLOTS_AT = 16  # offset of the number of slots in the header
HEADER_PART_AT = 64
PARENT_PART_AT = 0
CHILD_PART_AT = 512
BEAT_AT = 8  # in a part
FIELDS_AT = 16

Record = TypeVar("Record", bound=HeaderRecord | ParentRecord | ChildRecord)

_FORMATS = {"int": "Q", "float": "d", "list[int]": f"{LATENCY_BUCKETS}Q"}
_WIDTHS = {  # bytes of UTF-8
    "peer": 64,
    "state": 24,
    "step": 24,
    "why": 200,
    "address": 64,
    "dials": 128,
    "version": 48,
    "last_line": 480,
    "log_trouble": 100,
    "warning": 200,
}


class Part(Generic[Record]):
    """How one kind of record is packed; the beat of a child is not among the fields."""

    def __init__(self, kind: type[Record]) -> None:
        self._kind = kind
        self._plan: list[tuple[str, int, int]] = []  # name, width of a text (0: none), how many numbers
        formats = ["="]
        for field in fields(kind):
            if field.name == "beat":
                continue
            width = _WIDTHS[field.name] if field.type == "str" else 0
            code = f"{width}s" if width else _FORMATS[str(field.type)]
            count = re.match(r"\d+", code)
            self._plan.append((field.name, width, int(count[0]) if count and not width else 1))
            formats.append(code)
        self._struct = struct.Struct("".join(formats))
        self.size = self._struct.size

    def write(self, memory: memoryview, offset: int, record: Record) -> None:
        """Pack the record's fields at offset. Raises struct.error for a number out of its range."""
        values: list[object] = []
        for name, width, count in self._plan:
            value = getattr(record, name)
            if width:
                values.append(cut_bytes(printable(value, width), width))
            elif count == 1:
                values.append(value)
            else:
                values += value
        self._struct.pack_into(memory, offset, *values)

    def read(self, data: bytes) -> Record:
        """Return the record that was packed into data."""
        values = iter(self._struct.unpack(data))
        record = self._kind()
        for name, width, count in self._plan:
            if width:
                setattr(record, name, next(values).rstrip(b"\0").decode("utf-8", "replace"))
            elif count == 1:
                setattr(record, name, finite(next(values)))
            else:
                setattr(record, name, [next(values) for _ in range(count)])
        return record


def finite(number: float) -> float:
    """Return the number, 0.0 in place of what is none: damaged memory must end no reader of it."""
    return number if number - number == 0 else 0.0


def dials_text(text: str) -> str:
    """Return what ParentRecord.dials becomes on the board: cut where it must be, so that it can be compared."""
    return cut_bytes(printable(text, _WIDTHS["dials"]), _WIDTHS["dials"]).decode()


HEADER_PART = Part(HeaderRecord)
PARENT_PART = Part(ParentRecord)
CHILD_PART = Part(ChildRecord)


def header_bytes(slots: int) -> bytes:
    """Return the beginning of a board with that many slots."""
    return HEADER.pack(MAGIC, LAYOUT_VERSION, SLOT_SIZE, slots)


def board_size(slots: int) -> int:
    """Return how many bytes a board with that many slots has."""
    return (1 + slots) * SLOT_SIZE


def slots_of(header: bytes, size: int) -> int:
    """Return how many slots a file of size bytes has by its header; ValueError says why it is no board."""
    if len(header) < HEADER.size:
        raise ValueError("it is too short to be a scoreboard")
    magic, version, slot_size, slots = HEADER.unpack(header[: HEADER.size])
    if magic != MAGIC:
        raise ValueError("it is not a scoreboard")
    if (version, slot_size) != (LAYOUT_VERSION, SLOT_SIZE):
        raise ValueError(f"it has layout {version}, slots of {slot_size} bytes: of another release")
    if size < board_size(slots):
        raise ValueError(f"it has {size} bytes, too few for {slots} slots")
    return int(slots)
