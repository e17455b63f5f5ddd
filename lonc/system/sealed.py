"""What one self of a daemon leaves to the next over exec: bytes in a sealed memfd, and the ends of pipes.

Nothing of it is trusted by itself: a descriptor's number stands on the command line, so it is checked for kind,
owner and seals before a byte of it is believed (promises.md 3, forged hand-over).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Callable, Iterable, Sequence

SEALED_LIMIT = 16 << 20  # bytes
# What reading damaged notes raises: no JSON, other types, a number beyond all bounds, lists in lists without end.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
_INT_MAX = (1 << 31) - 1  # of the C calls that take a pid or a descriptor
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def write_sealed(name: str, data: bytes) -> int:
    """Return an inheritable, sealed memfd that holds data. Raises OSError, also for more than can be read."""
    if len(data) > SEALED_LIMIT:
        raise OSError(errno.EFBIG, "the hand-over is too large")
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        while data:
            data = data[os.write(fd, data) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        os.set_inheritable(fd, True)
    except OSError:
        os.close(fd)
        raise
    return fd


def exec_again(argv: Sequence[str], write: Callable[[], int], kept: Iterable[int]) -> str:
    """Execute this program again with `--resume FD` behind argv. Returns only when that failed: the reason.

    write: makes the notes and returns their descriptor; kept: what else stays open over exec. Each loses its
    close-on-exec mark only in the last moment, so a failure leaves everything as it was.
    """
    marked: list[int] = []
    notes_fd = -1
    try:
        notes_fd = write()
        for fd in kept:
            marked.append(fd)
            os.set_inheritable(fd, True)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(argv[0], [*argv, "--resume", str(notes_fd)], os.environ)
    except OSError as error:
        for fd in marked:
            os.set_inheritable(fd, False)
        if notes_fd >= 0:
            os.close(notes_fd)
        return f"{argv[0]}: {error.strerror or error}"


def read_sealed(fd: int) -> bytes:
    """Return what write_sealed has put into fd, which stays open. Raises OSError for anything else."""
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_size > SEALED_LIMIT:
        raise OSError(0, "not a file of this daemon")
    if fcntl.fcntl(fd, fcntl.F_GET_SEALS) != _SEALS:  # only a memfd can have seals at all
        raise OSError(0, "not sealed")
    return os.pread(fd, SEALED_LIMIT, 0)


def whole_number(value: object) -> int:
    """Return a pid or a descriptor out of notes; TypeError, ValueError: it can be none."""
    if not isinstance(value, int):
        raise TypeError("a number expected")
    if not -1 <= value <= _INT_MAX:
        raise ValueError("a number that no process and no descriptor has")
    return value


def is_pipe_end(fd: int, access: int) -> bool:
    """Return whether fd is an end of a pipe for this access (os.O_RDONLY or os.O_WRONLY)."""
    try:
        right_way = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == access
        return stat.S_ISFIFO(os.fstat(fd).st_mode) and right_way
    except OSError:
        return False
