"""The scoreboard under faults (row 6): no file, no space, no SIGBUS; torn reads; growth beside children."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lonc.errors import ScoreboardError
from lonc.system.scoreboard import ChildRecord, Scoreboard
from lonc.system.scoreboard.board import GROWTH
from lonc.system.scoreboard.layout import SLOT_SIZE
from tests.fakes.faulty_files import FaultyFiles
from tests.unit.processes import TREE

CHILD = ChildRecord(pid=4712, state="READY", requests=10, last_line="msul1 online")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lonc.scoreboard")


def names(count: int, first: int = 0) -> list[str]:
    return [f"peer{i}" for i in range(first, first + count)]


def works(board: Scoreboard, count: int) -> None:
    """Every slot takes records, from a forked child as well: the parent sees them, and nobody dies of it."""
    pid = os.fork()
    if not pid:
        try:
            for slot in range(count):
                board.write_child(slot, replace(CHILD, requests=slot))
                board.beat(slot, slot + 1.0)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    for slot in range(count):
        assert board.read_child(slot) == replace(CHILD, requests=slot, beat=slot + 1.0)
        assert board.read_parent(slot) is not None


# --- no file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("directory", "not a regular file but a directory"),
        ("fifo", "not a regular file but a FIFO"),
        ("link", "not a regular file but a symbolic link"),
        ("socket", "not a regular file but a socket"),
        ("no directory", "No such file or directory"),
        ("file for directory", "Not a directory"),
    ],
)
def test_what_stands_in_the_way_is_named_and_left_alone(
    tmp_path: Path, kind: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lonc.scoreboard"
    victim = tmp_path / "victim"
    victim.write_text("precious")
    listener = socket.socket(socket.AF_UNIX)
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(victim)
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)
        listener.bind(path.name)
    else:
        path = tmp_path / ("missing" if kind == "no directory" else "victim") / "lonc.scoreboard"
    before = sorted(os.listdir(tmp_path))
    with listener:
        for make in (Scoreboard.create, Scoreboard.adopt):
            board = make(str(path), names(20))
            assert board.anonymous_reason == f"{path}: {reason}"
            works(board, 20)
            board.close()
    assert sorted(os.listdir(tmp_path)) == before
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EMFILE])
def test_a_board_comes_to_be_whatever_call_fails(path: str, code: int) -> None:
    counting = FaultyFiles()
    Scoreboard.create(path, names(3), files=counting).close()
    assert counting.calls.count("fallocate") == 1
    descriptors = len(os.listdir("/proc/self/fd"))
    for n in range(1, len(counting.calls) + 1):
        board = Scoreboard.create(path, names(3), files=FaultyFiles(code, {n}))
        assert bool(board.anonymous_reason), counting.calls[n - 1]
        assert os.strerror(code) in board.anonymous_reason
        works(board, 3)
        # the board of an earlier daemon must not be taken for that of this one
        with pytest.raises(ScoreboardError):
            Scoreboard.open_reader(path)
        board.close()
        assert len(os.listdir("/proc/self/fd")) == descriptors
    broken = FaultyFiles(code)
    broken.broken = True
    board = Scoreboard.create(path, names(3), files=broken)
    works(board, 3)
    board.close()


def test_a_board_is_adopted_or_made_anew_whatever_call_fails(path: str) -> None:
    Scoreboard.create(path, names(3)).close()
    counting = FaultyFiles()
    Scoreboard.adopt(path, names(3), files=counting).close()
    descriptors = len(os.listdir("/proc/self/fd"))
    for n in range(1, len(counting.calls) + 1):
        board = Scoreboard.adopt(path, names(3), files=FaultyFiles(failing={n}))
        assert board.anonymous_reason == ""
        works(board, 3)
        board.close()
        assert len(os.listdir("/proc/self/fd")) == descriptors


# --- no space ---------------------------------------------------------------------------------------------


def test_a_board_that_cannot_grow_goes_on_in_memory(path: str) -> None:
    files = FaultyFiles()
    files.only = frozenset({"fallocate"})
    files.failing = {3}
    board = Scoreboard.create(path, names(GROWTH), files=files)
    for name in names(2 * GROWTH, GROWTH):
        board.add(name)
    assert board.anonymous_reason == f"{path}: cannot grow: No space left on device"
    assert board.count == 3 * GROWTH
    works(board, 3 * GROWTH)
    reader = Scoreboard.open_reader(path)
    assert list(reader.peers()) == names(2 * GROWTH)  # what is in the file stays readable
    assert reader.read_child(GROWTH) == board.read_child(GROWTH)
    for name in names(GROWTH, 3 * GROWTH):
        board.add(name)
    assert files.calls == ["fallocate"] * 3  # never again: the file's slots are counted differently now
    works(board, 4 * GROWTH)
    reader.close()
    board.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small tmpfs")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("needs the mount command")
    command = [mount, "-t", "tmpfs", "-o", "size=64k", "lonc-test", str(disk)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> None:
    with (disk / "hog").open("wb", buffering=0) as hog:
        for _ in range(16):
            if os.statvfs(disk).f_bavail:
                hog.write(b"x" * 4096)
    assert os.statvfs(disk).f_bavail == 0


@pytest.mark.root
def test_a_disk_too_small_gives_no_sigbus(small_disk: Path) -> None:
    path = small_disk / "lonc.scoreboard"
    board = Scoreboard.create(str(path), names(100))
    assert board.anonymous_reason == f"{path}: No space left on device"
    works(board, 100)
    assert os.listdir(small_disk) == []
    board.close()


@pytest.mark.root
def test_a_disk_that_others_have_filled_gives_no_sigbus(small_disk: Path) -> None:
    path = small_disk / "lonc.scoreboard"
    board = Scoreboard.create(str(path), names(GROWTH))
    assert board.anonymous_reason == ""
    fill(small_disk)
    works(board, GROWTH)  # its blocks were its own before
    for name in names(GROWTH, GROWTH):
        board.add(name)
    assert "cannot grow: No space left on device" in board.anonymous_reason
    works(board, 2 * GROWTH)
    again = Scoreboard.adopt(str(path), names(2 * GROWTH))  # restart in place on the full disk
    works(again, 2 * GROWTH)
    again.close()
    board.close()


# --- many at once -----------------------------------------------------------------------------------------


def test_a_reader_beside_a_writer_never_sees_a_mixture(path: str) -> None:
    with closing(Scoreboard.create(path, ["msul1"])) as board:
        pid = os.fork()
        if not pid:
            try:
                for i in range(1_000_000):
                    board.write_child(0, ChildRecord(requests=i, last_line=f"line {i}", latency_us=[i] * 24))
                    board.beat(0, float(i + 1))
            finally:
                os._exit(0)
        try:
            seen, last = set(), 0.0
            for _ in range(20_000):
                record = board.read_child(0)
                if record is not None and record.last_line:
                    assert record.last_line == f"line {record.requests}"
                    assert record.latency_us == [record.requests] * 24
                    assert record.beat >= last  # never a moment of 0.0
                    last = record.beat
                    seen.add(record.requests)
            assert len(seen) > 10
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


def test_a_child_of_before_the_growth_goes_on_writing_to_its_slot(path: str) -> None:
    with closing(Scoreboard.create(path, names(3))) as board:
        ready, go = os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.write(ready[1], b"x")
                os.read(go[0], 1)
                board.write_child(2, CHILD)
                board.beat(2, 99.0)
            finally:
                os._exit(0)
        os.read(ready[0], 1)
        for name in names(200, 3):
            board.add(name)
        os.write(go[1], b"x")
        os.waitpid(pid, 0)
        for fd in (*ready, *go):
            os.close(fd)
        assert board.read_child(2) == replace(CHILD, beat=99.0)
        assert board.read_child(3) == ChildRecord()


def test_readers_beside_a_growing_board_see_every_peer_whole(path: str) -> None:
    board = Scoreboard.create(path, ["first"])
    pid = os.fork()
    if not pid:
        try:
            for i in range(300):
                slot = board.add(f"peer{i}")
                board.write_child(slot, ChildRecord(pid=i + 1))
        finally:
            os._exit(0)
    reader = Scoreboard.open_reader(path)
    try:
        for _ in range(2000):
            reader.refresh()
            peers = reader.peers()
            assert peers["first"] == 0
            assert all(peer == "first" or peer == f"peer{slot - 1}" for peer, slot in peers.items())
            if len(peers) == 301:
                break
        os.waitpid(pid, 0)
        reader.refresh()
        assert len(reader.peers()) == 301
        assert os.stat(path).st_size == (1 + reader.count) * SLOT_SIZE
    finally:
        reader.close()
        board.close()


def test_a_writer_killed_at_any_moment_leaves_a_board_that_the_next_one_mends(path: str) -> None:
    board = Scoreboard.create(path, ["msul1"])
    for _ in range(30):
        ready = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(ready[1], b"x")
            while True:
                board.write_child(0, CHILD)
        os.read(ready[0], 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for fd in ready:
            os.close(fd)
        assert board.read_child(0) in (None, CHILD, ChildRecord())
        board.write_child(0, CHILD)
        assert board.read_child(0) == CHILD
    board.close()


def test_without_any_memory_it_is_an_error_that_says_so(path: str) -> None:
    code = f"""
import resource
from lonc.errors import ScoreboardError
from lonc.system.scoreboard import Scoreboard
peers = [str(i) for i in range(20_000)]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20), -1))
try:
    Scoreboard.create({path!r}, peers)
except ScoreboardError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60, cwd=TREE
    )
    assert done.stdout.startswith("no memory for a scoreboard: ")
    assert not os.path.exists(path)
