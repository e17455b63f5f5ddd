"""tmpput, tmpget and tmpdel: files of our own, durable, 0600, under names that cannot be guessed."""

from __future__ import annotations

import errno
import os
import stat as modes
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc.lond.commands import temporary
from lonc.system.files import SystemFiles
from tests.unit.command_stage import Stage, stages
from tests.unit.delayed_ground import Crash, FaultyFiles


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    yield from stages(tmp_path)


def folder(stage: Stage) -> Path:
    return Path(stage.config.tmp_dir)


def test_what_is_put_is_got_until_it_is_deleted(stage: Stage) -> None:
    data = "a%20b=1&c=%C3%A9&&=-.,/"
    chosen = stage.said(f"tmpput:{data}")
    other = stage.said("tmpput:")
    assert temporary.temporary_id(chosen.encode()) == chosen != other
    assert stage.said(f"tmpget:{chosen}") == data
    assert stage.said(f"tmpget:{other}") == ""
    assert stage.said(f"tmpdel:{chosen}") == "ok"
    gone = "error: there is nothing with this id"
    assert stage.said(f"tmpget:{chosen}") == stage.said(f"tmpdel:{chosen}") == gone
    assert [path.name for path in folder(stage).iterdir()] == [f"{other}.tmp"]


def test_nobody_else_can_read_it(stage: Stage) -> None:
    chosen = stage.said("tmpput:data")
    assert modes.S_IMODE(folder(stage).stat().st_mode) == 0o700
    assert modes.S_IMODE((folder(stage) / f"{chosen}.tmp").stat().st_mode) == 0o600


def test_links_and_foreign_things_are_not_followed(stage: Stage) -> None:
    stage.said("tmpput:data")
    outside = stage.root / "outside"
    outside.write_text("private")
    paths = [folder(stage) / f"{number:032}.tmp" for number in range(3)]
    paths[0].symlink_to(outside)
    paths[1].mkdir()
    os.mkfifo(paths[2])
    for path in paths:
        reply = stage.said(f"tmpget:{path.stem}")
        assert reply.startswith("error: ")
        assert "private" not in reply
        assert str(stage.root) not in reply
    assert outside.read_text() == "private"


def test_what_tmpput_has_not_written_is_not_got(stage: Stage) -> None:
    stage.said("tmpput:data")
    (folder(stage) / f"{'1' * 32}.tmp").write_bytes(b"two\nlines")
    assert stage.said("tmpget:" + "1" * 32) == "error: not what tmpput has written"
    (folder(stage) / f"{'2' * 32}.tmp").write_bytes(b"x" * 11)
    with pytest.raises(OSError, match="not what tmpput"):
        temporary.kept(SystemFiles(), str(folder(stage)), "2" * 32, 10)
    assert temporary.kept(SystemFiles(), str(folder(stage)), "2" * 32, 11) == b"x" * 11


def test_a_directory_that_cannot_be_used_is_told(stage: Stage) -> None:
    folder(stage).write_text("no directory")
    assert stage.said("tmpput:secret") == "error: tmp cannot be written: Not a directory"
    assert "Cannot carry out tmpput: tmp cannot be written" in stage.log
    assert "secret" not in stage.log
    assert stage.said("tmpget:" + "0" * 32).startswith("error: ")


def test_a_missing_daemons_directory_is_told_too(stage: Stage) -> None:
    folder(stage).parent.rmdir()
    assert stage.said("tmpput:x") == "error: tmp cannot be written: No such file or directory"


def full_disk() -> None:
    raise OSError(errno.ENOSPC, "no space")


def crash() -> None:
    raise Crash


@pytest.mark.parametrize("fault", [full_disk, crash])
def test_an_id_is_given_when_its_data_is_whole_and_on_the_disk(tmp_path: Path, fault: object) -> None:
    for n in range(40):
        directory = tmp_path / str(n) / "tmp"
        directory.parent.mkdir()
        files = FaultyFiles(n, fault)  # type: ignore[arg-type]  # one of the two functions above
        try:
            chosen = temporary.keep(files, str(directory), b"data")
        except (OSError, Crash):
            found = list(directory.glob("*.tmp")) if directory.exists() else []
            assert all(path.read_bytes() == b"data" for path in found)
            continue
        assert n >= 8, "the calls were not made"
        assert files.calls.count("fsync") == 3  # the file, its name, the name of its directory
        assert temporary.kept(SystemFiles(), str(directory), chosen, 10) == b"data"
        return
    pytest.fail("never came through")
