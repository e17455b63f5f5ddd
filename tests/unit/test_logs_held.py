"""Log files that are kept open while many lines come: the calls, the name that counts, and the end of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lonc.system.files import SystemFiles
from lonc.system.logs import Log, PermLog
from tests.fakes.faulty_files import FaultyFiles, HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def log(tmp_path: Path, clock: HandClock) -> Log:
    return Log(str(tmp_path / "lonc.log"), files=SystemFiles(), clock=clock, who="msul1", stderr_fd=-1)


def lines(tmp_path: Path, name: str = "lonc.log") -> list[str]:
    return (tmp_path / name).read_text().splitlines(keepends=True)


def test_a_log_that_is_kept_open_is_written_with_three_calls(tmp_path: Path, clock: HandClock) -> None:
    files = FaultyFiles()
    log = Log(str(tmp_path / "lonc.log"), files=files, clock=clock, who="msul1", stderr_fd=-1)
    log.hold()
    log.write("one")
    files.calls.clear()
    log.write("two")
    assert files.calls == ["lstat", "pread", "write"]
    log.release()
    files.calls.clear()
    log.write("three")
    assert files.calls == ["open", "fstat", "pread", "write"]
    assert [line.split("]: ")[1] for line in lines(tmp_path)] == ["one\n", "two\n", "three\n"]


def test_a_log_that_was_kept_open_is_let_go(tmp_path: Path, log: Log, clock: HandClock) -> None:
    perm = PermLog(str(tmp_path / "lonnet.perm.log"), files=SystemFiles(), clock=clock, stderr_fd=-1)
    before = os.listdir("/proc/self/fd")
    for _ in range(2):
        log.hold()
        perm.hold()
        log.write("x")
        perm.sent("msul1", "put")
        assert len(os.listdir("/proc/self/fd")) == len(before) + 2
        log.release()
        perm.release()
        assert len(os.listdir("/proc/self/fd")) == len(before)
    log.release()


def test_a_log_kept_open_follows_its_name(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "lonc.log"
    log.hold()
    log.write("one")
    path.rename(tmp_path / "lonc.log.1")
    log.write("two")
    (tmp_path / "other").write_text("")
    (tmp_path / "other").rename(path)
    log.write("three")
    os.truncate(path, 0)
    log.write("four")
    path.unlink()
    path.symlink_to("victim")
    log.write("lost")
    path.unlink()
    log.write("five")
    log.release()
    assert [line.split("]: ")[1] for line in lines(tmp_path, "lonc.log.1")] == ["one\n"]
    found = lines(tmp_path)
    assert "1 log messages were lost" in found[0]
    assert found[1].endswith("five\n")
    assert not (tmp_path / "victim").exists()


def test_closing_a_log_that_was_kept_open_is_no_error(tmp_path: Path, clock: HandClock) -> None:
    class Grudging(SystemFiles):
        def close(self, fd: int) -> None:
            super().close(fd)
            raise OSError(5, "Input/output error")

    log = Log(str(tmp_path / "lonc.log"), files=Grudging(), clock=clock, who="msul1", stderr_fd=-1)
    log.hold()
    log.write("one")
    log.release()
    assert (log.lost, len(lines(tmp_path))) == (0, 1)
