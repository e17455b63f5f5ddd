"""logs/lonc.wanted as operators change it: one line at a time, the others kept, no change of many editors lost."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from lonc.child.wishes import Wish, wish_of, wishes_for, wishes_in
from lonc.cli.ctl.wanted import remove_wish, set_wish
from lonc.system.files import SystemFiles
from tests.unit.delayed_ground import Crash, FaultyFiles

FILES = SystemFiles()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lonc.wanted")


def text(path: str) -> str:
    return Path(path).read_text() if os.path.exists(path) else ""


def test_a_line_is_set_once_and_taken_back_and_strange_ones_are_kept(path: str) -> None:
    Path(path).write_text("p2\tpaused\n# a remark\np1\tnew\tword\tof later\n")
    assert set_wish(FILES, path, Wish("p1", "paused", None))
    assert not set_wish(FILES, path, Wish("p1", "paused", None))
    assert text(path) == "p2\tpaused\n# a remark\np1\tnew\tword\tof later\np1\tpaused\n"
    assert wishes_for(path, "p1", FILES) == {"paused": None}
    assert remove_wish(FILES, path, "p1", "paused")
    assert not remove_wish(FILES, path, "p1", "paused")
    assert text(path) == "p2\tpaused\n# a remark\np1\tnew\tword\tof later\n"
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_another_end_replaces_the_old_one_and_what_is_over_goes(path: str) -> None:
    soon = int(time.time()) + 1000
    Path(path).write_text(f"p1\tdebug\t{soon}\np2\ttrace\t5\n")
    assert set_wish(FILES, path, Wish("p1", "debug", soon + 1))
    assert text(path) == f"p1\tdebug\t{soon + 1}\n"
    assert not remove_wish(FILES, path, "p2", "trace")


def test_what_is_no_wish_is_passed_over() -> None:
    assert list(wishes_in("a\n\tb\tc\td\nb\tdebug\tsoon\nc\tpaused \nd\tdebug\t7\n")) == [
        Wish("c", "paused", None), Wish("d", "debug", 7),
    ]  # fmt: skip
    assert wish_of(Wish("p", "debug", 3).line().rstrip("\n")) == Wish("p", "debug", 3)


def _edit(path: str, number: int) -> None:
    for times in range(10):
        set_wish(FILES, path, Wish(f"p{number}", "paused", None))
        if times < 9:
            remove_wish(FILES, path, f"p{number}", "paused")


def test_many_editors_at_once_lose_nothing(path: str) -> None:
    context = multiprocessing.get_context("fork")
    editors = [context.Process(target=_edit, args=(path, number)) for number in range(6)]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join(60)
    assert [editor.exitcode for editor in editors] == [0] * 6
    assert sorted(text(path).splitlines()) == [f"p{number}\tpaused" for number in range(6)]


def test_a_kill_or_an_error_at_any_call_leaves_the_old_file_or_the_new_one(path: str) -> None:
    old, new = "p2\tpaused\n", "p2\tpaused\np1\tpaused\n"
    for fault in (Crash(), OSError(28, "No space left on device")):
        n = 0
        while True:
            Path(path).write_text(old)

            def fail(error: BaseException = fault) -> None:
                raise error

            files = FaultyFiles(n, fail)
            try:
                set_wish(files, path, Wish("p1", "paused", None))
            except (Crash, OSError):
                assert text(path) in (old, new)
            else:
                assert text(path) == new
            if not files.hit:
                break
            n += 1
        assert n > 8


def test_a_link_in_its_place_is_not_followed(path: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("p9\tpaused\n")
    os.symlink(other, path)
    with pytest.raises(OSError, match=r"."):
        set_wish(FILES, path, Wish("p1", "paused", None))
    assert other.read_text() == "p9\tpaused\n"
