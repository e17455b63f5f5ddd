"""Lines at the end of a file: whole or not at all, durable, one writer at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from lonc.lond.store import Owner, StoreError
from lonc.lond.store.appending import append_activity, append_line, lock
from lonc.system.files import SystemFiles
from tests.fakes.faulty_files import FaultyFiles

FILES = SystemFiles()


def test_lines_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert append_line(FILES, str(path), b"one") == 0
    assert append_line(FILES, str(path), b"two") == 4
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_half_line_of_a_crash_stays_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"one\nha")
    append_line(FILES, str(tmp_path / "log"), b"two")
    assert (tmp_path / "log").read_bytes() == b"one\nha\ntwo\n"


@pytest.mark.parametrize("before", [b"", b"one\n"])
@pytest.mark.parametrize("short", [None, 2])
@pytest.mark.parametrize("number", range(1, 9))
def test_an_error_leaves_the_file_as_it_was(tmp_path: Path, number: int, short: int | None, before: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(before)
    files = FaultyFiles(failing={number})
    files.short = short
    try:
        append_line(files, str(path), b"two")
    except OSError:
        assert path.read_bytes() == before
    else:
        assert path.read_bytes() == before + b"two\n"


def test_a_name_is_on_the_disk_too(tmp_path: Path) -> None:
    files = FaultyFiles()
    files.only = frozenset(["fsync"])
    append_line(files, str(tmp_path / "log"), b"one")
    assert len(files.calls) == 2  # the file and its directory
    append_line(files, str(tmp_path / "log"), b"two")
    assert len(files.calls) == 3


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / "log").symlink_to("other")
    with pytest.raises(OSError, match="symbolic") as caught:
        append_line(FILES, str(tmp_path / "log"), b"one")
    assert caught.value.errno == errno.ELOOP
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="FIFO"):
        append_line(FILES, str(tmp_path / "fifo"), b"one")
    assert (tmp_path / "other").read_bytes() == b""


def test_a_lock_is_not_waited_for_without_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"")
    one = os.open(tmp_path / "log", os.O_RDWR)
    other = os.open(tmp_path / "log", os.O_RDWR)
    lock(FILES, one, fcntl.LOCK_EX)
    with pytest.raises(BlockingIOError):
        lock(FILES, other, fcntl.LOCK_EX, limit_s=0.05)
    os.close(one)
    lock(FILES, other, fcntl.LOCK_EX, limit_s=0)
    os.close(other)


def test_the_activity_log_lies_where_the_original_has_it(tmp_path: Path) -> None:
    append_activity(FILES, str(tmp_path), Owner(b"msu", b"al"), b"1:msul1:x")
    path = tmp_path / "msu/a/l/_/al/activity.log"
    assert path.read_bytes() == b"1:msul1:x\n"
    path.unlink()
    path.symlink_to(tmp_path / "other")
    with pytest.raises(StoreError, match=r"activity\.log cannot be written"):
        append_activity(FILES, str(tmp_path), Owner(b"msu", b"al"), b"x")
    assert not (tmp_path / "other").exists()
