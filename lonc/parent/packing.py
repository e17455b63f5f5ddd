"""Lays what children run into pages of its own, since a child copies each page that it writes to.

Python writes to a function's code whenever it is called, if only to count a reference. After all imports the
few hundred that a child calls lie scattered among thousands, one or two in a page: to run 100 KiB of code, a
child copies 800 KiB. A copy of that code that is made in one go lies together. The same is true of what a
child makes anew: it is put into gaps that imports have left everywhere, unless these have been filled.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, FunctionType
from typing import Final

_POOL: Final = 16384  # bytes: Python's allocator cuts memory into pools of blocks of one size
_POOL_HEAD: Final = 48
_LARGEST: Final = 512  # bytes of a block; what is larger comes from the C library
_STEP: Final = 16  # between two sizes of blocks
_MOST: Final = 128 * 1024  # bytes of one size, should the gaps have no end
_EMPTY: Final = sys.getsizeof(b"")

_ballast: list[object] = []


def fill_gaps() -> int:
    """Fill the gaps of Python's memory, so that what is made from now on lies together; return the bytes used.

    About 1 MiB at the end of a start, once for a parent and all its children; at most 4 MiB. It is never given
    back. Where Python has another allocator this is of no use, and does no harm.
    """
    return sum(_fill(size) for size in range(_EMPTY // _STEP * _STEP + _STEP, _LARGEST + 1, _STEP))


def _fill(size: int) -> int:
    """Take blocks of one size until a whole pool was taken from its beginning to its end."""
    last = in_a_row = used = 0
    pool = (_POOL - _POOL_HEAD) // size - 1
    while in_a_row < pool and used < _MOST:
        block = bytes(size - _EMPTY)
        in_a_row = in_a_row + 1 if id(block) == last + size else 0
        last = id(block)
        used += size
        _ballast.append(block)
    return used


def move_together(play: Callable[[], object]) -> int:
    """Copy the code of all functions that `play()` calls to one place; return of how many.

    They are the same functions and do the same; but the copies have to be called some times until they are as
    fast. fill_gaps should have been called before.
    """
    called = _calls_of(play)
    functions = [it for it in gc.get_objects() if isinstance(it, FunctionType) and it.__code__ in called]
    copies: dict[int, CodeType] = {}
    # The old ones live until all copies are made: else each copy would be put where the last one was.
    old = [function.__code__ for function in functions]
    new = [_copy(code, copies) for code in old]
    for function, code in zip(functions, new, strict=True):
        function.__code__ = code
    _ballast.extend(old)  # and for ever: what children make must not be put there either
    return len(functions)


class _Codes:
    """A set of code objects by identity: equal ones of different functions are different ones here."""

    def __init__(self) -> None:
        self._kept: dict[int, CodeType] = {}

    def add(self, code: CodeType) -> None:
        self._kept[id(code)] = code

    def __contains__(self, code: CodeType) -> bool:
        return id(code) in self._kept


def _calls_of(play: Callable[[], object]) -> _Codes:
    called = _Codes()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        play()
    finally:
        sys.setprofile(before)
    return called


def _copy(code: CodeType, copies: dict[int, CodeType]) -> CodeType:
    """Return the copy of a code object, made now if there is none yet; with copies of the functions inside it."""
    if id(code) not in copies:
        constants = tuple(_copies_in(code, copies))
        copies[id(code)] = code.replace(co_consts=constants)
    return copies[id(code)]


def _copies_in(code: CodeType, copies: dict[int, CodeType]) -> Iterator[object]:
    for constant in code.co_consts:
        yield _copy(constant, copies) if isinstance(constant, CodeType) else constant
