"""Rotation of the log by rename, removal and copytruncate, 50 times a second beside several writers (row 9)."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.fault.writers import writer

WRITERS, LINES, PAUSE = 3, 700, 0.001


def rotated(tmp_path: Path, rotate: Callable[[Path, int], None]) -> None:
    path = tmp_path / "lonc.log"
    processes = [writer(path, f"w{i}", LINES, PAUSE) for i in range(WRITERS)]
    try:
        number = 0
        while any(process.poll() is None for process in processes):
            assert number < 3000
            if path.exists():
                number += 1
                rotate(path, number)
            time.sleep(0.02)
        assert [process.communicate(timeout=30) for process in processes] == [("0\n", "")] * WRITERS
        assert number > 20
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def numbers(texts: Iterable[str]) -> dict[str, list[int]]:
    """Return whose lines are there, in the order they were found; a line must be whole."""
    found: dict[str, list[int]] = {}
    for text in texts:
        for line in text.splitlines():
            match = re.fullmatch(r"\w{3} [^(]* \(\d+\) \[(w\d)\] \[.*?: Starting\]: line (\d+) (\.*) end", line)
            assert match, line
            assert len(match[3]) == int(match[2]) % 150
            found.setdefault(match[1], []).append(int(match[2]))
    return found


def rename(path: Path, number: int) -> None:
    path.rename(path.with_suffix(f".{number:06}"))


def test_no_line_is_lost_when_the_log_is_renamed(tmp_path: Path) -> None:
    rotated(tmp_path, rename)
    files = sorted(tmp_path.iterdir(), key=lambda path: (path.suffix == ".log", path.suffix))
    found = numbers(path.read_text() for path in files)
    assert {who: sorted(lines) for who, lines in found.items()} == {
        f"w{i}": list(range(LINES)) for i in range(WRITERS)
    }


def test_no_line_is_lost_when_the_log_is_removed(tmp_path: Path) -> None:
    held: list[int] = []

    def remove(path: Path, _: int) -> None:
        # a second name first, so that what was in it can be read when all have finished
        os.link(path, tmp_path / f"kept.{len(held):06}")
        held.append(0)
        path.unlink()

    rotated(tmp_path, remove)
    found = numbers(path.read_text() for path in tmp_path.iterdir())
    assert {who: sorted(lines) for who, lines in found.items()} == {
        f"w{i}": list(range(LINES)) for i in range(WRITERS)
    }


def test_copytruncate_loses_only_what_its_own_window_does(tmp_path: Path) -> None:
    copied: list[str] = []

    def copy_truncate(path: Path, _: int) -> None:
        copied.append(path.read_text())
        os.truncate(path, 0)

    rotated(tmp_path, copy_truncate)
    copied.append((tmp_path / "lonc.log").read_text())
    # A copy may end within the line that is just being written; whatever is whole must be right, and in order.
    assert not any("\0" in text for text in copied)  # no writer kept an old place in the file
    found = numbers(text[: text.rfind("\n") + 1] for text in copied)
    assert len(found) == WRITERS
    for lines in found.values():
        assert lines == sorted(set(lines))
        assert len(lines) > LINES * 0.3
