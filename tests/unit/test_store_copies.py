"""A change by way of a copy: killed or failed at any call, data and journal are both old or both new."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lonc.lond.store.copies import Change, tidy
from lonc.system.files import SystemFiles
from tests.fakes.faulty_files import FaultyFiles

FILES = SystemFiles()
CALLS = 24  # more than a change makes
OLD = (b"old", b"P:1:a\n")
NEW = (b"oldnew", b"P:1:a\nP:2:b\n")


class Killed(BaseException):
    """The process is gone in this moment: nobody tidies."""


class KilledFiles(FaultyFiles):
    """Files whose user is killed at one call, before it or behind it."""

    def _fails(self, call: str, fd: int = -1) -> bool:
        if super()._fails(call, fd):
            raise Killed
        return False


def prepared(tmp_path: Path, *, empty: bool) -> Path:
    """Return a directory with a namespace, or with none."""
    folder = tmp_path / "ann"
    folder.mkdir()
    if not empty:
        (folder / "ns.db").write_bytes(OLD[0])
        (folder / "ns.hist").write_bytes(OLD[1])
    (folder / "other.db").write_bytes(b"untouched")
    return folder


def carry_out(files: FaultyFiles, folder: Path, journal: bytes = b"P:2:b") -> None:
    """Make a change as the engine does."""
    change = Change(files, str(folder), "ns", journal)
    try:
        change.copy()
        with open(change.fresh, "ab") as stream:
            stream.write(b"new")
        change.put_in_place()
    except OSError:
        change.take_back()
        raise


def state(folder: Path) -> tuple[bytes, bytes]:
    """Return what is there, in place."""
    found = [folder / name for name in ("ns.db", "ns.hist")]
    data, journal = [path.read_bytes() if path.exists() else b"" for path in found]
    return data, journal


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("number", range(1, CALLS))
def test_killed_at_any_call(tmp_path: Path, number: int, empty: bool) -> None:
    folder = prepared(tmp_path, empty=empty)
    files = KilledFiles(failing={number})
    try:
        carry_out(files, folder)
        done = True
    except Killed:
        done = False
    tidy(FILES, str(folder), "ns")
    old, new = ((b"", b""), (b"new", b"P:2:b\n")) if empty else (OLD, NEW)
    assert state(folder) == new if done else state(folder) in (old, new)
    assert sorted(path.name for path in folder.glob(".*")) == []
    carry_out(FaultyFiles(), folder, b"P:3:c")
    assert state(folder)[1].endswith(b"P:3:c\n")
    assert (folder / "other.db").read_bytes() == b"untouched"


@pytest.mark.parametrize("number", range(1, CALLS))
def test_an_error_at_any_call(tmp_path: Path, number: int) -> None:
    folder = prepared(tmp_path, empty=False)
    files = FaultyFiles(failing={number})
    try:
        carry_out(files, folder)
    except OSError:
        # In place, and only the directory could not be synced: then it is either after a power cut.
        in_place = files.calls.count("rename") and files.calls.index("rename") + 1 != number
        assert state(folder) == (NEW if in_place else OLD)
    else:
        assert state(folder) == NEW
    assert sorted(path.name for path in folder.glob(".*")) == []


def test_what_was_tried_is_every_call(tmp_path: Path) -> None:
    files = FaultyFiles()
    carry_out(files, prepared(tmp_path, empty=False))
    assert 10 < len(files.calls) < CALLS
    assert files.calls.index("fsync") < files.calls.index("rename")
    assert files.calls[-1] == "fsync"


def test_a_line_of_somebody_else_is_not_taken_back(tmp_path: Path) -> None:
    folder = prepared(tmp_path, empty=False)
    (folder / ".ns.new.6.123").write_bytes(b"half")  # behind byte 6 of the journal comes a line with sum 123
    (folder / "ns.hist").write_bytes(OLD[1] + b"P:5:theirs\n")
    (folder / ".ns2.new.6.123").write_bytes(b"of another namespace")
    (folder / ".ns.new.odd").write_bytes(b"")
    tidy(FILES, str(folder), "ns")
    assert state(folder) == (OLD[0], OLD[1] + b"P:5:theirs\n")
    assert [path.name for path in folder.glob(".*")] == [".ns2.new.6.123"]


def test_without_a_journal_there_is_none(tmp_path: Path) -> None:
    folder = prepared(tmp_path, empty=True)
    carry_out(FaultyFiles(), folder, b"")
    assert state(folder) == (b"new", b"")
    assert not (folder / "ns.hist").exists()


def test_the_mode_of_the_old_file_is_kept(tmp_path: Path) -> None:
    folder = prepared(tmp_path, empty=False)
    (folder / "ns.db").chmod(0o640)
    carry_out(FaultyFiles(), folder)
    assert stat.S_IMODE((folder / "ns.db").stat().st_mode) == 0o640
    assert stat.S_IMODE((folder / "ns.hist").stat().st_mode) == 0o644  # as it was; a new one has 0600


def test_a_link_is_no_database(tmp_path: Path) -> None:
    folder = prepared(tmp_path, empty=True)
    (folder / "ns.db").symlink_to("other.db")
    with pytest.raises(OSError, match="symbolic"):
        carry_out(FaultyFiles(), folder)
    assert (folder / "other.db").read_bytes() == b"untouched"
