"""The lock and the pid file (promises P14 to P16, P29): real files, real locks, real processes."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lonc.errors import AlreadyRunning, StartError
from lonc.system.files import SystemFiles
from lonc.system.lock import (
    DaemonLock,
    foreign_holder,
    lock_holder,
    read_pid,
    remove_pid_file,
    write_pid_file,
)

FILES = SystemFiles()
TREE = Path(__file__).parents[2]
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

Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    started: list[subprocess.Popen[str]] = []

    def start(*argv: str, executable: str | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            argv, executable=executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd=TREE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


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
    assert time.monotonic() - before < 0.5
    put(path, "99999999\n")  # what stands in the file does not matter
    with pytest.raises(AlreadyRunning) as caught:
        DaemonLock.acquire(path, FILES)
    assert caught.value.holder == holder.pid
    assert fds() == open_before
    holder.kill()
    holder.wait()
    DaemonLock.acquire(path, FILES).close()


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


# The pid file


@pytest.fixture
def pid_path(tmp_path: Path) -> str:
    return str(tmp_path / "lonc.pid")


def test_the_pid_file_is_whole_and_readable_by_all(pid_path: str) -> None:
    mask = os.umask(0o022)
    try:
        write_pid_file(FILES, pid_path, 4711)
    finally:
        os.umask(mask)
    assert Path(pid_path).read_bytes() == b"4711\n"
    assert stat.S_IMODE(os.stat(pid_path).st_mode) == 0o644
    assert os.listdir(os.path.dirname(pid_path)) == ["lonc.pid"]
    assert not remove_pid_file(FILES, pid_path, 4712)
    assert remove_pid_file(FILES, pid_path, 4711)
    assert not remove_pid_file(FILES, pid_path, 4711)


def make_odd(kind: str, path: str, foreign: Path) -> None:
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            os.mkdir(path)
            put(f"{path}/inside", "x")
        case "symlink":
            os.symlink(foreign, path)
        case "dangling":
            os.symlink("nowhere", path)
        case "huge":
            with open(path, "wb") as file:
                file.truncate(1 << 30)
        case "empty":
            put(path, "")
        case "binary":
            put(path, bytes(range(256)))
        case _:
            put(path, kind)


ODD = ["fifo", "directory", "symlink", "dangling", "huge", "empty", "binary", "-1\n", "0\n", "1\n", "junk",
       "99999999999999999999\n", "2147483647\n", "4294967297\n", f"{os.getpid()} x\n"]  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_whatever_stands_there_is_no_obstacle(kind: str, pid_path: str, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text(f"{os.getppid()}\n")
    make_odd(kind, pid_path, foreign)
    before = time.monotonic()
    assert foreign_holder(FILES, pid_path) == 0
    assert not remove_pid_file(FILES, pid_path, os.getppid())
    write_pid_file(FILES, pid_path, 4711)
    assert time.monotonic() - before < 1
    assert Path(pid_path).read_bytes() == b"4711\n"
    assert not os.path.islink(pid_path)
    assert foreign.read_text() == f"{os.getppid()}\n"
    if kind == "directory":  # kept, beside it
        (aside,) = [name for name in os.listdir(tmp_path) if name.startswith("lonc.pid.moved-")]
        assert (tmp_path / aside / "inside").read_text() == "x"


def test_a_pid_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="the pid file cannot be written: No such file"):
        write_pid_file(FILES, str(tmp_path / "missing" / "lonc.pid"), 1)


def named(spawn: Spawn, pid_path: str, *argv: str, executable: str | None = None) -> tuple[int, int]:
    """Start a process, put its pid into the pid file, return (what was found, its pid)."""
    process = spawn(*argv, executable=executable)
    put(pid_path, f"{process.pid}\n")
    assert process.stdout is not None
    if argv[0] != "sleep" and executable is None:
        assert process.stdout.readline() == "up\n"
    return foreign_holder(FILES, pid_path), process.pid


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


PERL = shutil.which("perl")


@pytest.mark.skipif(PERL is None, reason="perl is not installed")
@pytest.mark.parametrize("name", ["lonc", "loncnew"])
def test_a_living_original_is_respected(name: str, pid_path: str, tmp_path: Path, spawn: Spawn) -> None:
    script = tmp_path / name
    script.write_text("$| = 1; print qq(up\\n); <STDIN>;")
    assert PERL is not None
    found, pid = named(spawn, pid_path, PERL, "-w", str(script))
    assert found == pid
    script.write_text(f"$0 = '{name}: Parent keeping the flock'; $| = 1; print qq(up\\n); <STDIN>;")
    found, pid = named(spawn, pid_path, PERL, str(script))
    assert found == pid
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while not is_zombie(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert foreign_holder(FILES, pid_path) == 0  # a zombie serves nobody


def test_a_title_or_a_python_script_of_that_name_counts_too(
    pid_path: str, tmp_path: Path, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, pid = named(spawn, pid_path, "lonc: Parent keeping the flock", "60", executable="/bin/sleep")
    assert found == pid
    script = tmp_path / "lonc"
    script.write_text("import sys; print('up', flush=True); sys.stdin.read()")
    found, pid = named(spawn, pid_path, sys.executable, str(script))
    assert found == pid
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert foreign_holder(FILES, pid_path) == 0  # another start of this very program


def test_strangers_are_no_obstacle(pid_path: str, tmp_path: Path, spawn: Spawn) -> None:
    (tmp_path / "lonc").write_text("")
    assert named(spawn, pid_path, "sleep", "60")[0] == 0
    assert named(spawn, pid_path, "editor", "60", str(tmp_path / "lonc"), executable="/bin/sleep")[0] == 0
    assert named(spawn, pid_path, "loncx", "60", executable="/bin/sleep")[0] == 0
