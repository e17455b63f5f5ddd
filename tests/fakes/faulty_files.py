"""Owns the machine's files with faults: calls that fail when and as a test says, and a clock set by hand."""

from __future__ import annotations

import errno
import os

from lonc.system.files import SystemFiles


class FaultyFiles(SystemFiles):
    """Real files, but that the calls numbered in `failing` (from 1), or all while `broken`, raise `code`.

    Calls on the descriptors in `exempt` are neither counted nor failed. closes are counted and never
    failed: the real one gives the descriptor back whatever it says. short: what the first failing write
    still writes, in bytes, before the disk is full (None: nothing, an error).
    """

    def __init__(self, code: int = errno.ENOSPC, failing: frozenset[int] | set[int] = frozenset()) -> None:
        self.code = code
        self.failing = failing
        self.broken = False
        self.only: frozenset[str] | None = None  # names of calls that count; None: all
        self.exempt: set[int] = set()
        self.short: int | None = None
        self.calls: list[str] = []

    def _fails(self, call: str, fd: int = -1) -> bool:
        if fd in self.exempt or (self.only is not None and call not in self.only):
            return False
        self.calls.append(call)
        return self.broken or len(self.calls) in self.failing

    def _call(self, call: str, fd: int = -1) -> None:
        if self._fails(call, fd):
            raise OSError(self.code, os.strerror(self.code))

    def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
        """Open, or fail."""
        self._call("open")
        return super().open(path, flags, mode, dir_fd)

    def pread(self, fd: int, n: int, offset: int) -> bytes:
        """Read at a place, or fail."""
        self._call("pread", fd)
        return super().pread(fd, n, offset)

    def write(self, fd: int, data: bytes) -> int:
        """Write, or fail, or write the first `short` bytes."""
        if not self._fails("write", fd):
            return super().write(fd, data)
        if self.short is None:
            raise OSError(self.code, os.strerror(self.code))
        short, self.short = self.short, None
        return super().write(fd, data[:short])

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Write at a place, or fail."""
        self._call("pwrite", fd)
        return super().pwrite(fd, data, offset)

    def ftruncate(self, fd: int, length: int) -> None:
        """Cut, or fail."""
        self._call("ftruncate", fd)
        super().ftruncate(fd, length)

    def fallocate(self, fd: int, offset: int, length: int) -> None:
        """Allocate, or fail."""
        self._call("fallocate", fd)
        super().fallocate(fd, offset, length)

    def fsync(self, fd: int) -> None:
        """Sync, or fail."""
        self._call("fsync", fd)
        super().fsync(fd)

    def fstat(self, fd: int) -> os.stat_result:
        """Stat, or fail."""
        self._call("fstat", fd)
        return super().fstat(fd)

    def lstat(self, path: str) -> os.stat_result:
        """Stat a name, or fail."""
        self._call("lstat")
        return super().lstat(path)

    def rename(self, src: str, dst: str) -> None:
        """Rename, or fail."""
        self._call("rename")
        super().rename(src, dst)

    def unlink(self, path: str) -> None:
        """Unlink, or fail."""
        self._call("unlink")
        super().unlink(path)


class HandClock:
    """A clock that stands still until a test moves it; both times begin at a known moment."""

    def __init__(self, monotonic: float = 1000.0, wall: float = 1_015_556_179.0) -> None:
        self.now = monotonic
        self.at = wall

    def monotonic(self) -> float:
        """Return what was set."""
        return self.now

    def wall(self) -> float:
        """Return what was set."""
        return self.at

    def pass_by(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.now += seconds
        self.at += seconds
