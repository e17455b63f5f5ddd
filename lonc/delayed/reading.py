"""Owns how one file is read: as one line of a regular file that nobody is writing to, unsealed, or why not."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from lonc.delayed.results import Entry, Identity, Message, is_that
from lonc.delayed.sealing import SEALED, SealBrokenError, SealError, sealed_size
from lonc.system.files import Files, kind_of, open_with_facts, read_all
from lonc.wire.words import ENCRYPT

# No fault of the file: descriptors or memory are short for now (P26).
SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR})
NO_RIGHT = frozenset({errno.EACCES, errno.EPERM})


class Content(NamedTuple):
    """A message as read; bare: it had no newline."""

    message: Message
    bare: bool


@dataclass(frozen=True, slots=True)
class Bad:
    """The file cannot be a message as it is now; why, in words for a person."""

    why: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Another file or content than expected was met, or none: look at it anew."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An error that says nothing about the file. shortage: of descriptors or memory, try again at once."""

    why: str
    shortage: bool


Found = Content | Bad | Changed | Unreadable
Unseal = Callable[[bytes], bytes]  # raises SealBrokenError or SealError


def why_bad(mode: int, size: int, max_line_bytes: int) -> str:
    """Return why what a stat call told can be no message, "" when it can."""
    if not stat.S_ISREG(mode):
        return f"not a file but {kind_of(mode)}"
    # Neither the word nor the newline is counted (wire.md 4), and what is sealed is longer than it was.
    return _too_big(size, max_line_bytes, sealed_size(max_line_bytes + len(ENCRYPT)) + 1)


def _too_big(size: int, max_line_bytes: int, limit: int) -> str:
    return f"{size} bytes, more than the longest line of {max_line_bytes}" if size > limit else ""


def read(
    files: Files, path: str, entry: Entry, identity: Identity, max_line_bytes: int,
    unseal: Unseal, *, looked_at_later: bool = False,
) -> Found:  # fmt: skip
    """Return what the file at path holds. Only a regular file with this identity, before and after, is read.

    unseal: called with a line that is sealed. looked_at_later: the look after it is the caller's, who makes it
    when he uses what was read.
    """
    try:
        fd, facts = open_with_facts(files, path, os.O_RDONLY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.ENXIO):
            return Changed()  # it was a regular file a moment ago
        return _unreadable(error)
    try:
        try:
            if not is_that(facts, identity):
                return Changed()
            # That nothing follows is told by the look after it; no call is needed to find the end.
            data = read_all(files, fd, identity.size)
            if len(data) != identity.size or not (looked_at_later or is_that(files.fstat(fd), identity)):
                return Changed()
        finally:
            files.close(fd)
    except OSError as error:
        return _unreadable(error)
    return _one_line(data, entry, identity, max_line_bytes, unseal)


def _one_line(
    data: bytes, entry: Entry, identity: Identity, max_line_bytes: int, unseal: Unseal
) -> Content | Bad | Unreadable:
    """Take the content for a message: one line, with or without its newline; any other byte is allowed."""
    end = data.find(b"\n")
    if end not in (-1, len(data) - 1):
        return Bad("more than one line")
    line = data if end < 0 else data[:end]
    if line.startswith(SEALED):
        try:
            line = unseal(line)
        except SealBrokenError as error:
            return Bad(str(error))
        except SealError as error:
            return Unreadable(f"cannot be unsealed: {error}", shortage=False)
        if b"\n" in line:
            return Bad("more than one line")
    elif why := _too_big(len(data), max_line_bytes, max_line_bytes + len(ENCRYPT) + 1):
        return Bad(why)
    if len(line) > max_line_bytes + (len(ENCRYPT) if line.startswith(ENCRYPT) else 0):
        return Bad(f"a line of {len(line)} bytes, more than the longest of {max_line_bytes}")
    return Content(Message(entry, line, identity), bare=end < 0)


def _unreadable(error: OSError) -> Bad | Unreadable:
    why = f"cannot be read: {error.strerror}"
    return Bad(why) if error.errno in NO_RIGHT else Unreadable(why, error.errno in SHORTAGE)
