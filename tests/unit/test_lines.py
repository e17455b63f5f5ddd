"""Framing: any split gives the same lines, in bounded memory."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from lonc.wire.lines import CHUNK_BYTES, JOIN_BYTES, Line, LineBuffer, length, whole


def joined(lines: list[Line | None]) -> list[bytes | None]:
    return [None if line is None else whole(line) for line in lines]


def test_a_read_that_is_one_whole_line_is_that_line() -> None:
    buffer = LineBuffer(10)
    assert buffer.feed(b"ping\n") == [b"ping"]
    assert (buffer.partial, buffer.size, buffer.overflow) == (False, 0, False)


def test_nothing_comes_of_nothing() -> None:
    buffer = LineBuffer(10)
    assert buffer.feed(b"") == []
    assert not buffer.partial


def test_empty_lines_are_lines() -> None:
    buffer = LineBuffer(10)
    assert buffer.feed(b"\n") == [b""]
    assert buffer.feed(b"\n\na\n") == [b"", b"", b"a"]


def test_an_unfinished_line_is_told_and_finished_by_what_follows() -> None:
    buffer = LineBuffer(10)
    assert buffer.feed(b"a\nbc") == [b"a"]
    assert (buffer.partial, buffer.size) == (True, 2)
    assert buffer.feed(b"d") == []
    assert buffer.size == 3
    assert buffer.feed(b"\n") == [b"bcd"]
    assert (buffer.partial, buffer.size) == (False, 0)


def test_a_line_of_the_limit_passes_and_one_byte_more_is_none() -> None:
    for limit in (0, 1, 7, 1000):
        fits, above = b"x" * limit, b"x" * (limit + 1)
        for pieces in ([fits + b"\n"], [fits, b"\n"], [b"", *[b"x"] * limit, b"\n"]):
            buffer = LineBuffer(limit)
            assert [line for piece in pieces for line in joined(buffer.feed(piece))] == [fits]
        for pieces in ([above + b"\n"], [above, b"\n"], [above[:1], above[1:] + b"\n"]):
            buffer = LineBuffer(limit)
            assert [line for piece in pieces for line in joined(buffer.feed(piece))] == [None]
            assert buffer.feed(b"\n") == [b""]


def test_a_line_too_long_costs_its_own_place_only() -> None:
    buffer = LineBuffer(4)
    assert buffer.feed(b"ab\nxxxxx\ncd\nyyyyyy") == [b"ab", None, b"cd"]
    assert (buffer.overflow, buffer.partial, buffer.size) == (True, True, 0)
    assert buffer.feed(b"yyyy") == []
    assert (buffer.overflow, buffer.size) == (True, 0)
    assert buffer.feed(b"yy\nef\ng") == [None, b"ef"]
    assert (buffer.overflow, buffer.partial, buffer.size) == (False, True, 1)


def test_a_long_line_stays_in_the_chunks_it_came_in() -> None:
    buffer = LineBuffer(1 << 20)
    chunk = b"x" * 65536
    assert buffer.feed(b"begin") == []
    assert buffer.feed(chunk) == []
    (line,) = buffer.feed(b"end\n")
    assert line == [b"begin", chunk, b"end"]
    assert line[1] is chunk  # never copied on the way
    assert length(line) == 65544
    assert whole(line) == b"begin" + chunk + b"end"


def test_pieces_of_the_chunk_size_stay_as_they_came_and_smaller_ones_are_collected() -> None:
    large = [bytes([65 + number]) * CHUNK_BYTES for number in range(5)]
    small = [bytes([97 + number]) * (CHUNK_BYTES - 1) for number in range(5)]
    for pieces, kept in ((large, large), (small, [b"".join(small)])):
        buffer = LineBuffer(1 << 20)
        for piece in pieces:
            buffer.feed(piece)
        assert buffer.feed(b"\n") == [kept]


def test_small_pieces_are_collected_up_to_the_joining_size() -> None:
    buffer = LineBuffer(1 << 20)
    for _ in range(8):
        buffer.feed(b"x" * (JOIN_BYTES // 8))
    assert buffer.feed(b"end\n") == [[b"x" * JOIN_BYTES, b"end"]]


def test_a_line_in_chunks_up_to_the_joining_size_is_one_piece() -> None:
    for size, kind in ((JOIN_BYTES, bytes), (JOIN_BYTES + 1, list)):
        buffer = LineBuffer(1 << 20)
        buffer.feed(b"x" * (size - 1))
        (line,) = buffer.feed(b"x\n")
        assert isinstance(line, kind)
        assert line is not None
        assert length(line) == size


def test_a_dripped_line_weighs_little_more_than_its_text() -> None:
    buffer = LineBuffer(1 << 20)
    for _ in range(100_000):
        buffer.feed(b"ab")
    assert buffer.size == 200_000
    (line,) = buffer.feed(b"\n")
    assert isinstance(line, list)
    assert len(line) <= 200_000 // JOIN_BYTES + 1
    assert whole(line) == b"ab" * 100_000


def test_small_and_large_pieces_keep_their_order() -> None:
    buffer = LineBuffer(1 << 22)
    pieces = [bytes([65 + n % 26]) * (CHUNK_BYTES if n % 3 == 0 else 1000 + n) for n in range(40)]
    for piece in pieces:
        assert buffer.feed(piece) == []
    (line,) = buffer.feed(b"\n")
    assert line is not None
    assert whole(line) == b"".join(pieces)


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=12).map(lambda text: text.replace(b"\n", b"")), max_size=8),
    rest=st.binary(max_size=5).map(lambda text: text.replace(b"\n", b"")),
    cuts=st.lists(st.integers(0, 100), max_size=10),
)
def test_any_split_gives_the_same_lines(lines: list[bytes], rest: bytes, cuts: list[int]) -> None:
    limit = 8
    stream = b"".join(line + b"\n" for line in lines) + rest
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    buffer = LineBuffer(limit)
    got: list[bytes | None] = []
    for start, stop in pairwise(edges):
        got += joined(buffer.feed(stream[start:stop]))
    assert got == [line if len(line) <= limit else None for line in lines]
    assert buffer.partial is bool(rest)
    assert buffer.size == len(rest)
