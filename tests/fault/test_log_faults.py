"""The logs under faults (rows 6, 8, 10): nothing raises, nothing waits, what is lost is counted and told."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lonc.system.files import SystemFiles
from lonc.system.logs import Log, PermLog, Severity
from tests.fakes.faulty_files import FaultyFiles, HandClock
from tests.fault.writers import writer


class Told:
    """A stderr that can be read, without waiting."""

    def __init__(self) -> None:
        self.reader, self.fd = os.pipe()
        os.set_blocking(self.reader, False)

    def lines(self) -> list[str]:
        try:
            return os.read(self.reader, 1 << 16).decode().splitlines()
        except BlockingIOError:
            return []


@pytest.fixture
def told() -> Iterator[Told]:
    pipe = Told()
    yield pipe
    os.close(pipe.reader)
    os.close(pipe.fd)


def new_log(path: Path, files: SystemFiles, told: Told | None, clock: HandClock | None = None) -> Log:
    fd = told.fd if told else -1
    if told and isinstance(files, FaultyFiles):
        files.exempt = {told.fd}
    return Log(str(path), files=files, clock=clock or HandClock(), who="PARENT", stderr_fd=fd)


def messages(path: Path) -> list[str]:
    """Return the messages; every line must have the whole form."""
    found = []
    for line in path.read_text().splitlines():
        match = re.fullmatch(r"\w{3} [^(]* \(\d+\) \[\w+\] \[\w{3} .*?\]: (.*)", line)
        assert match, line
        found.append(match[1])
    return found


# --- a disk that says no ----------------------------------------------------------------------------------


def lost_line(count: int, reason: str) -> str:
    return f'<font color="blue">WARNING: {count} log messages were lost: log cannot be written: {reason}</font>'


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EMFILE, errno.EDQUOT])
def test_what_is_lost_is_counted_and_told_once(tmp_path: Path, told: Told, code: int) -> None:
    path = tmp_path / "lonc.log"
    files = FaultyFiles(code)
    log = new_log(path, files, told)
    log.write("before")
    files.broken = True
    for i in range(7):
        log.write(f"lost {i}", Severity.CRITICAL)
        assert log.last_line.endswith(f"CRITICAL: lost {i}")
    reason = os.strerror(code)
    assert log.lost == 7
    assert log.trouble == f"log cannot be written: {reason}"
    assert told.lines() == [f"lonc: log cannot be written: {reason}"]
    files.broken = False
    log.write("after")
    log.write("later")
    assert messages(path) == ["before", lost_line(7, reason), "after", "later"]
    assert (log.lost, log.trouble) == (7, "")
    files.broken = True
    log.write("again")
    assert told.lines() == []  # a disk that comes and goes is not told each time
    assert log.lost == 8


def test_another_failure_much_later_is_told_again(tmp_path: Path, told: Told) -> None:
    clock, files = HandClock(), FaultyFiles()
    log = new_log(tmp_path / "lonc.log", files, told, clock)
    for _ in range(2):
        files.broken = True
        log.write("lost")
        assert len(told.lines()) == 1
        files.broken = False
        log.write("works")
        clock.now += 601
        clock.at -= 10 * 365 * 86400  # the wall clock has no say in it


def test_one_long_failure_is_told_once(tmp_path: Path, told: Told) -> None:
    clock, files = HandClock(), FaultyFiles()
    files.broken = True
    log = new_log(tmp_path / "lonc.log", files, told, clock)
    for _ in range(5):
        log.write("lost")
        clock.pass_by(3600)
    assert len(told.lines()) == 1


@pytest.mark.parametrize("held", [False, True])
def test_whatever_call_fails_nothing_is_lost_uncounted(tmp_path: Path, told: Told, held: bool) -> None:
    def write(log: Log, count: int) -> None:
        if held:
            log.hold()
        for i in range(count):
            log.write(f"message {i}")

    counting = FaultyFiles()
    write(new_log(tmp_path / "counted", counting, None), 1)
    write(new_log(tmp_path / "counted", counting, None), 2)
    for n in range(1, len(counting.calls) + 1):
        path = tmp_path / f"log{n}"
        files = FaultyFiles(failing={n})
        log = new_log(path, files, told)
        write(log, 4)
        # the look at the name of a file that is kept open may fail: it is opened anew
        assert log.lost == (0 if files.calls[n - 1] == "lstat" else 1)
        kept = [text for text in messages(path) if text.startswith("message")]
        assert len(kept) == 4 - log.lost
        assert messages(path).count(lost_line(1, "No space left on device")) == log.lost
        log.release()


@pytest.mark.parametrize("short", [1, 30, 75])
@pytest.mark.parametrize("newline_too", [False, True])
def test_a_line_torn_by_a_full_disk_is_never_glued_to_the_next(
    tmp_path: Path, short: int, newline_too: bool
) -> None:
    path = tmp_path / "lonc.log"
    files = FaultyFiles(failing={2} if newline_too else {2, 3})
    files.only, files.short = frozenset({"write"}), short
    log = new_log(path, files, None)
    log.write("one")
    log.write("torn" * 20)
    # the next line may well be that of another process
    other = new_log(path, SystemFiles(), None)
    other.write("two")
    log.write("three")
    lines = path.read_text().splitlines()
    torn = [line for line in lines if not re.search("]: (one|two|three|<font.*lost.*)$", line)]
    reason = f"{path}: only {short} of {len(lines[0]) + 78} bytes could be written"
    whole = [line.rsplit("]: ", 1)[-1] for line in lines if line not in torn]
    assert whole == ["one", "two", lost_line(1, reason), "three"]
    assert len(torn) == 1
    assert len(torn[0]) == short
    assert log.lost == 1


def test_a_permanent_log_that_cannot_be_written_is_told_in_the_log(tmp_path: Path) -> None:
    log = new_log(tmp_path / "lonc.log", SystemFiles(), None)
    files = FaultyFiles()
    path = tmp_path / "lonnet.perm.log"
    perm = PermLog(str(path), files=files, clock=HandClock(), log=log)
    files.broken = True
    for _ in range(3):
        perm.sent("msul1", "put:x")
    files.broken = False
    perm.sent("msul1", "put:y")
    perm.sent("msul1", "put:z")
    assert [line.split(":")[3:5] for line in path.read_text().splitlines()] == [["put", "y"], ["put", "z"]]
    assert perm.lost == 3
    assert messages(tmp_path / "lonc.log") == [
        '<font color="blue">WARNING: Permanent log cannot be written: No space left on device</font>',
        '<font color="blue">WARNING: Permanent log works again: 3 records were lost</font>',
    ]


def test_a_permanent_log_without_a_log_tells_stderr(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "missing" / "lonnet.perm.log"
    perm = PermLog(str(path), files=SystemFiles(), clock=HandClock(), stderr_fd=told.fd)
    perm.failed("msul1", "put:x")
    perm.failed("msul1", "put:x")
    assert told.lines() == [f"lonc: Permanent log cannot be written: {path}: No such file or directory"]


# --- stderr that is no help -------------------------------------------------------------------------------


def test_a_stderr_that_nobody_empties_stops_nobody(tmp_path: Path, told: Told) -> None:
    size = fcntl.fcntl(told.fd, fcntl.F_SETPIPE_SZ, 4096)
    os.write(told.fd, b"x" * size)  # it is full
    log = new_log(tmp_path / "missing" / "lonc.log", SystemFiles(), told)
    done = threading.Event()

    def write() -> None:
        log.write("x")
        done.set()

    threading.Thread(target=write, daemon=True).start()
    assert done.wait(5)
    assert log.lost == 1


@pytest.mark.parametrize("state", ["closed", "no number", "reader gone"])
def test_a_stderr_that_is_gone_is_no_error(tmp_path: Path, state: str) -> None:
    reader, fd = os.pipe()
    os.close(reader)
    if state == "closed":
        os.close(fd)
    log = Log(
        str(tmp_path / "missing" / "x"), files=SystemFiles(), clock=HandClock(), who="SHELL",
        stderr_fd=-1 if state == "no number" else fd,
    )  # fmt: skip
    log.write("lost")
    assert log.lost == 1
    if state != "closed":
        os.close(fd)


# --- what stands at the name ------------------------------------------------------------------------------


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "created-through-the-link")


def _link(path: Path) -> None:
    (path.parent / "victim").write_text("precious")
    path.symlink_to("victim")


def _nothing(path: Path) -> None:
    path.parent.rmdir()


def _socket(path: Path) -> None:
    here = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "directory": (Path.mkdir, "Is a directory"),
    "FIFO": (_fifo, "not a regular file but a FIFO"),
    "link": (_link, "Too many levels of symbolic links"),
    "dangling link": (_dangling, "Too many levels of symbolic links"),
    "socket": (_socket, "No such device or address"),
    "no directory": (_nothing, "No such file or directory"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_log_is_named_and_left_alone(tmp_path: Path, told: Told, kind: str) -> None:
    make, reason = KINDS[kind]
    path = tmp_path / "logs" / "lonc.log"
    path.parent.mkdir()
    make(path)
    started = time.monotonic()
    log = new_log(path, SystemFiles(), told)
    perm = PermLog(str(path), files=SystemFiles(), clock=HandClock(), stderr_fd=told.fd)
    log.write("x")
    log.write("y")
    perm.sent("msul1", "put")
    assert time.monotonic() - started < 2
    assert told.lines() == [
        f"lonc: log cannot be written: {path}: {reason}",
        f"lonc: Permanent log cannot be written: {path}: {reason}",
    ]
    assert not (tmp_path / "logs" / "created-through-the-link").exists()
    if kind == "link":
        assert (path.parent / "victim").read_text() == "precious"
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    log.write("z")
    assert messages(path) == [lost_line(2, f"{path}: {reason}"), "z"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as a user who may not write")
def test_a_directory_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    logs = Path("/tmp") / f"lonc-logs-{os.getpid()}"  # where another user can look
    logs.mkdir(mode=0o755)
    try:
        out, err = writer(logs / "lonc.log", "PARENT", 3, 0.0, "nobody").communicate(timeout=30)
        assert out == "3\n"
        assert err == f"lonc: log cannot be written: {logs}/lonc.log: Permission denied\n"
    finally:
        shutil.rmtree(logs)


# --- the clock --------------------------------------------------------------------------------------------


def test_clock_jumps_of_ten_years_change_only_the_text(tmp_path: Path) -> None:
    clock = HandClock()
    log = new_log(tmp_path / "lonc.log", SystemFiles(), None, clock)
    perm = PermLog(str(tmp_path / "perm"), files=SystemFiles(), clock=clock)
    for years in (10, -20, 10):
        clock.at += years * 365.25 * 86400
        log.write("x")
        perm.sent("msul1", "put")
    years_told = [line.split()[4] for line in (tmp_path / "lonc.log").read_text().splitlines()]
    assert years_told == ["2012", "1992", "2002"]
    assert len((tmp_path / "perm").read_text().splitlines()) == 3
    assert log.lost == perm.lost == 0
