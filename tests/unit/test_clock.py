"""The clocks, and the time text of every file: C's ctime, English whatever the locale."""

from __future__ import annotations

import locale
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from lonc.system.clock import SystemClock, ctime
from tests.unit.processes import TREE


@pytest.fixture
def east_lansing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "EST5EDT")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("east_lansing")
def test_ctime_is_the_text_of_c_in_local_time() -> None:
    assert ctime(1015577779) == "Fri Mar  8 03:56:19 2002"
    assert ctime(1015577779 + 4 * 86400 + 0.9) == "Tue Mar 12 03:56:19 2002"


@pytest.mark.usefixtures("east_lansing")
def test_ctime_is_english_in_another_locale() -> None:
    before = locale.setlocale(locale.LC_ALL)
    known = [name for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8") if _set(name)]
    try:
        assert known  # C.UTF-8 at least
        assert ctime(1015577779).startswith("Fri Mar")
    finally:
        locale.setlocale(locale.LC_ALL, before)


def _set(name: str) -> bool:
    try:
        locale.setlocale(locale.LC_ALL, name)
    except locale.Error:
        return False
    return True


@pytest.mark.parametrize("wall", [math.nan, math.inf, -math.inf, 1e300, -1e300])
def test_ctime_of_an_impossible_moment_is_a_text_and_no_error(wall: float) -> None:
    assert ctime(wall) == f"@{wall}"


@pytest.mark.parametrize("years", [-10, 10])
def test_ctime_after_a_clock_jump(years: int) -> None:
    assert re.fullmatch(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}", ctime(time.time() + years * 365.25 * 86400))


def test_the_clocks_are_the_machines() -> None:
    clock = SystemClock()
    assert abs(clock.wall() - time.time()) < 1
    first = clock.monotonic()
    # another process sees the same monotonic time: beats are compared between processes
    other = subprocess.run(
        [sys.executable, "-c", "from lonc.system.clock import SystemClock; print(SystemClock().monotonic())"],
        capture_output=True, check=True, cwd=TREE,
    )  # fmt: skip
    assert first <= float(other.stdout) <= clock.monotonic()
