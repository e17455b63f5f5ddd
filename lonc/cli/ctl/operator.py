"""Owns who the operator is: the user behind a change, which the log names, and the user that makes it.

Root changes nothing as root: what it made would belong to root, and lonc, which is not root, could not use it.
So a change is made as loncUser. Other users cannot make any.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from lonc.config import Config
from lonc.errors import LoncError
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from lonc.system.logs import Log
from lonc.system.user import user_id


class NotAllowedError(LoncError):
    """This user may not do it; the text says who may."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who asked. uid: the real user id; behind: of the user that became root by sudo, None else."""

    uid: int
    behind: int | None

    def __str__(self) -> str:
        """Return it as the log has it."""
        more = "" if self.behind is None else f", by sudo from {self.behind}"
        return f"user id {self.uid}{more}"


def become_operator(config: Config) -> Person:
    """Make this process loncUser's if it is root's, and return who asked. Raises NotAllowedError for others."""
    uid = os.getuid()
    behind = os.environ.get("SUDO_UID", "")
    person = Person(uid, int(behind) if uid == 0 and behind.isascii() and behind.isdigit() else None)
    wanted = user_id(config.user)
    if wanted is None:
        raise NotAllowedError(f"there is no user {config.user} (loncUser) on this machine")
    if os.geteuid() == wanted:
        return person
    if os.geteuid() != 0:
        raise NotAllowedError(f"only {config.user} and root may do this, not user id {os.geteuid()}")
    try:
        entry = pwd.getpwuid(wanted)
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    except KeyError:  # a number without a name, as containers use it
        os.setgroups([])
    os.setresuid(wanted, wanted, wanted)
    return person


def operator_log(config: Config) -> Log:
    """Return the daemon's log, to write what an operator changes."""
    log = Log(config.log_path, files=SystemFiles(), clock=SystemClock(), who="loncctl")
    log.status = "Operator"
    return log
