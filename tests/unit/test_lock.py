"""The lock (promises P14, P15): real files, real locks, real processes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc.errors import AlreadyRunning, StartError
from lonc.system.files import SystemFiles
from lonc.system.lock import DaemonLock, is_alive, lock_holder, read_pid
from tests.unit.processes import TREE, Spawn, spawning

FILES = SystemFiles()
HOLD = """
import os, sys, time
from lonc.system.lock import DaemonLock
from lonc.system.files import SystemFiles
from lonc.errors import StartError
try:
    lock = DaemonLock.acquire(sys.argv[1], SystemFiles())
except StartError as error:
    print("no", error, flush=True)
    sys.exit(1)
print("held", os.getpid(), flush=True)
sys.stdin.read()
"""

@pytest.fixture
def spawn() -> Iterator[Spawn]:
    with spawning() as start:
        yield start


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lonc.lock")


def fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def put(path: str, content: str | bytes) -> None:
    Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())


def test_the_lock_is_a_file_of_ours_with_our_pid(path: str) -> None:
    lock = DaemonLock.acquire(path, FILES)
    assert Path(path).read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not os.get_inheritable(lock.fd)
    assert lock_holder(path, FILES) == os.getpid()
    lock.close()
    lock.close()
    assert lock.fd == -1
    assert lock_holder(path, FILES) == 0
    assert os.path.exists(path)


def test_old_text_is_overwritten_whole(path: str) -> None:
    put(path, "1234567890 and a long tail\n" * 50)
    DaemonLock.acquire(path, FILES).close()
    assert Path(path).read_text() == f"{os.getpid()}\n"


def test_a_second_one_is_told_who_has_it_at_once(path: str, spawn: Spawn) -> None:
    holder = spawn(sys.executable, "-c", HOLD, path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == f"held {holder.pid}\n"
    before, open_before = time.monotonic(), fds()
    with pytest.raises(AlreadyRunning, match=f"already running: process {holder.pid} holds {path}") as caught:
        DaemonLock.acquire(path, FILES)
    assert caught.value.holder == holder.pid
    assert time.monotonic() - before < 1.5  # a lock that a dead daemon's child holds is waited for 2 s
    put(path, "99999999\n")  # what stands in the file does not matter
    with pytest.raises(AlreadyRunning) as caught:
        DaemonLock.acquire(path, FILES)
    assert caught.value.holder == holder.pid
    assert fds() == open_before
    assert is_alive(holder.pid)
    holder.kill()
    DaemonLock.acquire(path, FILES).close()  # at once, though nobody has reaped it yet
    assert not is_alive(holder.pid)
    holder.wait()
    assert not is_alive(holder.pid)


def test_of_many_at_once_exactly_one_gets_it(path: str, spawn: Spawn) -> None:
    put(path, f"{os.getpid()}\n")  # stale, and alive: must not be named
    many = [spawn(sys.executable, "-c", HOLD, path) for _ in range(8)]
    lines = [process.stdout.readline() for process in many if process.stdout is not None]
    (held,) = [line for line in lines if line.startswith("held")]
    pid = held.split()[1]
    others = [line for line in lines if line != held]
    assert others == [f"no lonc is already running: process {pid} holds {path}\n"] * 7


def test_what_a_dead_daemons_child_holds_for_a_moment_is_waited_for(path: str) -> None:
    script = f"""
import os, time
from lonc.system.lock import DaemonLock
from lonc.system.files import SystemFiles
DaemonLock.acquire({path!r}, SystemFiles())
if os.fork() == 0:
    os.close(1)
    time.sleep(0.3)
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=TREE, stdout=subprocess.DEVNULL)
    before = time.monotonic()
    DaemonLock.acquire(path, FILES).close()
    assert time.monotonic() - before < 2


def test_odd_things_in_its_place_are_errors_that_name_it(path: str, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("precious")
    open_before = fds()

    def refused(match: str) -> None:
        with pytest.raises(StartError, match=f"{path}: the lock file cannot be used: {match}"):
            DaemonLock.acquire(path, FILES)

    os.symlink(foreign, path)
    refused("a symbolic link is not followed")
    os.unlink(path)
    os.link(foreign, path)
    refused("it has a second name")
    os.unlink(path)
    os.mkfifo(path)
    refused("not a regular file but a FIFO")
    os.unlink(path)
    os.mkdir(path)
    refused("Is a directory")
    os.rmdir(path)
    assert foreign.read_text() == "precious"
    assert fds() == open_before
    with pytest.raises(StartError, match="No such file"):
        DaemonLock.acquire(str(tmp_path / "missing" / "lonc.lock"), FILES)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make another user's file")
def test_another_users_lock_file_is_refused(path: str) -> None:
    put(path, "")
    os.chown(path, 12345, 12345)
    with pytest.raises(StartError, match="it belongs to user id 12345, not to us"):
        DaemonLock.acquire(path, FILES)


def test_adopting_a_held_lock(path: str) -> None:
    lock = DaemonLock.acquire(path, FILES)
    os.set_inheritable(lock.fd, True)
    open_before = fds()
    put(path, "0\n")
    adopted = DaemonLock.adopt(lock.fd, path, FILES)
    assert adopted.fd == lock.fd
    assert not os.get_inheritable(lock.fd)
    assert read_pid(FILES, path) == os.getpid()
    assert fds() == open_before
    adopted.close()


def test_a_made_up_descriptor_is_not_adopted(path: str, tmp_path: Path) -> None:
    put(path, "")
    unlocked = os.open(path, os.O_RDWR)
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_EX)
    open_before = fds()
    for fd in (unlocked, other, 999, -1):
        with pytest.raises(StartError, match=f"descriptor {fd} is not the held lock"):
            DaemonLock.adopt(fd, path, FILES)
    holder = DaemonLock.acquire(path, FILES)
    with pytest.raises(StartError, match="is not the held lock"):  # the file is right, the lock another's
        DaemonLock.adopt(unlocked, path, FILES)
    holder.close()
    os.unlink(path)
    with pytest.raises(StartError, match="is not the held lock"):
        DaemonLock.adopt(unlocked, path, FILES)
    assert fds() == open_before
    os.close(unlocked)
    os.close(other)


# Faults of the machine, through the seam


class Failing(SystemFiles):
    """The real calls, but the named one fails; or, for flock, the file is removed just before the first."""

    def __init__(self, call: str, number: int = errno.EIO) -> None:
        self.call = call
        self.number = number
        self.removed = ""

    def _fail(self, call: str) -> None:
        if call == self.call:
            raise OSError(self.number, os.strerror(self.number))

    def read(self, fd: int, n: int) -> bytes:
        self._fail("read")
        return super().read(fd, n)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        self._fail("pwrite")
        return super().pwrite(fd, data, offset)

    def flock(self, fd: int, operation: int) -> None:
        self._fail("flock")
        if self.call == "race" and not self.removed:
            self.removed = os.readlink(f"/proc/self/fd/{fd}")
            os.unlink(self.removed)
        super().flock(fd, operation)


def test_a_full_disk_does_not_keep_a_restart_from_its_own_lock(path: str) -> None:
    lock = DaemonLock.acquire(path, FILES)
    again = DaemonLock.adopt(lock.fd, path, Failing("pwrite", errno.ENOSPC))
    assert (again.fd, read_pid(FILES, path)) == (lock.fd, os.getpid())
    again.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_lock_whose_file_is_gone_is_taken_anew(path: str, replaced: bool) -> None:
    lock = DaemonLock.acquire(path, FILES)
    assert not lock.renew()
    os.unlink(path)
    if replaced:
        put(path, "")
    assert lock.renew()
    assert os.fstat(lock.fd).st_ino == os.stat(path).st_ino
    assert lock_holder(path, FILES) == os.getpid()
    open_now = fds()
    assert not lock.renew()
    assert fds() == open_now
    lock.close()


def test_a_lock_that_somebody_else_has_by_now_is_not_taken_anew(path: str, spawn: Spawn) -> None:
    lock = DaemonLock.acquire(path, FILES)
    os.unlink(path)
    other = spawn(sys.executable, "-c", HOLD, path)
    assert other.stdout is not None
    assert other.stdout.readline().startswith("held")
    held, open_before = lock.fd, fds()
    with pytest.raises(AlreadyRunning, match=f"process {other.pid} holds"):
        lock.renew()
    assert (lock.fd, fds()) == (held, open_before)
    lock.close()


def test_a_lock_file_that_is_removed_meanwhile_is_made_again(path: str) -> None:
    lock = DaemonLock.acquire(path, Failing("race"))
    assert os.fstat(lock.fd).st_ino == os.stat(path).st_ino
    lock.close()


@pytest.mark.parametrize(
    ("call", "number", "text"),
    [("pwrite", errno.ENOSPC, "cannot be written: No sp"), ("flock", errno.ENOLCK, "cannot be locked: No lo")],
)
def test_a_failing_call_is_told_and_leaks_nothing(path: str, call: str, number: int, text: str) -> None:
    open_before = fds()
    with pytest.raises(StartError, match=f"{path}: {text}"):
        DaemonLock.acquire(path, Failing(call, number))
    assert fds() == open_before
    DaemonLock.acquire(path, FILES).close()


def test_adopting_with_failing_locks_is_refused(path: str) -> None:
    lock = DaemonLock.acquire(path, FILES)
    os.mkdir(path + ".d")
    with pytest.raises(StartError):
        DaemonLock.adopt(lock.fd, path, Failing("flock", errno.ENOLCK))
    with pytest.raises(StartError, match="is not the held lock"):
        DaemonLock.adopt(lock.fd, path + ".d", FILES)
    lock.close()


def test_a_lock_file_that_cannot_be_read_has_no_known_holder(path: str) -> None:
    lock = DaemonLock.acquire(path, FILES)
    open_before = fds()
    assert lock_holder(path, Failing("read")) == 0
    assert lock_holder(path + ".missing", FILES) == 0
    assert fds() == open_before
    lock.close()


def test_a_lock_that_only_orphans_hold_is_not_waited_for_without_end(path: str, spawn: Spawn) -> None:
    script = f"""
import os, sys, time
from lonc.system.lock import DaemonLock
from lonc.system.files import SystemFiles
DaemonLock.acquire({path!r}, SystemFiles())
if os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
sys.stdin.read()
"""
    process = spawn(sys.executable, "-c", script)
    assert process.stdout is not None
    assert process.stdin is not None
    int(process.stdout.readline())
    with pytest.raises(AlreadyRunning, match="named in it is gone") as caught:
        DaemonLock.acquire(path, FILES)
    assert caught.value.holder == 0
    process.stdin.close()  # ends the orphan
    DaemonLock.acquire(path, FILES).close()
