"""Owns many clients of one socket in one test process: unique tokens out, every reply compared.

The C program uxload is for speed; this is for shapes that it does not know: requests in pieces of any size,
many lines in one write, both from many clients in turn so that no client's pieces come together. A reply is
compared with the very request it must belong to, so that a swapped, lost, doubled or cut line is a mismatch.
"""

from __future__ import annotations

import random
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Cut = Callable[[bytes], Iterator[bytes]]


def uncut(data: bytes) -> Iterator[bytes]:
    """Yield everything as one write."""
    yield data


def single_bytes(data: bytes) -> Iterator[bytes]:
    """Yield a write for each byte."""
    for at in range(len(data)):
        yield data[at : at + 1]


@dataclass(slots=True)
class Tally:
    """What came of a run. wrong: replies that differ from what their request must bring, the first few kept."""

    asked: int = 0
    right: int = 0
    con_lost: int = 0
    closed: int = 0
    writes: int = 0
    seconds: float = 0.0
    wrong_count: int = 0
    wrong: tuple[bytes, ...] = ()

    @property
    def good(self) -> bool:
        """Return whether every request brought its own reply."""
        return self.right == self.asked and not (self.con_lost or self.closed or self.wrong_count)

    def __str__(self) -> str:
        rate = self.right / self.seconds if self.seconds else 0.0
        return (
            f"requests={self.right}/{self.asked} writes={self.writes} seconds={self.seconds:.2f} req/s={rate:.0f} "
            f"mismatches={self.wrong_count} con_lost={self.con_lost} closed={self.closed} {self.wrong}"
        )


class Talker:
    """One client: asks its share in batches, each batch when the one before is answered."""

    def __init__(
        self, path: Path, name: int, share: int, batch: Callable[[], int], cut: Cut, word: bytes
    ) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(path))
        self.sock.setblocking(False)
        self.name = name
        self.left = share
        self._batch = batch
        self._cut = cut
        self._word = word
        self._count = 0
        self._pieces: Iterator[bytes] = iter(())
        self._piece = b""
        self._expected: deque[bytes] = deque()
        self._rest = b""
        self.open = True

    @property
    def done(self) -> bool:
        """Return whether everything was asked and answered, or can be no more."""
        return not self.open or not (self.left or self._expected or self._piece)

    def speak(self, tally: Tally) -> bool:
        """Write the next piece, if one is due; return whether another is due at once."""
        if not self._piece and not self._expected and self.left:
            self._begin(tally)
        if not self._piece or not self.open:
            return False
        try:
            sent = self.sock.send(self._piece)
        except BlockingIOError:
            return True
        except OSError:
            self._end(tally)
            return False
        tally.writes += 1
        self._piece = self._piece[sent:] or next(self._pieces, b"")
        return bool(self._piece)

    def _begin(self, tally: Tally) -> None:
        count = min(self._batch(), self.left)
        lines = []
        for _ in range(count):
            self._count += 1
            token = b"%d.%d.%08x" % (self.name, self._count, random.getrandbits(32))
            self._expected.append(token)
            lines.append(self._word + token + b"\n")
        self.left -= count
        tally.asked += count
        self._pieces = self._cut(b"".join(lines))
        self._piece = next(self._pieces)

    def hear(self, tally: Tally) -> None:
        """Read once and compare the lines that are whole."""
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(tally)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            expected = self._expected.popleft() if self._expected else None
            if line == expected:
                tally.right += 1
            elif line == b"con_lost":
                tally.con_lost += 1
            else:
                tally.wrong_count += 1
                tally.wrong = (*tally.wrong, line[:80])[:5]

    def _end(self, tally: Tally) -> None:
        tally.closed += 1
        self.open = False


def talk(
    path: Path, clients: int, requests: int, *, batch: Callable[[], int] = lambda: 1, cut: Cut = uncut,
    word: bytes = b"echo:", timeout_s: float = 100.0,
) -> Tally:  # fmt: skip
    """Have so many clients ask so many requests in all, and return what came of it.

    batch() is the number of lines of the next write, cut() divides what is written; the clients take turns
    after each piece. word stands before each token. Raises AssertionError when it is not over in time.
    """
    tally = Tally()
    began = time.monotonic()
    shares = [requests // clients + (number < requests % clients) for number in range(clients)]
    talkers = [Talker(path, number, share, batch, cut, word) for number, share in enumerate(shares)]
    try:
        with selectors.DefaultSelector() as selector:
            for talker in talkers:
                selector.register(talker.sock, selectors.EVENT_READ, talker)
            _take_turns(talkers, selector, tally, began + timeout_s)
    finally:
        for talker in talkers:
            talker.sock.close()
    tally.seconds = time.monotonic() - began
    return tally


def _take_turns(
    talkers: list[Talker], selector: selectors.BaseSelector, tally: Tally, deadline: float
) -> None:
    running = talkers
    while running:
        assert time.monotonic() < deadline, f"not in time: {tally}"
        due = [talker.speak(tally) for talker in running]
        for key, _mask in selector.select(0 if any(due) else 0.5):
            key.data.hear(tally)
            if not key.data.open:
                selector.unregister(key.fileobj)
        running = [talker for talker in running if not talker.done]
