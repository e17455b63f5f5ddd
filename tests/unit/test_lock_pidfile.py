"""The pid file (promises P15, P16, P29): whole or absent, and whatever stands in its place is no obstacle."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc.errors import StartError
from lonc.system.files import SystemFiles
from lonc.system.lock import foreign_holder, read_pid, remove_pid_file, write_pid_file
from tests.unit.processes import TREE, Spawn, spawning

FILES = SystemFiles()


def put(path: str, content: str | bytes) -> None:
    Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    with spawning() as start:
        yield start


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


@pytest.mark.parametrize("before", [b"", b"4711\n"])
def test_a_pid_file_that_cannot_be_written_is_the_old_one_or_none(pid_path: str, before: bytes) -> None:
    """No file of this process may have a byte more: what is written in place is empty then, or cut short (P16)."""
    if before:
        put(pid_path, before)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(StartError, match="cannot be written: File too large"):
            write_pid_file(FILES, pid_path, 12)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    folder = Path(pid_path).parent
    assert [path.read_bytes() for path in folder.iterdir()] == ([before] if before else [])


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
        case "own pid and more":
            put(path, f"{os.getpid()} x\n")
        case _:
            put(path, kind)


ODD = ["fifo", "directory", "symlink", "dangling", "huge", "empty", "binary", "-1\n", "0\n", "1\n", "junk",
       "99999999999999999999\n", "2147483647\n", "4294967297\n", "own pid and more"]  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_whatever_stands_there_is_no_obstacle(kind: str, pid_path: str, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text(f"{os.getppid()}\n")
    make_odd(kind, pid_path, foreign)
    before = time.monotonic()
    assert foreign_holder(FILES, pid_path) == 0
    assert not remove_pid_file(FILES, pid_path, os.getppid())
    write_pid_file(FILES, pid_path, 4711)
    assert time.monotonic() - before < 20  # a FIFO that is opened would be waited for without end
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
    deadline = time.monotonic() + 30
    while not Path(f"/proc/{process.pid}/cmdline").read_bytes():  # for a moment of its exec it has none
        assert time.monotonic() < deadline
    return foreign_holder(FILES, pid_path), process.pid


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


PERL = shutil.which("perl")
TAIL = shutil.which("tail")


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
    deadline = time.monotonic() + 30
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
    # one that stays: of a program that has ended at once there is no command line to read
    assert named(spawn, pid_path, "editor", "-f", str(tmp_path / "lonc"), executable=TAIL)[0] == 0
    assert named(spawn, pid_path, "loncx", "60", executable="/bin/sleep")[0] == 0


class Failing(SystemFiles):
    """The real calls, but reading fails."""

    def read(self, fd: int, n: int) -> bytes:
        raise OSError(fd, n)


class Stuck(SystemFiles):
    """The real calls, but removing fails."""

    def unlink(self, path: str) -> None:
        raise OSError(0, path)


def test_what_cannot_be_read_or_removed_is_as_if_it_were_not_there(pid_path: str) -> None:
    put(pid_path, "4711\n")
    open_before = len(os.listdir("/proc/self/fd"))
    assert read_pid(Failing(), pid_path) == 0
    assert read_pid(FILES, "nul\0") == 0
    assert not remove_pid_file(Stuck(), pid_path, 4711)
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_relative_script_is_looked_for_in_its_own_directory(
    pid_path: str, tmp_path: Path, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "lonc"
    script.write_text("import sys; print('up', flush=True); sys.stdin.read()")
    relative = os.path.relpath(script, TREE)
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert named(spawn, pid_path, sys.executable, relative)[0] == 0
