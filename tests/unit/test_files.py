"""Files: never through a link, never waiting in a FIFO, replaced whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

import pytest

from lonc.system.files import SystemFiles, kind_of, open_regular, read_all, replace_file, sync_directory, write_all
from tests.fakes.faulty_files import FaultyFiles

FILES = SystemFiles()
APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND


def test_open_never_follows_a_link_and_never_survives_exec(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError, match="symbolic links") as caught:
        FILES.open(str(tmp_path / "link"), os.O_RDONLY)
    assert caught.value.errno == errno.ELOOP
    fd = FILES.open(str(tmp_path / "real"), os.O_RDONLY)
    try:
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    finally:
        FILES.close(fd)


def test_open_below_a_directory_descriptor(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    folder = FILES.open(str(tmp_path), os.O_RDONLY | os.O_DIRECTORY)
    fd = FILES.open("file", os.O_RDONLY, dir_fd=folder)
    assert read_all(FILES, fd, 100) == b"text"
    FILES.close(fd)
    FILES.close(folder)


def test_the_calls_are_the_machines(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    fd = FILES.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    assert stat.S_IMODE(FILES.fstat(fd).st_mode) == 0o640
    write_all(FILES, fd, b"hello")
    assert FILES.pwrite(fd, b"J", 0) == 1
    assert FILES.pread(fd, 10, 0) == b"Jello"
    FILES.ftruncate(fd, 2)
    FILES.fallocate(fd, 0, 100)
    assert FILES.lstat(path).st_size == 100
    FILES.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    other = FILES.open(path, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        FILES.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    FILES.close(other)
    FILES.close(fd)
    FILES.mkdir(str(tmp_path / "dir"), 0o700)
    FILES.rename(path, str(tmp_path / "dir" / "moved"))
    assert FILES.listdir(str(tmp_path / "dir")) == ["moved"]
    FILES.unlink(str(tmp_path / "dir" / "moved"))
    assert FILES.listdir(str(tmp_path / "dir")) == []


@pytest.mark.parametrize("kind", ["directory", "fifo", "link", "socket", "device"])
def test_open_regular_refuses_everything_else_at_once(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "place"
    listener = socket.socket(socket.AF_UNIX)
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/null")
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)  # the whole path may be too long for a socket
        listener.bind("place")
    before = os.listdir("/proc/self/fd")
    with listener, pytest.raises(OSError, match=r".") as caught:
        open_regular(FILES, "/dev/null" if kind == "device" else str(path), APPEND)
    if kind in ("fifo", "device"):
        assert "not a regular file but a" in str(caught.value)
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def test_open_regular_takes_a_regular_file(tmp_path: Path) -> None:
    fd = open_regular(FILES, str(tmp_path / "file"), APPEND, 0o640)
    FILES.write(fd, b"x")
    FILES.close(fd)
    assert (tmp_path / "file").read_bytes() == b"x"


def test_open_regular_gives_the_descriptor_back_when_it_cannot_look(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    files = FaultyFiles(errno.EIO, {2})  # open, fstat
    with pytest.raises(OSError, match="Input/output"):
        open_regular(files, str(tmp_path / "file"), APPEND)
    assert len(os.listdir("/proc/self/fd")) == before


def test_kinds_have_names() -> None:
    assert kind_of(stat.S_IFIFO) == "a FIFO"
    assert kind_of(stat.S_IFLNK | 0o777) == "a symbolic link"
    assert kind_of(0) == "something unknown"


class Slow(SystemFiles):
    """Writes and reads one byte a call; stuck: writes nothing and says so."""

    stuck = False

    def write(self, fd: int, data: bytes) -> int:
        """Write one byte."""
        return 0 if self.stuck else super().write(fd, data[:1])

    def read(self, fd: int, n: int) -> bytes:
        """Read one byte."""
        return super().read(fd, min(n, 1))


def test_write_all_and_read_all_go_on_until_done(tmp_path: Path) -> None:
    slow = Slow()
    fd = slow.open(str(tmp_path / "file"), os.O_RDWR | os.O_CREAT)
    write_all(slow, fd, b"twelve bytes")
    os.lseek(fd, 0, os.SEEK_SET)
    assert read_all(slow, fd, 6) == b"twelve"
    assert read_all(slow, fd, 100) == b" bytes"
    slow.stuck = True
    with pytest.raises(OSError, match="no progress"):
        write_all(slow, fd, b"x")
    slow.close(fd)


@pytest.mark.parametrize("sync", [False, True])
def test_replace_file_gives_name_mode_and_text(tmp_path: Path, sync: bool) -> None:
    target = tmp_path / "target"
    other = tmp_path / "other"
    other.write_bytes(b"not ours")
    target.symlink_to(other)
    (tmp_path / f".target.{os.getpid()}").write_bytes(b"left by a killed process")
    before = os.umask(0o022)
    try:
        replace_file(FILES, str(target), b"12345\n", 0o644, sync=sync)
    finally:
        os.umask(before)
    assert not target.is_symlink()
    assert target.read_bytes() == b"12345\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert other.read_bytes() == b"not ours"
    assert sorted(os.listdir(tmp_path)) == ["other", "target"]


def test_replace_file_fails_whole_at_every_call(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    counting = FaultyFiles()
    replace_file(counting, str(tmp_path / "other"), b"new", 0o644, sync=True)
    renamed = counting.calls.index("rename") + 1
    assert len(counting.calls) > renamed  # the directory is synced as well
    for n in range(1, len(counting.calls) + 1):
        target.write_bytes(b"old")
        with pytest.raises(OSError, match="No space"):
            replace_file(FaultyFiles(failing={n}), str(target), b"new", 0o644, sync=True)
        assert target.read_bytes() == (b"old" if n <= renamed else b"new")
        assert sorted(os.listdir(tmp_path)) == ["other", "target"]


def test_replace_file_reports_the_first_error(tmp_path: Path) -> None:
    files = FaultyFiles(failing={2})
    files.only = frozenset({"open", "write", "unlink"})
    files.failing = {2, 3}
    with pytest.raises(OSError, match="No space"):
        replace_file(files, str(tmp_path / "target"), b"new", 0o644, sync=False)
    assert files.calls == ["open", "write", "unlink"]


def test_a_directory_may_be_a_link_that_an_administrator_made(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "logs").symlink_to("real")
    sync_directory(FILES, str(tmp_path / "logs"))
    replace_file(FILES, str(tmp_path / "logs" / "pid"), b"1\n", 0o644, sync=True)
    assert (tmp_path / "real" / "pid").read_bytes() == b"1\n"
