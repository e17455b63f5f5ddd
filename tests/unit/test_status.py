"""The status file: exactly the text of the originals, one write a block, nothing that stops anybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lonc.system.clock import ctime
from lonc.system.files import SystemFiles
from lonc.system.status import ProcessLine, append_block, start_report
from tests.fakes.faulty_files import FaultyFiles, HandClock

PARENT = ProcessLine(4711, "PARENT", "Fri Mar  8 03:56:19 2002: Waiting", "Fri Mar  8 03:56:20 2002: Started")
CHILD = ProcessLine(4712, "msul1", "Fri Mar  8 03:56:21 2002: Online", "Fri Mar  8 03:56:22 2002: msul1 online")
FILES = SystemFiles()


def test_the_report_is_written_as_the_originals_do(tmp_path: Path) -> None:
    path = tmp_path / "loncstatus.txt"
    path.write_text("an old report\n" * 100)
    clock = HandClock()
    assert start_report(str(path), PARENT, files=FILES, clock=clock, more=["Skipped msul9"]) == ""
    assert append_block(str(path), CHILD, files=FILES, connections=["Idle", "SendingRequest"]) == ""
    assert append_block(str(path), CHILD, files=FILES, connections=[], more=["Paused"]) == ""
    child = "4712\tmsul1\tFri Mar  8 03:56:21 2002: Online\tFri Mar  8 03:56:22 2002: msul1 online\n"
    assert path.read_text() == (
        f"LONC status {ctime(clock.at)} - parent 4711\n"
        "\n"
        "4711\tPARENT\tFri Mar  8 03:56:19 2002: Waiting\tFri Mar  8 03:56:20 2002: Started\n"
        "Skipped msul9\n"
        f"{child}"
        "Active connection statuses: \n"
        "Connection 1 State: Idle\n"
        "Connection 2 State: SendingRequest\n"
        f"{child}"
        "Active connection statuses: \n"
        "Paused\n"
    )


def test_each_block_is_one_write(tmp_path: Path) -> None:
    files = FaultyFiles()
    path = str(tmp_path / "loncstatus.txt")
    start_report(path, PARENT, files=files, clock=HandClock(), more=["a", "b"])
    append_block(path, CHILD, files=files, connections=["Idle"] * 10)
    assert files.calls.count("write") == 2


def test_the_mode_is_that_of_a_page(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        start_report(str(tmp_path / "x"), PARENT, files=FILES, clock=HandClock())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


def test_texts_cannot_break_the_form(tmp_path: Path) -> None:
    path = tmp_path / "x"
    line = ProcessLine(1, "a\tb", "two\nlines", "\x1b[2J", trouble="log cannot\nbe written")
    append_block(str(path), line, files=FILES, connections=["Id\nle"])
    assert path.read_text().splitlines() == [
        "1\ta\\x09b\ttwo\\x0alines\t\\x1b[2J",
        "log cannot\\x0abe written",
        "Active connection statuses: ",
        "Connection 1 State: Id\\x0ale",
    ]


def test_a_missing_directory_is_no_error(tmp_path: Path) -> None:
    path = str(tmp_path / "lon-status" / "loncstatus.txt")
    assert start_report(path, PARENT, files=FILES, clock=HandClock()) == ""
    assert append_block(path, CHILD, files=FILES, connections=[]) == ""
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["directory", "fifo", "link"])
def test_what_is_no_regular_file_is_left_alone_and_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "loncstatus.txt"
    victim = tmp_path / "victim"
    victim.write_text("precious")
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(victim)
    for reason in (
        start_report(str(path), PARENT, files=FILES, clock=HandClock()),
        append_block(str(path), CHILD, files=FILES, connections=[]),
    ):
        assert reason.startswith(f"{path}: ")
    assert victim.read_text() == "precious"


def test_a_full_disk_raises_nothing_at_any_call(tmp_path: Path) -> None:
    path = str(tmp_path / "loncstatus.txt")
    counting = FaultyFiles()
    start_report(path, PARENT, files=counting, clock=HandClock())
    for n in range(1, len(counting.calls) + 1):
        assert "No space" in start_report(path, PARENT, files=FaultyFiles(failing={n}), clock=HandClock())
    partial = FaultyFiles(failing={1})
    partial.only, partial.short = frozenset({"write"}), 10
    assert "only 10 of" in append_block(path, CHILD, files=partial, connections=[])
