"""Memory laid together: moved functions are the same functions, gaps are filled within bounds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

from lonc.parent import packing
from tests.unit.processes import TREE


class Thing:
    """Something with functions of all kinds."""

    def __init__(self, start: int) -> None:
        self.start = start

    @property
    def twice(self) -> int:
        return self.start * 2

    @classmethod
    def made(cls) -> Thing:
        return cls(20)

    def counting(self) -> Iterator[int]:
        yield from (number + self.start for number in range(3))

    def adder(self) -> Callable[[int], int]:
        def add(number: int, by: int = 1) -> int:
            return number + by + self.start

        return add

    def never(self) -> int:
        return self.start


def play() -> tuple[int, list[int], int, int]:
    thing = Thing.made()
    return thing.twice, list(thing.counting()), thing.adder()(1), sorted([3, 1], key=lambda number: -number)[0]


def test_moved_functions_are_the_same_and_do_the_same() -> None:
    kept_adder = Thing.made().adder()
    functions = [Thing.__init__, Thing.counting, Thing.adder, play]
    codes = [function.__code__ for function in functions]
    never = Thing.never.__code__
    expected = play()
    assert packing.move_together(play) >= 6
    assert [function.__code__ for function in functions] == codes
    assert all(function.__code__ is not code for function, code in zip(functions, codes, strict=True))
    assert Thing.never.__code__ is never
    for _ in range(30):
        assert play() == expected
    assert kept_adder(5) == 26


def test_a_function_inside_another_and_its_living_copies_have_one_code() -> None:
    living = Thing.made().adder()
    packing.move_together(play)
    assert Thing.made().adder().__code__ is living.__code__


def test_an_observer_of_calls_is_put_back() -> None:
    seen: list[str] = []
    sys.setprofile(lambda _frame, event, _argument: seen.append(event))
    observer = sys.getprofile()
    try:
        packing.move_together(play)
        assert sys.getprofile() is observer
    finally:
        sys.setprofile(None)


def test_what_is_moved_lies_together() -> None:
    script = """
from lonc.parent import packing
from tests.unit.test_parent_packing import Thing, play
packing.fill_gaps()
packing.move_together(play)
moved = [Thing.__init__, Thing.adder, play, Thing.counting, Thing.made]
codes = [function.__code__ for function in moved]
print(len({id(code) >> 20 for code in codes}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60, cwd=TREE
    )
    assert int(done.stdout) <= 2


def test_gaps_are_filled_within_bounds() -> None:
    assert 0 < packing.fill_gaps() <= 4 << 20
    assert packing.fill_gaps() <= 1 << 20  # only what the first one has left
