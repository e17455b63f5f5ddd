"""Owns what a case of the suite is: its number, its sentence, who is tested, and how it ends other than well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

LONC, LOND = "lonc", "lond"
SHOWN_BYTES = 160

SECTIONS = {
    1: "Transport and framing",
    2: "The opening dialogue",
    3: "The key",
    4: "Encrypted frames",
    5: "Escaping",
    6: "Words",
    7: "Clients of lonc",
    8: "Links that are lost",
    9: "Delayed messages",
    10: "Commands of lond",
}

Stage = TypeVar("Stage")


class MismatchError(Exception):
    """The program under test did something else: what was expected, what came."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.got = got


class UnfitError(Exception):
    """The case cannot be judged here; the text says why, and what would change it."""


@dataclass(frozen=True, slots=True)
class Case(Generic[Stage]):
    """One sentence and its test. number: section and place, `1.4`; ours: why an original may differ, `D30`."""

    number: str
    who: str
    sentence: str
    ours: str
    needs: tuple[str, ...]  # options without which there is nothing to test, `delayed`
    run: Callable[[Stage], None]

    @property
    def section(self) -> int:
        """Return the number of the section."""
        return int(self.number.partition(".")[0])

    @property
    def order(self) -> tuple[int, int]:
        """Return what cases are sorted by."""
        return self.section, int(self.number.partition(".")[2])


class Book(Generic[Stage]):
    """The cases for one kind of program, in the order of their numbers."""

    def __init__(self, who: str) -> None:
        self.who = who
        self._cases: dict[str, Case[Stage]] = {}

    def case(
        self, number: str, sentence: str, *, ours: str = "", needs: tuple[str, ...] = ()
    ) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
        """Enter the decorated function as the case of this number. Raises ValueError when it is taken."""

        def enter(run: Callable[[Stage], None]) -> Callable[[Stage], None]:
            if number in self._cases:
                raise ValueError(f"two cases {number} for {self.who}")
            self._cases[number] = Case(number, self.who, sentence, ours, needs, run)
            return run

        return enter

    def all(self) -> list[Case[Stage]]:
        """Return all cases in order."""
        return sorted(self._cases.values(), key=lambda case: case.order)


def shown(data: bytes) -> str:
    """Return bytes as a text for a report, cut at SHOWN_BYTES."""
    more = f"... ({len(data)} bytes)" if len(data) > SHOWN_BYTES else ""
    return f"{data[:SHOWN_BYTES]!r}{more}"


def expect(got: bytes, *allowed: bytes) -> None:
    """Raise MismatchError unless got is one of the lines that are allowed."""
    if got not in allowed:
        raise MismatchError(" or ".join(map(shown, allowed)), shown(got))


def require(true: object, expected: str, got: str | bytes) -> None:
    """Raise MismatchError with these texts unless the condition is true."""
    if not true:
        raise MismatchError(expected, got if isinstance(got, str) else shown(got))
