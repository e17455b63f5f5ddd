"""Owns the words of the table: a promise, the tests that prove it, and what taking a part of it away means."""

from __future__ import annotations

from dataclasses import dataclass

Edit = tuple[str, str, str]  # path in the tree, text that occurs exactly once in it, text in its place


@dataclass(frozen=True, slots=True)
class Removal:
    """One feature that can be taken away.

    what: one sentence that says what is gone. edits: how, all at once. tests: node ids, of which the first that
    fails is the proof; as few and as quick as possible.
    """

    what: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise, or one line of the threats. tests: node ids, or files; removals: that these prove it."""

    name: str
    sentence: str
    tests: tuple[str, ...]
    removals: tuple[Removal, ...]
