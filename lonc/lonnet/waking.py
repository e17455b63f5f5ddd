"""Owns `reconlonc`: the lonc of this machine is told that a peer may be back, and its socket is waited for."""

from __future__ import annotations

import os
import signal
import time

from lonc.config import Config, valid_id
from lonc.lonnet.sockets import connected_to
from lonc.system.files import Files
from lonc.system.lock import foreign_holder, is_alive, lock_holder, read_pid

WAIT_S = 10.0
_POLL_S = 0.05


def find_lonc(config: Config, files: Files) -> int:
    """Return the pid of the lonc of this machine, 0 when none runs or it cannot be known.

    It is the one in lonc.pid, and only if that process holds lonc.lock or is a living original: a pid that
    belongs to something else by now is never signalled (P15).
    """
    named = read_pid(files, config.pid_path)
    if named <= 1:
        return 0
    holder = lock_holder(config.lock_path, files)
    if holder:
        return holder if holder == named and is_alive(holder) else 0
    return foreign_holder(files, config.pid_path)


def wake_lonc(config: Config, files: Files, peer: str, *, wait_s: float = WAIT_S) -> str:
    """Send USR1 to lonc and wait until the socket of the peer takes a connection, at most wait_s seconds.

    Returns "" when it does, else why it does not, in words for a log. Never raises.
    """
    if not valid_id(peer):
        return "no such host"
    pid = find_lonc(config, files)
    if not pid:
        return f"no lonc runs by {config.pid_path} and {config.lock_path}"
    try:
        os.kill(pid, signal.SIGUSR1)
    except OSError as error:
        return f"lonc, process {pid}, cannot be signalled: {error.strerror}"
    until = time.monotonic() + wait_s
    while True:
        try:
            connected_to(config.socket_path(peer), until).close()
            return ""
        except OSError as error:
            if time.monotonic() >= until:
                return f"no answer at the socket after {wait_s:.0f} s: {error}"
        time.sleep(_POLL_S)
