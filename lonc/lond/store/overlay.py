"""Owns changes of a namespace until they are carried out together, and the picture they give meanwhile.

Two engines want all changes at once: GDBM writes one new file with them, PostgreSQL one statement. Until then
nothing has happened, so taking a change back is forgetting it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class Ground(Protocol):
    """What is stored, as it was before the changes."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none."""

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return all, sorted by key."""


class Overlay:
    """A model.Namespace over a ground; `changes` has the new value of each changed key, None: removed.

    ground is set by the engine when the namespace is entered.
    """

    def __init__(self, ground: Ground, *, writable: bool) -> None:
        self.changes: dict[bytes, bytes | None] = {}
        self.ground = ground
        self._writable = writable

    def get(self, key: bytes) -> bytes | None:
        """Return a value; see model.Namespace."""
        return self.get_many((key,))[0]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return values; see model.Namespace. Nothing is asked for that was changed here."""
        changes = self.changes
        if not changes:
            return self.ground.get_many(keys)
        asked = [key for key in keys if key not in changes]
        below = iter(self.ground.get_many(asked) if asked else ())
        return [changes[key] if key in changes else next(below) for key in keys]

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value; see model.Namespace."""
        self._change(key, value)

    def delete(self, key: bytes) -> None:
        """Remove a key; see model.Namespace."""
        self._change(key, None)

    def _change(self, key: bytes, value: bytes | None) -> None:
        if not self._writable:
            raise RuntimeError("the namespace is not open for writing")
        self.changes[key] = value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return all, sorted; see model.Namespace."""
        return merged(self.ground.items(), dict(self.changes)) if self.changes else self.ground.items()

    def end(self) -> None:
        """Take no more changes: the namespace was left."""
        self._writable = False


def merged(
    ground: Iterator[tuple[bytes, bytes]], changes: dict[bytes, bytes | None]
) -> Iterator[tuple[bytes, bytes]]:
    """Return the sorted pairs of ground with the changes made to them, sorted too."""
    waiting = sorted(changes.items(), reverse=True)  # the next one is the last
    for pair in ground:
        while waiting and waiting[-1][0] < pair[0]:
            yield from _set(*waiting.pop())
        if waiting and waiting[-1][0] == pair[0]:
            yield from _set(*waiting.pop())
        else:
            yield pair
    while waiting:
        yield from _set(*waiting.pop())


def _set(key: bytes, value: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    if value is not None:
        yield key, value
