"""Owns the commands about the server itself: load and userload."""

from __future__ import annotations

import os
import stat
from typing import Final

from lonc.lond.commands import answers
from lonc.lond.commands.model import Command, Context, Reply

SESSION_S: Final = 3600  # a session whose file was not touched for so long is over
# Entries of lonIDsDir that are looked at. Nobody has so many sessions; a directory that nobody tidies may have
# any number of files, and a question that is asked for every page must not take seconds.
SESSIONS_LIMIT: Final = 100_000


def percent(part: float, limit: float) -> bytes:
    """Return 100 x part / limit as Perl writes a number; limit is more than 0."""
    return b"%s" % f"{100 * part / limit:.15g}".encode("ascii")


def sessions(folder: str, now: float) -> int:
    """Return how many regular files of a directory were touched within SESSION_S before now (wall seconds).

    A clock that jumped back leaves files of the future, which count. At most SESSIONS_LIMIT entries are looked at.
    Links are not followed; a file that vanishes meanwhile is none. Raises OSError when there is no such directory.
    """
    found = 0
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= SESSIONS_LIMIT:
                break
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            found += stat.S_ISREG(facts.st_mode) and now - facts.st_mtime <= SESSION_S
    return found


def _load(context: Context) -> Reply:
    """100 x the load of one minute / `lonLoadLim`."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return answers.error("the load of this machine cannot be read")
    return Reply(percent(load, context.config.load_limit))


def _userload(context: Context) -> Reply:
    """100 x active sessions / `lonUserLoadLim`, 0 when the limit is 0."""
    limit = context.config.user_load_limit
    if not limit:
        return Reply(b"0")
    try:
        return Reply(percent(sessions(context.config.ids_dir, context.now), limit))
    except OSError:
        return answers.error("the sessions of this server cannot be counted")


ROWS: tuple[Command, ...] = (
    Command(b"load", (), _load),
    Command(b"userload", (), _userload),
)
