"""What one socket is still owed: whole lines in order, and which of them the kernel has not begun to take.

Two parts. `fresh` collects the lines of this turn of the loop; at its end they leave in one send. What
the kernel did not take moves to the backlog, chunk by chunk, and leaves by sendmsg, so that a long line is
never copied to be joined or cut (doc/performance: joining costs a 1 MiB reply two thirds of its rate).
The backlog knows where lines end: a line of which no byte was taken may be taken back and sent elsewhere.
Whoever never takes anything back (keep_lines False) does not pay for that: a chunk weighs some 400 bytes
besides its text, so short lines that pile up for someone who does not read are joined, each of them once.
"""

from __future__ import annotations

from collections import deque

from lonc.wire.lines import Line

# One sendmsg: under the kernel's 1024 pieces, and enough bytes to fill any socket buffer of ours.
BATCH_CHUNKS = 256
BATCH_BYTES = 1 << 20

# Of lines that need not be told apart: so many short chunks in a row become one.
SHORT_BYTES = 4096
SHORT_RUN = 256
# Most boxes never have a backlog, and an empty deque of its own weighs more than all the rest of a client.
_NO_BACKLOG: deque[tuple[memoryview, bool]] = deque(maxlen=0)


class Outbox:
    """Lines on their way to one socket. `fresh` may be appended to directly: bytes that end in a newline."""

    __slots__ = ("_backlog", "_begun", "_keep_lines", "_run", "fresh", "held")

    def __init__(self, *, keep_lines: bool = True) -> None:
        """keep_lines: whether take_back() is wanted; without it less is remembered."""
        self._keep_lines = keep_lines
        self._run = 0  # short chunks put to the end of the backlog since a long one; some may have left
        self.fresh: list[bytes] = []
        self._backlog = _NO_BACKLOG  # chunks, and whether each ends its line
        self._begun = False  # some bytes of the first line in the backlog were taken
        self.held = 0  # bytes that the kernel has refused so far

    def __bool__(self) -> bool:
        """Return whether anything is owed."""
        return bool(self.fresh or self._backlog)

    @property
    def stuck(self) -> bool:
        """Return whether the kernel has refused some of it, so that it waits to become writable."""
        return bool(self._backlog)

    @property
    def size(self) -> int:
        """Return how many bytes are owed."""
        return self.held + sum(map(len, self.fresh))

    def put(self, line: Line) -> None:
        """Append a line given without its newline; chunks stay chunks."""
        if isinstance(line, bytes):
            self.fresh.append(line + b"\n")
            return
        self._settle()
        for chunk in line:
            if chunk:
                self._append(chunk, last=False)
        self._append(b"\n", last=True)

    @property
    def lines(self) -> int:
        """Return how many lines have not wholly left."""
        waiting = sum(last for _, last in self._backlog) if self._backlog else 0
        return len(self.fresh) + waiting

    def first(self) -> bytes:
        """Return all of `fresh` as the bytes of one send. Only while nothing is stuck."""
        fresh = self.fresh
        return fresh[0] if len(fresh) == 1 else b"".join(fresh)

    def batch(self) -> list[memoryview]:
        """Return the next chunks for one sendmsg: at most BATCH_CHUNKS, about BATCH_BYTES; [] when none."""
        self._settle()
        chunks: list[memoryview] = []
        total = 0
        for chunk, _ in self._backlog:
            chunks.append(chunk)
            total += len(chunk)
            if len(chunks) == BATCH_CHUNKS or total >= BATCH_BYTES:
                break
        return chunks

    def took(self, count: int) -> None:
        """Note that the kernel took `count` bytes; the rest stays, in order, as backlog."""
        self._settle()
        backlog = self._backlog
        self.held -= count
        while count:
            chunk, last = backlog.popleft()
            if count < len(chunk):
                backlog.appendleft((chunk[count:], last))
                self._begun = True
                return
            count -= len(chunk)
            self._begun = not last

    def take_back(self) -> list[bytes]:
        """Remove and return, joined, the lines of which no byte was taken; what was begun is forgotten.

        Only while lines are kept (keep_lines).
        """
        self._settle()
        lines: list[bytes] = []
        chunks: list[memoryview] = []
        for chunk, last in self._backlog:
            chunks.append(chunk)
            if last:
                lines.append(b"".join(chunks)[:-1])
                chunks = []
        if self._begun:
            del lines[0]
        self.clear()
        return lines

    def clear(self) -> None:
        """Forget everything owed."""
        self.fresh.clear()
        self._backlog.clear()
        self._begun = False
        self._run = 0
        self.held = 0

    def _settle(self) -> None:
        """Move this turn's lines behind the backlog."""
        for line in self.fresh:
            self._append(line, last=True)
        self.fresh.clear()

    def _append(self, chunk: bytes, *, last: bool) -> None:
        if self._backlog is _NO_BACKLOG:
            self._backlog = deque()
        self._backlog.append((memoryview(chunk), last))
        self.held += len(chunk)
        if not self._keep_lines:
            self._run = self._run + 1 if len(chunk) <= SHORT_BYTES else 0
            if self._run == SHORT_RUN:
                self._join_run()

    def _join_run(self) -> None:
        """Make one chunk of the short ones at the end. It begins no new run, so no byte is joined twice."""
        chunks = [self._backlog.pop()[0] for _ in range(min(self._run, len(self._backlog)))]
        self._backlog.append((memoryview(b"".join(reversed(chunks))), True))
        self._run = 0
