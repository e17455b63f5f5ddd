"""The scoreboard: records come back whole, slots never move, and it works over fork, growth and exec."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import pytest

from lonc.errors import ScoreboardError
from lonc.system.scoreboard import (
    LATENCY_BUCKETS,
    NO_SLOT,
    ChildRecord,
    HeaderRecord,
    ParentRecord,
    Scoreboard,
    bucket_limit_s,
    latency_bucket,
)
from lonc.system.scoreboard.board import GROWTH
from lonc.system.scoreboard.layout import (
    CHILD_PART,
    CHILD_PART_AT,
    FIELDS_AT,
    HEADER_PART,
    HEADER_PART_AT,
    LAYOUT_VERSION,
    MAGIC,
    PARENT_PART,
    SLOT_SIZE,
)

CHILD = ChildRecord(
    pid=4712, state="READY", step="Idle", since=1015577779.5, why="timeout: no reply", address="35.8.63.51:5663",
    version="1.32", beat=77.5, clients=3, links=2, in_flight=2, queued=1, delayed=4, oldest_delayed=1015577000.0,
    requests=10, replies=9, con_lost=1, rejected=2, bytes_in=1 << 40, bytes_out=1 << 41, links_opened=5,
    delayed_sent=6, ready_since=70.25, longest_ready_s=7.5, next_try=80.0,
    latency_us=list(range(LATENCY_BUCKETS)), lost_lines=8, last_line="msul1 online",
    log_trouble="disk full", warning="Pong reply", warned=5.5, down_since=6.0, waiting_since=7.0,
)  # fmt: skip
PARENT = ParentRecord(
    peer="msul1", pid=4712, state="UP", since=1015577779.5, why="", attempts=2, next_start=90.0,
    longest_ready_s=300.0, spawned_at=60.5, dials="35.8.63.51",
)  # fmt: skip
HEADER = HeaderRecord(
    pid=4711, started=1015577779.0, restarted=1015577780.0, restarts=3, state="Parent", since=1.0, lost_lines=2,
    last_line="Done starting initial servers", log_trouble="disk full", warning="No slot", warned=6.5,
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lonc.scoreboard")


@contextmanager
def made(path: str, *peers: str) -> Iterator[Scoreboard]:
    board = Scoreboard.create(path, peers)
    try:
        yield board
    finally:
        board.close()


def names(count: int, first: int = 0) -> list[str]:
    return [f"peer{i}" for i in range(first, first + count)]


# --- records ----------------------------------------------------------------------------------------------


def test_records_come_back_as_they_were_written(path: str) -> None:
    for record in (CHILD, PARENT, HEADER):  # so that no field is compared with its default only
        default = type(record)()
        same = [f.name for f in fields(record) if getattr(record, f.name) == getattr(default, f.name)]
        assert same in ([], ["why"])
    with made(path, "msul0", "msul1") as board:
        slot = board.slot_of("msul1")
        assert slot == 1
        board.write_child(slot, CHILD)
        board.write_parent(slot, PARENT)
        board.write_header(HEADER)
        reader = Scoreboard.open_reader(path)
        for one in (board, reader):
            assert one.read_child(slot) == CHILD
            assert one.read_parent(slot) == PARENT
            assert one.read_header() == HEADER
            assert one.peers() == {"msul0": 0, "msul1": 1}
            assert one.slot_of("msul1") == 1
            assert one.slot_of("other") is None
            assert one.read_child(0) == ChildRecord()  # the neighbour is untouched
        reader.close()


def test_the_parts_do_not_overlap() -> None:
    assert FIELDS_AT + PARENT_PART.size <= CHILD_PART_AT
    assert CHILD_PART_AT + FIELDS_AT + CHILD_PART.size <= SLOT_SIZE
    assert HEADER_PART_AT + FIELDS_AT + HEADER_PART.size <= SLOT_SIZE
    assert CHILD_PART_AT % 8 == SLOT_SIZE % 8 == HEADER_PART_AT % 8 == 0  # beats and numbers lie aligned


def test_texts_are_cleaned_and_cut_between_characters(path: str) -> None:
    with made(path, "msul1") as board:
        board.write_child(0, ChildRecord(why="ü" * 150 + "\x1b\n", last_line="x" * 5000, step="\udcff\ud800"))
        record = board.read_child(0)
    assert record is not None
    assert record.why == "ü" * 100
    assert len(record.last_line) == 480
    assert record.step == r"\xff\ud800"


def test_odd_numbers_pass_and_what_is_no_number_is_none(path: str) -> None:
    with made(path, "msul1") as board:
        board.write_child(0, ChildRecord(next_try=math.inf, down_since=math.nan, requests=(1 << 64) - 1))
        board.beat(0, math.nan)
        record = board.read_child(0)
    assert record is not None
    assert (record.next_try, record.down_since, record.beat, record.requests) == (0.0, 0.0, 0.0, (1 << 64) - 1)


def test_the_beat_is_apart_from_the_record(path: str) -> None:
    with made(path, "msul1") as board:
        assert board.beat_of(0) == 0.0
        board.beat(0, 12.5)
        board.write_child(0, ChildRecord(pid=1))  # no beat of its own: that of the loop stays
        assert board.beat_of(0) == 12.5
        assert board.read_child(0) == ChildRecord(pid=1, beat=12.5)


def test_without_a_slot_nothing_happens(path: str) -> None:
    with made(path, "msul1") as board:
        board.write_child(NO_SLOT, CHILD)
        board.write_parent(NO_SLOT, PARENT)
        board.beat(NO_SLOT, 5.0)
        assert (board.read_child(NO_SLOT), board.read_parent(NO_SLOT), board.beat_of(NO_SLOT)) == (None, None, 0.0)
        assert [board.beat_of(slot) for slot in range(board.count)] == [0.0] * board.count
        assert board.read_parent(board.count - 1) == ParentRecord()


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(-1, 0), (0, 0), (9e-7, 0), (1e-6, 1), (3e-6, 2), (1e-3, 10), (4.0, 22), (5.0, 23), (9e9, 23)],
)
def test_buckets_double(seconds: float, bucket: int) -> None:
    assert latency_bucket(seconds) == bucket
    assert seconds < bucket_limit_s(bucket)
    assert bucket == 0 or seconds >= bucket_limit_s(bucket - 1)


# --- torn writes ------------------------------------------------------------------------------------------


def test_a_part_that_is_being_written_is_torn_and_the_next_writer_mends_it(path: str) -> None:
    with made(path, "msul1") as board:
        board.write_child(0, CHILD)
        with open(path, "r+b") as file:  # as a writer leaves it that was killed in the middle
            file.seek(SLOT_SIZE + CHILD_PART_AT)
            sequence = int.from_bytes(file.read(4), "little")
            assert sequence % 2 == 0
            file.seek(SLOT_SIZE + CHILD_PART_AT)
            file.write((sequence + 1).to_bytes(4, "little"))
            file.flush()
            assert board.read_child(0) is None
            assert board.beat_of(0) == CHILD.beat
            board.write_child(0, replace(CHILD, pid=4713))
            assert board.read_child(0) == replace(CHILD, pid=4713)
            file.seek(SLOT_SIZE + CHILD_PART_AT)
            assert int.from_bytes(file.read(4), "little") % 2 == 0


def test_the_sequence_number_runs_round(path: str) -> None:
    with made(path, "msul1") as board:
        for start in (0xFFFFFFFE, 0xFFFFFFFF):
            with open(path, "r+b") as file:
                file.seek(SLOT_SIZE + CHILD_PART_AT)
                file.write(start.to_bytes(4, "little"))
            board.write_child(0, CHILD)
            assert board.read_child(0) == CHILD


# --- slots ------------------------------------------------------------------------------------------------


def test_slots_never_move_when_the_board_grows(path: str) -> None:
    first = names(GROWTH)
    with made(path, *first) as board:
        assert board.count == GROWTH
        reader = Scoreboard.open_reader(path)
        board.write_child(5, CHILD)
        assert reader.refresh() is False
        more = [board.add(name) for name in names(40, GROWTH)]
        assert more == list(range(GROWTH, GROWTH + 40))
        assert [board.add(name) for name in first] == list(range(GROWTH))
        board.write_child(more[-1], replace(CHILD, pid=9))
        assert reader.count == GROWTH
        assert reader.refresh() is True
        assert reader.count == board.count == 4 * GROWTH
        assert reader.peers() == board.peers() == {name: i for i, name in enumerate(names(GROWTH + 40))}
        assert reader.read_child(5) == CHILD
        assert reader.read_child(more[-1]) == replace(CHILD, pid=9)
        assert os.stat(path).st_size == (1 + 4 * GROWTH) * SLOT_SIZE
        reader.close()


def test_a_freed_slot_is_used_again_and_is_clean(path: str) -> None:
    with made(path, *names(GROWTH)) as board:
        board.write_child(3, CHILD)
        board.free("peer3")
        board.free("unknown")
        assert board.slot_of("peer3") is None
        assert "peer3" not in Scoreboard.open_reader(path).peers()
        assert board.add("new") == 3
        assert board.read_child(3) == ChildRecord()
        assert board.read_parent(3) == ParentRecord(peer="new")
        assert board.count == GROWTH


def test_a_thousand_changes_of_the_table_cost_nothing(path: str) -> None:
    with made(path, *names(5)) as board:
        before = (board.count, len(os.listdir("/proc/self/fd")))
        for i in range(1000):
            board.add(f"new{i}")
            board.free(f"new{i}")
        assert (board.count, len(os.listdir("/proc/self/fd"))) == before


def test_a_peer_named_twice_has_one_slot_and_no_peer_is_no_error(path: str) -> None:
    with made(path, "a", "a", "b") as board:
        assert board.peers() == {"a": 0, "b": 1}
    with made(path) as board:
        assert board.peers() == {}
        assert board.add("a") == 0


# --- the file ---------------------------------------------------------------------------------------------


def test_the_file_has_magic_version_size_count_and_mode(path: str) -> None:
    before = os.umask(0o022)
    try:
        with made(path, *names(20)):
            pass
    finally:
        os.umask(before)
    data = Path(path).read_bytes()
    assert data[:8] == MAGIC
    numbers = [int.from_bytes(data[at : at + 4], "little") for at in (8, 12, 16)]
    assert numbers == [LAYOUT_VERSION, SLOT_SIZE, 32]
    assert len(data) == 33 * SLOT_SIZE
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
    assert os.stat(path).st_blocks * 512 >= len(data)  # no holes
    assert os.listdir(os.path.dirname(path)) == ["lonc.scoreboard"]


def test_a_new_board_never_shortens_the_one_that_an_orphan_writes_to(path: str) -> None:
    with made(path, *names(100)) as old:
        reader = Scoreboard.open_reader(path)
        with made(path, "msul1") as new:
            old.write_child(99, CHILD)  # a shortened file would end this process here
            assert old.read_child(99) == CHILD
            assert reader.refresh() is True
            assert reader.peers() == new.peers() == {"msul1": 0}
        reader.close()


def test_adopting_keeps_slots_and_records(path: str) -> None:
    with made(path, *names(GROWTH + 4)) as old:
        old.write_child(3, CHILD)
        old.write_parent(3, replace(PARENT, peer="peer3"))
        inode = os.stat(path).st_ino
        peers = ["new", *names(GROWTH + 4)[2:]]  # two have gone, one has come
        board = Scoreboard.adopt(path, peers)
        assert board.anonymous_reason == ""
        assert os.stat(path).st_ino == inode
        assert board.read_child(3) == CHILD
        assert board.read_parent(3) == replace(PARENT, peer="peer3")
        expected = {name: i for i, name in enumerate(names(GROWTH + 4)) if i > 1}
        slot = board.slot_of("new")
        assert slot is not None
        assert board.peers() == {**expected, "new": slot}
        assert slot not in expected.values()
        old.write_child(4, CHILD)  # a draining child of the old self
        assert board.read_child(4) == CHILD
        board.close()


def test_a_thousand_restarts_cost_nothing(path: str) -> None:
    board = Scoreboard.create(path, names(20))
    before = (os.stat(path).st_size, len(os.listdir("/proc/self/fd")))
    for _ in range(1000):
        board.close()
        board = Scoreboard.adopt(path, names(20))
    assert (os.stat(path).st_size, len(os.listdir("/proc/self/fd"))) == before
    board.close()


@pytest.mark.parametrize("damage", ["gone", "short", "magic", "version", "cut", "link"])
def test_what_cannot_be_adopted_is_made_anew(path: str, damage: str) -> None:
    with made(path, *names(3)) as old:
        old.write_child(0, CHILD)
    data = bytearray(Path(path).read_bytes())
    os.unlink(path)
    if damage == "magic":
        data[0] ^= 1
    elif damage == "version":
        data[8] ^= 1
    elif damage in ("short", "cut"):
        del data[10 if damage == "short" else len(data) // 2 :]
    if damage == "link":
        os.symlink("/etc/hostname", path)
    elif damage != "gone":
        Path(path).write_bytes(data)
    before = len(os.listdir("/proc/self/fd"))
    board = Scoreboard.adopt(path, names(3))
    assert board.peers() == {name: i for i, name in enumerate(names(3))}
    assert board.read_child(0) == ChildRecord()
    assert ("symbolic link" in board.anonymous_reason) == (damage == "link")
    board.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_a_strangers_board_is_not_adopted(path: str) -> None:
    with made(path, "msul1") as old:
        old.write_child(0, CHILD)
        os.chown(path, 65534, -1)
        board = Scoreboard.adopt(path, ["msul1"])
        assert board.read_child(0) == ChildRecord()
        assert os.stat(path).st_uid == 0
        board.close()


def test_a_reader_is_told_why_it_cannot_read(path: str) -> None:
    with pytest.raises(ScoreboardError, match="No such file"):
        Scoreboard.open_reader(path)
    Path(path).write_bytes(b"")
    with pytest.raises(ScoreboardError, match="too short"):
        Scoreboard.open_reader(path)
    Path(path).write_bytes(b"x" * 100_000)
    with pytest.raises(ScoreboardError, match="not a scoreboard"):
        Scoreboard.open_reader(path)
    os.unlink(path)
    os.symlink("/etc/hostname", path)
    with pytest.raises(ScoreboardError, match="symbolic links"):
        Scoreboard.open_reader(path)


def test_a_reader_whose_file_went_keeps_what_it_has(path: str) -> None:
    with made(path, "msul1") as board:
        board.write_child(0, CHILD)
        reader = Scoreboard.open_reader(path)
        os.unlink(path)
        with pytest.raises(ScoreboardError, match="No such file"):
            reader.refresh()
        Path(path).write_bytes(b"x" * 100)
        with pytest.raises(ScoreboardError, match="not a scoreboard"):
            reader.refresh()
        assert reader.read_child(0) == CHILD
        reader.close()


def test_a_reader_cannot_write(path: str) -> None:
    with made(path, "msul1"):
        reader = Scoreboard.open_reader(path)
        with pytest.raises(TypeError):
            reader.beat(0, 1.0)
        reader.close()
