"""Owns waiting in tests: for a condition, for a bounded time, never for a fixed pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

TREE = Path(__file__).resolve().parents[2]
POLL_S = 0.01

Seen = TypeVar("Seen")


def wait_until(look: Callable[[], Seen], timeout_s: float, what: str) -> Seen:
    """Return what look returned as soon as it is true; look is called at least once and every 10 ms.

    Raises AssertionError `not within N s: what (last seen: ...)` when it never was.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what} (last seen: {seen!r})")
        time.sleep(POLL_S)


def stays(look: Callable[[], object], seconds: float, what: str) -> None:
    """Watch a condition for so long. Raises AssertionError as soon as it is not true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert look(), f"did not stay so for {seconds:g} s: {what}"
        time.sleep(POLL_S)
