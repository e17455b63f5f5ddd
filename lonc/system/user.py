"""Owns whether a process runs as the user it must be (loncUser), and what is told when it does not.

Source: spec lonc.md 1.2.
"""

from __future__ import annotations

import os
import pwd

from lonc.config import Config
from lonc.errors import StartError
from lonc.system.mail import send_mail


def user_id(name: str) -> int | None:
    """Return the user id of a name, or of a number as containers use it; None when there is none."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return int(name) if name.isdecimal() else None


def require_user(config: Config, program: str) -> None:
    """Return when we run as loncUser; else send the mail `LON: User ID mismatch` and raise StartError.

    program: `lonc` or `lond`, as it is called in what is told.
    """
    wanted = user_id(config.user)
    if wanted is not None and wanted == os.getuid() == os.geteuid():
        return
    unknown = "" if wanted is not None else f" (there is no user {config.user} on this machine)"
    text = f"User ID mismatch. {program} must be run as user {config.user}, not as {_own_name()}{unknown}"
    send_mail((config.admin_mail, config.sys_mail), "LON: User ID mismatch", text)
    raise StartError(text)


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user id {os.geteuid()}"
