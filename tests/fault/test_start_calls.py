"""What a start and a restart do with files, at every call: one that fails, and a kill before it (rows 1, 7, 16).

Lock, pid file and the hand-over of the lock, in this process through the seam of lonc.system.files; the whole
daemon under strace is in test_strace_errors.py and test_strace_parent_kills.py.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lonc.errors import LoncError, StartError
from lonc.system import lock
from lonc.system.files import SystemFiles
from lonc.system.lock import DaemonLock, read_pid, write_pid_file
from tests.proof.tally import Tally
from tests.unit.delayed_ground import Crash, FaultyFiles

CODES = [errno.EMFILE, errno.ENOSPC, errno.EIO]
MOST_CALLS = 40


def crash() -> None:
    raise Crash


def failing(code: int) -> Callable[[], None]:
    """Return what fails a call in this way; 0: what kills before it."""

    def fail() -> None:
        raise OSError(code, os.strerror(code))

    return fail if code else crash


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def each_call(body: Callable[[FaultyFiles], None], code: int, tally: Tally) -> int:
    """Run body with a fault at its first, second... call until it has no more; return how many it has."""
    for number in range(MOST_CALLS):
        files = FaultyFiles(number, failing(code))
        try:
            body(files)
        except (LoncError, OSError, Crash):
            assert files.hit, "it failed by itself"
        files.die()
        if not files.hit:
            return number
        tally.add(inputs=1, faults=1)
    raise AssertionError("never reached the end")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lonc.lock")


@pytest.mark.parametrize("code", [0, *CODES])
def test_a_lock_that_was_not_had_is_had_next_time(path: str, tally: Tally, code: int) -> None:
    before = descriptors()

    def body(files: FaultyFiles) -> None:
        held = DaemonLock.acquire(path, files)
        held.close()

    def take(files: FaultyFiles) -> None:
        try:
            body(files)
        finally:
            files.die()
            plain = DaemonLock.acquire(path, SystemFiles())
            assert read_pid(SystemFiles(), path) == os.getpid()
            plain.close()

    assert each_call(take, code, tally) >= 7
    assert descriptors() == before


@pytest.mark.parametrize("code", [0, *CODES])
def test_the_pid_file_is_whole_or_not_there(tmp_path: Path, tally: Tally, code: int) -> None:
    place = tmp_path / "lonc.pid"

    def body(files: FaultyFiles) -> None:
        place.unlink(missing_ok=True)
        try:
            write_pid_file(files, str(place), 4711)
        finally:
            assert not place.exists() or place.read_text() == "4711\n"
            write_pid_file(SystemFiles(), str(place), 4712)
            assert place.read_text() == "4712\n"
            assert os.listdir(tmp_path) == ["lonc.pid"]

    assert each_call(body, code, tally) >= 4


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_restart_waits_for_a_descriptor(path: str, tally: Tally, code: int) -> None:
    """The first three attempts to open anything fail: the lock that came over is taken all the same."""
    held = DaemonLock.acquire(path, SystemFiles())

    class Short(SystemFiles):
        left = 3

        def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
            self.left -= 1
            if self.left >= 0:
                raise OSError(code, os.strerror(code))
            return super().open(path, flags, mode, dir_fd)

    adopted = DaemonLock.adopt(held.fd, path, Short())
    assert adopted.fd == held.fd
    adopted.close()
    tally.add(inputs=1, faults=3)


@pytest.mark.parametrize("code", [errno.ENFILE, errno.EIO, errno.EACCES])
def test_a_restart_does_not_wait_for_ever(
    path: str, tally: Tally, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_TROUBLE_WAIT_S", 0.2)
    held = DaemonLock.acquire(path, SystemFiles())

    class Broken(SystemFiles):
        def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
            raise OSError(code, os.strerror(code))

    with pytest.raises(StartError, match="is not the held lock"):
        DaemonLock.adopt(held.fd, path, Broken())
    held.close()
    tally.add(inputs=1, faults=1)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOLCK])
def test_a_handed_over_lock_is_taken_or_refused_and_nothing_leaks(path: str, tally: Tally, code: int) -> None:
    held = DaemonLock.acquire(path, SystemFiles())
    before = descriptors()

    def body(files: FaultyFiles) -> None:
        assert DaemonLock.adopt(held.fd, path, files).fd == held.fd

    assert each_call(body, code, tally) >= 6
    assert descriptors() == before
    with pytest.raises(LoncError, match="already"):  # it was held all the time
        DaemonLock.acquire(path, SystemFiles())
    held.close()
