"""Owns what a careful writer leaves: files of the right owner, and temporary ones of writers that died."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from lonc.system.clock import Clock
from lonc.system.files import Files

OLD_S = 3600.0  # no living writer takes so long from its first call to its last


def give_to_owner_of(files: Files, fd: int, folder: str) -> None:
    """Give a file that root has made to the owner of its directory: lonc, which is not root, has to read it."""
    if os.geteuid() == 0:
        facts = files.lstat(os.path.join(folder, "."))
        if facts.st_uid != 0:
            files.fchown(fd, facts.st_uid, facts.st_gid)


def remove_leftovers(files: Files, clock: Clock, folder: str, pattern: str) -> None:
    """Remove the files in a directory whose whole name matches and that are OLD_S old by their mtime.

    What cannot be removed stays: it does no harm, and the next writer tries again.
    """
    try:
        names = [name for name in files.listdir(folder) if re.fullmatch(pattern, name)]
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        with suppress(OSError):
            if clock.wall() - files.lstat(path).st_mtime > OLD_S:
                files.unlink(path)
