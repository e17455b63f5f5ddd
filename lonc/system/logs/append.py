"""Owns how a line gets to the end of a file that others append to, rotate, remove and fill the disk under.

Theory: the file is opened for every line, so that after a rename or a removal the next line is in a new
file, with no signal needed (spec files.md 3). One write with O_APPEND is one line, whole, however many
processes write. A disk that fills up in the middle of a line leaves a torn one; whoever writes next, in
whatever process, sees that the file does not end in a newline and ends the torn line first.
Only regular files: a FIFO, a device, a directory or a link at the name is an error that names it.
"""

from __future__ import annotations

import errno
import os

from lonc.system.files import Files, open_regular

# Reading too, for the look at the last byte.
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND
_LOOKS = 4  # a torn line stays, half a line of a write under way does not


def append(files: Files, path: str, data: bytes, mode: int) -> None:
    """Append data (whole lines, with newlines) in one write; OSError: it is not there, or torn.

    mode is the final mode of a file that this call creates: it is given to open, under the process mask
    that the daemon sets at its start (P29).
    """
    fd = open_regular(files, path, _FLAGS, mode)
    try:
        if _ends_torn(files, fd):
            data = b"\n" + data
        written = files.write(fd, data)
        if written != len(data):
            _end_torn_line(files, fd)
            raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes could be written", path)
    finally:
        files.close(fd)


def reason_of(error: OSError) -> str:
    """Return why a file cannot be written, with its name, as an administrator needs it."""
    text = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {text}" if error.filename else text


def _ends_torn(files: Files, fd: int) -> bool:
    """Return whether the file ends in a line without its newline."""
    for _ in range(_LOOKS):
        size = files.fstat(fd).st_size
        # b"": copytruncate has cut the file since the look at its size
        if not size or files.pread(fd, 1, size - 1) in (b"\n", b""):
            return False
        # A write of nothing changes nothing, but it waits, as our own write would, for one that is under way:
        # while that goes from page to page the file seems to end in half a line.
        files.write(fd, b"")
    return True


def _end_torn_line(files: Files, fd: int) -> None:
    try:
        files.write(fd, b"\n")
    except OSError:
        return  # the next writer does it
