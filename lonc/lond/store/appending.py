"""Owns lines at the end of a text file: whole, on the disk when told so, one after the other.

`activity.log` and the journals of the GDBM engine grow this way. The file is locked while a line is added, so
that a write that fails half way can be taken back and nobody's line lands behind the half.
"""

from __future__ import annotations

import fcntl
import os
import time

from lonc.lond.store.model import Owner, StoreError
from lonc.lond.store.names import directory_of, reason
from lonc.system.files import Files, open_regular, sync_directory, write_all

FILE_MODE = 0o600
LOCK_WAIT_S = 10.0  # a line takes milliseconds; whoever holds the lock for longer is stopped or stuck
_FIRST_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.005


def append_activity(files: Files, users_dir: str, owner: Owner, line: bytes) -> None:
    """Append a line to the activity log of a user in the original's layout, durably, or raise StoreError."""
    folder = directory_of(files, users_dir, owner, make=True)
    assert folder is not None
    try:
        append_line(files, os.path.join(folder, "activity.log"), line)
    except OSError as error:
        raise StoreError(f"activity.log cannot be written: {reason(error)}") from error


def append_line(files: Files, path: str, line: bytes) -> int:
    """Add line and a newline to the file at path, made with mode 0600; return its size before, in bytes.

    On the disk before the return, the name of a new file as well. A half line of a crash, at the end of the
    file, gets its newline first. OSError: the file is as before (a link or no regular file: never touched).
    """
    fd = open_regular(files, path, os.O_RDWR | os.O_APPEND | os.O_CREAT, FILE_MODE)
    try:
        lock(files, fd, fcntl.LOCK_EX)
        before = files.fstat(fd).st_size
        whole = before == 0 or files.pread(fd, 1, before - 1) == b"\n"
        try:
            write_all(files, fd, (b"" if whole else b"\n") + line + b"\n")
            files.fsync(fd)
            if before == 0:  # also a file whose maker was killed before he got here
                sync_directory(files, os.path.dirname(path))
        except OSError:
            cut_back(files, fd, before)
            raise
    finally:
        files.close(fd)
    return before


def cut_back(files: Files, fd: int, size: int) -> None:
    """Take back what was added, if it can be; the caller already has the error that matters."""
    try:
        files.ftruncate(fd, size)
    except OSError:
        return


def lock(files: Files, fd: int, kind: int, limit_s: float = LOCK_WAIT_S) -> None:
    """Return when the lock (LOCK_EX or LOCK_SH) on the open file is ours; BlockingIOError after limit_s.

    Asked for again and again, because a blocking flock has no time limit.
    """
    give_up = time.monotonic() + limit_s
    pause = _FIRST_PAUSE_S
    while True:
        try:
            return files.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)

