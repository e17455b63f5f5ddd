"""Owns what the name of a delayed file says: whose it is, its place in the order, and whether it may be sent.

A standard name has five parts, TIME.COUNTER.PID.WORD.PEER; ids may hold dots, so the peer is all that follows
the fourth dot, and it is that peer or nobody. A name of another form belongs to the longest id that it ends
with after a dot. Source: spec files.md 8.
"""

from __future__ import annotations

import re
from collections.abc import Collection

PASSED_OVER = frozenset({"rejected", "corrupt", "held", "dropped"})
_STANDARD = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})\.[0-9]+\.[A-Za-z0-9_]*\.(.+)", re.DOTALL)
# Generous: what scripts, editors and mail programs use in names. Ours alone: the spec says `foreign characters`.
_CLEAN = re.compile(r"[A-Za-z0-9_.,:;+=@%#~!^-]+")
_USUAL = re.compile(r"[0-9]{1,18}\.[0-9]{1,18}\.[0-9]+\.[A-Za-z0-9_]*\.[A-Za-z0-9_.-]+")
_DOTS = ".."


class Owner:
    """Tells whose a name is, for the child of one peer; peers: all ids of the table."""

    def __init__(self, peer: str, peers: Collection[str]) -> None:
        self._peer = peer
        self._ending = "." + peer
        self._peers = frozenset(peers) | {peer}

    def mine(self, name: str) -> bool:
        """Return whether the name is a file of this peer. Cheap for the many that are not."""
        return name.endswith(self._ending) and self.peer_of(name) == self._peer

    def nobodys(self, name: str) -> bool:
        """Return whether the name is visible, not a directory of ours, and of no peer in the table."""
        return not name.startswith(".") and name not in PASSED_OVER and self.peer_of(name) is None

    def peer_of(self, name: str) -> str | None:
        """Return the id that the name belongs to, None when that is nobody in the table."""
        if name.startswith("."):
            return None
        standard = _STANDARD.fullmatch(name)
        if standard is not None:
            peer = standard[3]
            return peer if peer in self._peers else None
        dot = name.find(".")
        while dot >= 0:  # from the left: the longest ending first
            if name[dot + 1 :] in self._peers:
                return name[dot + 1 :]
            dot = name.find(".", dot + 1)
        return None


def standard_order(name: str) -> tuple[int, int] | None:
    """Return (time, counter) of a standard name, None for one of another form."""
    standard = _STANDARD.match(name)
    return None if standard is None else (int(standard[1]), int(standard[2]))


def is_clean(name: str) -> bool:
    """Return whether a name has no foreign characters.

    `..` is foreign but in a standard name, whose word is empty when the command begins with no word character.
    A leading `-` is allowed: it is a danger to shells only, and the file a message like any other.
    """
    if _CLEAN.fullmatch(name) is None:
        return False
    return _DOTS not in name or _STANDARD.match(name) is not None


def is_usual(name: str) -> bool:
    """Return whether a name is both standard and clean, as nearly all are. Names of odd peers may be so and not
    usual; they only cost a little more."""
    return _USUAL.fullmatch(name) is not None


def companion(name: str, suffix: str) -> str | None:
    """Return the name of the file beside another, None when it would be longer than a name can be."""
    beside = name + suffix
    return beside if size(beside) <= NAME_MAX else None


def numbered(name: str, n: int) -> str:
    """Return the n-th choice for a name that is taken: itself, then with -2, -3...; cut where it must be."""
    if n <= 1:
        return name
    ending = f"-{n}"
    while size(name) + len(ending) > NAME_MAX:
        name = name[:-1]
    return name + ending


NAME_MAX = 255  # bytes, on every file system that matters


def size(name: str) -> int:
    """Return the length of a name in bytes."""
    return len(name.encode("utf-8", "surrogateescape"))
