"""What a socket is owed: order, partial writes, and which lines may be taken back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lonc.wire.lines import Line
from lonc.wire.outbox import BATCH_BYTES, BATCH_CHUNKS, SHORT_BYTES, SHORT_RUN, Outbox


def drain(box: Outbox) -> bytes:
    """Take everything, as a socket that never refuses would."""
    out = b""
    while chunks := box.batch():
        data = b"".join(chunks)
        box.took(len(data))
        out += data
    return out


def test_lines_leave_in_order_with_their_newlines() -> None:
    box = Outbox()
    box.put(b"one")
    box.put([b"tw", b"", b"o"])
    box.put(b"three")
    assert box
    assert box.size == len(b"one\ntwo\nthree\n")
    assert drain(box) == b"one\ntwo\nthree\n"
    assert not box
    assert box.held == 0


def test_first_is_everything_fresh_in_one_send() -> None:
    box = Outbox()
    box.put(b"one")
    assert box.first() == b"one\n"
    box.put(b"two")
    assert box.first() == b"one\ntwo\n"
    assert not box.stuck


def test_whatever_is_owed_counts_as_something() -> None:
    box = Outbox()
    assert not box
    box.put(b"fresh")
    assert box
    box.took(1)
    assert not box.fresh
    assert box
    box.clear()
    assert (bool(box), box.held, box.size) == (False, 0, 0)


def test_what_is_forgotten_leaves_nothing_behind() -> None:
    box = Outbox()
    box.put(b"fresh")
    box.clear()
    assert not box
    box.put(b"begun")
    box.took(2)
    box.clear()
    box.put(b"next")
    assert box.take_back() == [b"next"]
    joining = Outbox(keep_lines=False)
    for _ in range(2):  # not long enough for a run, however often it comes and is forgotten
        for _ in range(SHORT_RUN - 1):
            joining.put(b"x")
        joining.batch()
        assert len(joining._backlog) == SHORT_RUN - 1
        joining.clear()
    for _ in range(SHORT_RUN):
        joining.put(b"x")
    assert len(joining.batch()) == 1


def test_what_was_refused_goes_first_next_time() -> None:
    box = Outbox()
    box.put(b"first")
    box.took(2)
    assert box.stuck
    assert box.held == 4
    box.put(b"second")
    assert drain(box) == b"rst\nsecond\n"


def test_a_batch_is_bounded_in_chunks_and_bytes() -> None:
    box = Outbox()
    box.put([b"x"] * (2 * BATCH_CHUNKS))
    assert len(box.batch()) == BATCH_CHUNKS
    box.clear()
    box.put([b"y" * (BATCH_BYTES // 2)] * 5)
    assert len(box.batch()) == 2
    box.clear()
    box.put([b"y" * (BATCH_BYTES - 1), b"z", b"z"])
    assert len(box.batch()) == 2


def test_only_lines_that_the_kernel_has_not_begun_come_back() -> None:
    box = Outbox()
    for line in (b"sent", b"begun", b"kept", b"kept too"):
        box.put(line)
    box.took(len(b"sent\nbe"))
    assert box.take_back() == [b"kept", b"kept too"]
    assert not box


def test_a_line_in_chunks_that_was_begun_at_a_chunk_border_does_not_come_back() -> None:
    box = Outbox()
    box.put([b"abc", b"def"])
    box.put(b"next")
    box.took(3)
    assert box.take_back() == [b"next"]


def test_nothing_begun_means_everything_comes_back() -> None:
    box = Outbox()
    box.put(b"one")
    box.put([b"t", b"wo"])
    box.took(0)
    assert box.take_back() == [b"one", b"two"]
    assert box.take_back() == []


@given(
    lines=st.lists(st.one_of(st.binary(max_size=9), st.lists(st.binary(max_size=5), max_size=4)), max_size=8),
    cut=st.integers(min_value=0, max_value=200),
)
def test_sent_and_taken_back_together_are_whole_lines_once(lines: list[Line], cut: int) -> None:
    """Whatever is sent before the loss: no line both begun and given back, none lost unbegun."""
    box = Outbox()
    joined = [line if isinstance(line, bytes) else b"".join(line) for line in lines]
    plain = [line.replace(b"\n", b"") for line in joined]
    for given_line, text in zip(lines, plain, strict=True):
        box.put(text if isinstance(given_line, bytes) else [text[:2], text[2:]])
    total = box.size
    sent = min(cut, total)
    box.took(sent)
    stream = b"".join(text + b"\n" for text in plain)
    back = box.take_back()
    begun = 0
    position = 0
    for text in plain:
        if position < sent:
            begun += 1
        position += len(text) + 1
    assert back == plain[begun:]
    assert len(stream) == total


def test_lines_that_have_not_wholly_left_are_counted() -> None:
    box = Outbox()
    assert box.lines == 0
    box.put(b"one")
    box.put([b"tw", b"o"])
    box.put(b"three")
    assert box.lines == 3
    box.took(len(b"one\nt"))
    assert box.lines == 2
    box.put(b"four")
    assert box.lines == 3
    drain(box)
    assert box.lines == 0


def test_short_lines_that_pile_up_are_joined_unless_lines_are_kept() -> None:
    lines = [b"%d" % number for number in range(100 * SHORT_RUN)]
    kept, joined = Outbox(), Outbox(keep_lines=False)
    for box in (kept, joined):
        for line in lines:
            box.put(line)
            box.batch()  # as once per turn
    assert len(kept._backlog) == len(lines)
    assert len(joined._backlog) <= 100 + SHORT_RUN
    assert drain(kept) == drain(joined) == b"".join(line + b"\n" for line in lines)
    assert joined.held == 0


def test_a_run_of_short_lines_is_joined_as_soon_as_it_is_long_enough() -> None:
    box = Outbox(keep_lines=False)
    for _ in range(2):  # and after clear() the same once more
        for length in (SHORT_BYTES, 2):
            for number in range(1, SHORT_RUN + 1):
                box.put(b"x" * (length - 1))
                box.batch()
                before = 0 if length == SHORT_BYTES else 1
                assert len(box._backlog) == before + (number if number < SHORT_RUN else 1)
        box.clear()


def test_a_long_line_ends_a_run_of_short_ones() -> None:
    box = Outbox(keep_lines=False)
    short = [b"s"] * (SHORT_RUN - 1)
    for line in [*short, b"l" * SHORT_BYTES, *short]:
        box.put(line)
    assert len(box.batch()) == min(BATCH_CHUNKS, 2 * SHORT_RUN - 1)
    assert len(box._backlog) == 2 * SHORT_RUN - 1


def test_long_lines_are_not_copied_to_be_joined() -> None:
    box = Outbox(keep_lines=False)
    long = b"y" * (SHORT_BYTES + 1)
    for _ in range(SHORT_RUN):
        box.put([long])
    kept = [chunk for chunk, last in box._backlog if not last]
    assert len(kept) == SHORT_RUN
    assert all(chunk.obj is long for chunk in kept)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3000), st.booleans()), max_size=12))
def test_joined_or_not_the_bytes_are_the_same(turns: list[tuple[int, int, bool]]) -> None:
    """Lines come, some bytes leave, in any order and number: the stream is that of the lines."""
    box, put, out = Outbox(keep_lines=False), b"", b""
    for count, taken, long in turns:
        for number in range(count):
            box.put(b"%d" % number)
            put += b"%d\n" % number
        if long:
            box.put([b"z" * (SHORT_BYTES + 1)])
            put += b"z" * (SHORT_BYTES + 1) + b"\n"
        data = b"".join(box.batch())[:taken]
        box.took(len(data))
        out += data
        assert box.size == len(put) - len(out)
    assert out + drain(box) == put
