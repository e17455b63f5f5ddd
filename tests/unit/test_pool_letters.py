"""Letters between a worker and its parent: in order, whole, kept while there is no room, bounded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lonc.loop import Loop
from lonc.pool import letters
from lonc.pool.letters import Post, pair
from lonc.system.clock import SystemClock


class Ends:
    """Both ends of a pair in one loop, and what came to the second one."""

    def __init__(self) -> None:
        self.loop = Loop(SystemClock())
        self.came: list[tuple[bytes, bytes]] = []
        self.over = 0
        one, two = pair()
        self.one = Post(one, self.loop, lambda kind, text: None, lambda: None)
        self.two = Post(two, self.loop, lambda kind, text: self.came.append((kind, text)), self._end)

    def _end(self) -> None:
        self.over += 1

    def turn(self) -> None:
        self.loop.turn(self.loop.now)


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.one.close()
    ends.two.close()
    ends.loop.close()


def test_letters_come_whole_and_in_order(ends: Ends) -> None:
    assert ends.one.send(letters.READY)
    assert ends.one.send(letters.WORD, b"x" * letters.LONGEST)
    ends.turn()
    assert ends.came == [(letters.READY, b""), (letters.WORD, b"x" * letters.LONGEST)]


def test_what_finds_no_room_waits_and_too_much_is_lost(ends: Ends) -> None:
    ends.loop.unwatch(ends.two._sock)  # the other side is busy
    sent = 0
    while ends.one.send(letters.WORD, b"%d" % sent):
        sent += 1
        assert sent < 100_000
    assert sent > 1000
    ends.loop.watch(ends.two._sock, ends.two._ready)
    for _ in range(sent):
        ends.turn()
    assert [int(text) for _kind, text in ends.came] == list(range(sent))


def test_the_end_is_told_once_and_after_the_last_letter(ends: Ends) -> None:
    ends.one.send(letters.WORD, b"last")
    ends.one.close()
    ends.one.close()
    assert ends.one.send(letters.WORD, b"into nothing")
    ends.turn()
    ends.turn()
    assert ends.came == [(letters.WORD, b"last")]
    assert ends.over == 1
    ends.two.read(5)


def test_sending_to_nobody_is_no_error(ends: Ends) -> None:
    ends.two.close()
    assert ends.one.send(letters.WORD, b"x")
    ends.turn()


def test_the_last_letters_are_sent_before_the_end(ends: Ends) -> None:
    ends.one.send(letters.WORD, b"x")
    ends.one.flush()
    ends.one.close()
    ends.two.read(10)
    assert ends.came == [(letters.WORD, b"x")]
