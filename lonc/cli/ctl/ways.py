"""Owns the small facts around the daemon: open descriptors, room on the disks, the operator's lasting wishes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

from lonc.system.files import SystemFiles, open_regular, read_all

WANTED_LIMIT = 1 << 20  # bytes of lonc.wanted; a thousand peers with every wish are under 100 KiB


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Open files of a process and the most it may have."""

    open: int
    limit: int


@dataclass(frozen=True, slots=True)
class Room:
    """What is left on the file system of a place. inodes_free: -1 when it counts none."""

    path: str
    bytes_free: int
    bytes_size: int
    inodes_free: int


def descriptors(pid: int) -> Descriptors | None:
    """Return the open files of a process and its limit; None when it is gone or another user's."""
    try:
        count = len(os.listdir(f"/proc/{pid}/fd"))
        limit = _limit(pid)
    except (OSError, ValueError):
        return None
    return Descriptors(count, limit)


def _limit(pid: int) -> int:
    with open(f"/proc/{pid}/limits", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Max open files"):
                soft = line.split()[3]
                return 1 << 30 if soft == "unlimited" else int(soft)
    raise ValueError("no limit is told")


def rooms(paths: Iterable[str]) -> tuple[Room, ...]:
    """Return the room at each place that is there, once for each file system."""
    found: dict[int, Room] = {}
    for path in paths:
        with contextlib.suppress(OSError):
            device, facts = os.stat(path).st_dev, os.statvfs(path)
            size, free = facts.f_frsize * facts.f_blocks, facts.f_frsize * facts.f_bavail
            found.setdefault(device, Room(path, free, size, facts.f_favail if facts.f_files else -1))
    return tuple(found.values())


def all_wishes(path: str) -> dict[str, frozenset[str]]:
    """Return the wishes of lonc.wanted by peer; nothing when there is no file or it cannot be read."""
    files = SystemFiles()
    try:
        fd = open_regular(files, path, os.O_RDONLY)
        try:
            text = read_all(files, fd, WANTED_LIMIT).decode("utf-8", "replace")
        finally:
            files.close(fd)
    except OSError:
        return {}
    found: dict[str, set[str]] = {}
    for words in (line.split("\t") for line in text.splitlines()):
        if len(words) in (2, 3):  # the third: until when (lonc/child/wishes.py)
            found.setdefault(words[0], set()).add(words[1].strip())
    return {peer: frozenset(wishes) for peer, wishes in found.items()}
