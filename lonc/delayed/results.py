"""Owns the words between the delayed directory and whoever sends from it: what was seen, read and done."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Identity(NamedTuple):
    """Which file, and which content of it: a file that was replaced or rewritten has another one."""

    device: int
    inode: int
    size: int
    mtime_ns: int


def identity_of(facts: os.stat_result) -> Identity:
    """Return the identity of the file that a stat call told about."""
    return Identity(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def is_that(facts: os.stat_result, identity: Identity) -> bool:
    """Return whether a stat call told about the file with this identity."""
    device, inode, size, mtime_ns = identity
    same_file = facts.st_ino == inode and facts.st_dev == device
    return same_file and facts.st_mtime_ns == mtime_ns and facts.st_size == size


class Entry(NamedTuple):
    """A name in the directory. Entries compare in sending order: (time, counter) as numbers, then name."""

    time: float  # seconds since 1970: from the name, else the mtime
    counter: int
    name: str


class Message(NamedTuple):
    """A message as read: line is without its newline, any bytes else."""

    entry: Entry
    line: bytes
    identity: Identity

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.entry.name


@dataclass(frozen=True, slots=True)
class SetAside:
    """The file is no message; it lies in corrupt/ now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing to send under this name now; go on with the next. why: "" when the file is not there any more."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Young:
    """The run ends here: not to be touched, and nothing behind it to be sent, until then (monotonic seconds)."""

    until: float


Reading = Message | SetAside | Gone | Young


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the directory saw. Names may hold any characters: clean them before showing.

    ready: what may be sent now, in order; young_until: when to look again because the first young message
    becomes old (monotonic seconds; None: none is young). waiting: all messages of this peer, young ones too;
    oldest_wall: time of the first of them, seconds since 1970. Told once each: set_aside (name, reason) what this
    and the reads since the last look moved to corrupt/ without telling; foreign: files of nobody in the table;
    links: symbolic links, left alone; notes: whole sentences; problem: why the directory cannot be used (told
    when it begins and when it changes; a missing directory is no problem).
    """

    ready: tuple[Entry, ...] = ()
    young_until: float | None = None
    waiting: int = 0
    oldest_wall: float | None = None
    set_aside: tuple[tuple[str, str], ...] = ()
    foreign: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None


class DoneKind(Enum):
    """What became of the file of an answered message."""

    DELETED = "deleted"
    MOVED = "moved"
    REPLACED = "replaced"  # a new message lies at the name and will be sent; the answered one is no more
    GONE = "gone"  # somebody else removed it
    FAILED = "failed"  # it stays; it is not sent again by this process, each look tries again


class Done(NamedTuple):
    """What became of an answered message's file; detail: the error when FAILED."""

    kind: DoneKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """What became of a rejected message: where (`rejected/NAME`, "" if not MOVED), and whether with its reply."""

    kind: DoneKind
    where: str = ""
    with_reply: bool = False
    detail: str = ""

    def __str__(self) -> str:
        """Return it as the end of a sentence `moved to ...`."""
        if self.kind is DoneKind.MOVED:
            return self.where
        return f"nowhere ({self.kind.value}{': ' if self.detail else ''}{self.detail})"


@dataclass(frozen=True, slots=True)
class LockAnswer:
    """Whether this process may send for the peer; possibly_double: names that its predecessor may have sent."""

    taken: bool
    possibly_double: tuple[str, ...] = ()
    detail: str = ""

    def __bool__(self) -> bool:
        """Return taken."""
        return self.taken
