"""Owns the harnesses of framing: lines cut from a stream, and lines on their way to a socket.

`lines`: the first byte chooses the limit, the second how often the text is repeated, a piece says how the
stream is
cut. The model is bytes.split. `outbox`: a program of calls, against a plain list of lines.
"""

from __future__ import annotations

from lonc.wire.lines import Line, LineBuffer, length, whole
from lonc.wire.outbox import BATCH_BYTES, BATCH_CHUNKS, Outbox
from tests.fuzz.choices import Choices, pieces
from tests.fuzz.harness import Harness, rule

LIMITS = (0, 1, 7, 64, 1000, 16384, 65536, 70000)
REPEATS = (1, 1, 1, 1, 2, 40, 700)
LONGEST = 200_000  # bytes of a stream
STEPS = 40  # calls of one program


def lines(data: bytes) -> None:
    """Whatever the pieces: the lines of the stream, None for those over the limit, and no more kept than it."""
    choices = Choices(data)
    limit = choices.pick(LIMITS)
    repeats = choices.pick(REPEATS)
    cuts = choices.text()
    stream = (choices.rest() * repeats)[:LONGEST]
    buffer = LineBuffer(limit)
    found: list[Line | None] = []
    for piece in pieces(stream, cuts):
        found += buffer.feed(piece)
        rule(buffer.size <= limit, "more than the limit is held")
        rule(not buffer.overflow or buffer.size == 0, "a line that is too long is held")
    rule(buffer.feed(b"") == [], "nothing completes a line")
    *expected, rest = stream.split(b"\n")
    got = [None if line is None else whole(line) for line in found]
    rule(got == [line if len(line) <= limit else None for line in expected], "the lines differ")
    rule(all(line is None or length(line) == len(whole(line)) for line in found), "a length is wrong")
    rule(buffer.partial == bool(rest), "partial is wrong")
    rule(buffer.overflow == (len(rest) > limit), "overflow is wrong")


class _Model:
    """An outbox that remembers everything: lines with their newline, and how much of all has left."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.gone = 0

    def owed(self) -> bytes:
        """Return what has not left; lines that have are forgotten."""
        while self.lines and self.gone >= len(self.lines[0]):
            self.gone -= len(self.lines.pop(0))
        return b"".join(self.lines)[self.gone :]

    def starts(self) -> list[int]:
        at = [0]
        for line in self.lines:
            at.append(at[-1] + len(line))
        return at

    def clear(self) -> None:
        self.lines, self.gone = [], 0


def outbox(data: bytes) -> None:
    """Whatever is put and taken: the bytes that leave are those that were put, and only whole lines come back."""
    choices = Choices(data)
    keeps = bool(choices.byte() & 1)
    box, model = Outbox(keep_lines=keeps), _Model()
    for _ in range(STEPS):
        if not choices:
            break
        _step(choices, box, model, keeps)
        owed = model.owed()
        rule(box.size == len(owed), "size is wrong")
        rule(bool(box) == bool(owed), "truth is wrong")
        rule(box.held <= box.size, "more is held than owed")
        if keeps:
            rule(box.lines == sum(end > model.gone for end in model.starts()[1:]), "the count of lines is wrong")
    rule(b"".join(_drained(box)) == model.owed(), "other bytes leave")


def _step(choices: Choices, box: Outbox, model: _Model, keeps: bool) -> None:
    what = choices.byte() % 8
    if what <= 1:
        line = choices.text().replace(b"\n", b"") * (1, 1, 1, 300)[choices.byte() % 4]
        box.put(line)
        model.lines.append(line + b"\n")
    elif what == 2:
        chunks = [choices.text().replace(b"\n", b"") for _ in range(choices.byte() % 5)]
        box.put([*chunks])
        model.lines.append(b"".join(chunks) + b"\n")
    elif what == 3:
        count = choices.number() % 600
        box.fresh += [b"x\n"] * count
        model.lines += [b"x\n"] * count
    elif what <= 5:
        batch = box.batch()
        text = b"".join(batch)
        rule(model.owed().startswith(text), "a batch has other bytes")
        rule(len(batch) <= BATCH_CHUNKS and len(text) < BATCH_BYTES + 70_000, "a batch is too large")
        count = choices.number() % (len(text) + 1)
        box.took(count)
        model.gone += count
    elif what == 6 and keeps:
        back = box.take_back()
        starts = model.starts()
        whole_ones = [line[:-1] for line, at in zip(model.lines, starts, strict=False) if at >= model.gone]
        rule(back == whole_ones, "other lines came back")
        model.clear()
    elif what == 7:
        if not box.held:
            rule(box.first() == model.owed(), "the first send has other bytes") if box.fresh else None
        if choices.byte() % 8 == 0:
            box.clear()
            model.clear()


def _drained(box: Outbox) -> list[bytes]:
    found = []
    while batch := box.batch():
        found.append(b"".join(batch))
        box.took(len(found[-1]))
    rule(not box and box.held == 0, "an emptied box is not empty")
    rule(all(one for one in found), "an empty batch")
    return found


def _row12() -> tuple[bytes, ...]:
    """Return the row of the fault matrix about lines: the limit, one more, endless, odd bytes, no newline."""
    texts = [b"x" * 63, b"x" * 64, b"x" * 65, b"\x00", b"\xff\xfe\r", b"", b"   ", b"a\x00b", b"\r"]
    streams = [text + b"\n" for text in texts] + [b"x" * 5000, b"no newline then close", b"\n\n\n"]
    return tuple(bytes((3, 0, 1, cut)) + stream for stream in streams for cut in (0, 1))


HARNESSES = (
    Harness("lines", lines, 190, (b"\n", b"\n\n", b"\r\n", b"x" * 64, b"\0"), (b"", *_row12())),
    Harness(
        "outbox", outbox, 70, (b"\x00", b"\x01\x02", b"\x03\x02\x58", b"\x04\x00\x05", b"\x06"),
        (b"\x01\x00\x05hello\x00\x04\x00\x03\x06", b"\x00\x03\x02\x58\x04\x00\x09\x04\x01\x00"),
    ),
)  # fmt: skip
