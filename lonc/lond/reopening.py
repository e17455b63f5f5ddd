"""A store that may be away: what is asked of it meanwhile is an error, and it is opened as soon as it can be.

A worker whose PostgreSQL is down, or whose directory cannot be read, goes on and answers `error: ...`: were it
to end, the next one would meet the same, and clients would lose their links for nothing. Whether an engine that
was open once comes back by itself is the engine's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lonc.config import Config
from lonc.lond.store import Store, StoreError, open_store
from lonc.system.clock import Clock

TRY_EVERY_S: Final = 1.0  # between two attempts to open it


class ReopeningStore:
    """Stands for the Store of a worker, opened by open() or by the first command that needs it."""

    def __init__(self, config: Config, clock: Clock, opener: Callable[[Config], Store] = open_store) -> None:
        self._config = config
        self._clock = clock
        self._opener = opener
        self._store: Store | None = None
        self._failed_at: float | None = None
        self._why = ""

    def open(self) -> str:
        """Try to open it; return why it cannot be, else ""."""
        try:
            self._open()
        except StoreError as error:
            return str(error)
        return ""

    def _open(self) -> Store:
        if self._store is not None:
            return self._store
        now = self._clock.monotonic()
        if self._failed_at is not None and now - self._failed_at < TRY_EVERY_S:
            raise StoreError(self._why)
        try:
            self._store = self._opener(self._config)
        except (StoreError, ImportError) as error:
            self._failed_at, self._why = self._clock.monotonic(), str(error)
            raise StoreError(self._why) from error
        return self._store

    def __getattr__(self, name: str) -> Any:
        """Return what the engine itself has under this name: all that a Store offers. Raises StoreError."""
        return getattr(self._open(), name)

    def close(self) -> None:
        """Give everything back; no error when it was never open."""
        if self._store is not None:
            self._store.close()
            self._store = None
