"""Owns how a line gets to the end of a file that others append to, rotate, remove and fill the disk under.

Theory: what counts for each line is the file that has the name at that moment, so that after a rename or a
removal the next line is in a new file, with no signal needed (spec files.md 3). One write with O_APPEND is one
line, whole, however many processes write. A disk that fills up in the middle of a line leaves a torn one;
whoever writes next, in whatever process, sees that the file does not end in a newline and ends the torn line
first. Only regular files: a FIFO, a device, a directory or a link at the name is an error that names it, and so is
another user's file that has a second name.

A file is opened for each line, but while many come in a row it is kept open (hold): then one look at the name
tells whether it is still the file that has it, and how long it is. For a moment only: a log that was removed
gives its room on the disk back when the last process has closed it.
"""

from __future__ import annotations

import errno
import os

from lonc.system.files import Files, open_with_facts, refuse_foreign

# Reading too, for the look at the last byte.
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND
_LOOKS = 4  # a torn line stays, half a line of a write under way does not


class LineFile:
    """The end of one file, as one process sees it."""

    def __init__(self, files: Files, path: str, mode: int) -> None:
        """mode is the final mode of a file that append() creates: it is given to open, under the process mask
        that the daemon sets at its start (P29)."""
        self.path = path
        self._files = files
        self._mode = mode
        self._hold = False
        self._fd = -1  # open between two lines only while held
        self._which = (0, 0)  # device and inode behind it

    def hold(self) -> None:
        """Keep the file open from the next line on until release(): many lines are coming."""
        self._hold = True

    def release(self) -> None:
        """Open the file for each line again. OSError: from closing it; it is closed all the same."""
        self._hold = False
        self._close()

    def append(self, data: bytes) -> None:
        """Append data (whole lines, with newlines) in one write; OSError: it is not there, or torn."""
        size = self._in_place() if self._fd >= 0 else -1
        if size < 0:
            size = self._open()
        try:
            if size and self._ends_torn(size):
                data = b"\n" + data
            written = self._files.write(self._fd, data)
            if written != len(data):
                self._end_torn_line()
                raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes could be written", self.path)
        finally:
            if not self._hold:
                self._close()

    def _open(self) -> int:
        """Open what has the name now, or a new file; return its size in bytes."""
        self._close()
        self._fd, facts = open_with_facts(self._files, self.path, _FLAGS, self._mode)
        try:
            refuse_foreign(facts, self.path)
        except OSError:
            self._close()
            raise
        self._which = (facts.st_dev, facts.st_ino)
        return facts.st_size

    def _in_place(self) -> int:
        """Return the size of the open file, -1 when another has its name now, or none has."""
        try:
            facts = self._files.lstat(self.path)
        except OSError:
            return -1  # opening it anew says what is wrong
        return facts.st_size if self._which == (facts.st_dev, facts.st_ino) else -1

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._files.close(fd)

    def _ends_torn(self, size: int) -> bool:
        """Return whether the file, of that size a moment ago, ends in a line without its newline."""
        for _ in range(_LOOKS):
            # b"": copytruncate has cut the file since the look at its size
            if not size or self._files.pread(self._fd, 1, size - 1) in (b"\n", b""):
                return False
            # A write of nothing changes nothing, but it waits, as our own write would, for one that is under
            # way: while that goes from page to page the file seems to end in half a line.
            self._files.write(self._fd, b"")
            size = self._files.fstat(self._fd).st_size
        return True

    def _end_torn_line(self) -> None:
        try:
            self._files.write(self._fd, b"\n")
        except OSError:
            return  # the next writer does it


def reason_of(error: OSError) -> str:
    """Return why a file cannot be written, with its name, as an administrator needs it."""
    text = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {text}" if error.filename else text
