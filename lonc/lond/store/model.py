"""Owns what an engine of the store must offer; what a command means is not its business.

A namespace is a set of keys with values, of one user or of a domain as a whole. Keys and values are kept
escaped, as they came (lond.md 3), so neither ever holds a newline. Whatever is written is durable when
`writing` is left without an error, all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from lonc.errors import LoncError


class StoreError(LoncError):
    """The engine cannot do what was asked: no space, no server, a damaged file; nothing was changed.

    The text is for the log and, behind `error: `, for the client; it holds no data. Where the outcome of a
    commit could not be learned (a server that was lost in that moment) the text says so: then it is either.
    """


class NameRefused(StoreError):
    """A domain, user or namespace that no engine takes: it would be no name of a file; nothing was done.

    Callers check names themselves, with the same rule (`names.py`); this is the second door.
    """


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose data it is: a user of a domain, or with an empty name the domain itself."""

    domain: bytes
    name: bytes


class Namespace(Protocol):
    """One namespace of one owner while it is open; it means nothing afterwards."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of key, None when there is none."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return what get says of each key, in order; one question to the engine, however many keys."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of key."""

    def delete(self, key: bytes) -> None:
        """Remove key; no error when it is not there."""

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return every key with its value, sorted by key; read bit by bit, so of any size.

        In `writing`, what was changed before the call is seen; nothing may be changed while it goes on.
        """


class Store(Protocol):
    """One engine, as one process has it open, made after the fork (`open_store`).

    One namespace is open at a time: another `reading` or `writing`, or an account made or changed, inside of
    one is a defect of the caller (RuntimeError). Every method may raise StoreError.
    """

    def get_many(self, owner: Owner, namespace: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return what `reading` and its get_many would, as at one moment, in one step: the shortest road."""

    def reading(self, owner: Owner, namespace: bytes) -> AbstractContextManager[Namespace]:
        """Open a namespace as it is at one moment; one that was never written is empty."""

    def writing(self, owner: Owner, namespace: bytes, journal: bytes) -> AbstractContextManager[Namespace]:
        """Open a namespace for a change that nobody else makes meanwhile.

        Left without an error, the change and its journal line are durable; left with one, nothing has happened.
        journal: the line that is kept beside the data, empty for none (namespaces that begin `nohist_`).
        """

    def account(self, owner: Owner) -> bytes | None:
        """Return `mechanism:info` of a user, None when there is no such account."""

    def create_account(self, owner: Owner, info: bytes) -> bool:
        """Make an account, durably; False when there is one already."""

    def change_account(self, owner: Owner, info: bytes) -> bool:
        """Change `mechanism:info` of an account, durably; False when there is no such account."""

    def exists(self, owner: Owner) -> bool:
        """Return whether the user is at home here: has an account, or data from before there was one."""

    def activity(self, owner: Owner, line: bytes) -> None:
        """Append a line (without newline) to the user's activity log, durably."""

    def close(self) -> None:
        """Give everything back."""
