"""Owns calls that may hang and cannot be interrupted (look-ups, a web page): each in a thread that is left behind.

A thread that hangs does not keep the process: it is a daemon thread, and INT reaches the main one at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Aside(Generic[Result]):
    """One call, begun at once."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._done = threading.Event()
        self._result: list[Result] = []
        self._error: Exception | None = None
        self._began = time.monotonic()
        self._ended = self._began
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except Exception as error:  # noqa: BLE001 - it is raised again by result(), in the thread that asks
            self._error = error
        self._ended = time.monotonic()
        self._done.set()

    def result(self, limit_s: float) -> Result:
        """Return what the call returned, or raise what it raised; TimeoutError limit_s after its beginning."""
        if not self._done.wait(max(0.0, self._began + limit_s - time.monotonic())):
            raise TimeoutError(f"no answer within {limit_s:g} s")
        if self._error is not None:
            raise self._error
        return self._result[0]

    @property
    def seconds(self) -> float:
        """Return how long the call took, or has taken so far."""
        return (self._ended if self._done.is_set() else time.monotonic()) - self._began
