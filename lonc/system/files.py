"""Owns how lonc touches files: one protocol over the system calls, the real calls, and three careful uses.

The protocol is the seam for fault tests: an implementation that fails the n-th call shows what a full
disk, a lost permission or a kill at that call does. Paths are str; bytes that are no UTF-8 come and go as
surrogates (os.fsdecode). No call follows a symbolic link in the last part of a path, and no descriptor
survives exec, unless a caller clears that itself for one he hands over.

Modes are the final ones (P29): the mode is given to open, so no file is ever wider for a moment; the
process mask can only narrow it, and the daemon sets its mask once at its start.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import Protocol


class Files(Protocol):
    """The system calls on files that lonc makes. All may raise OSError."""

    def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
        """Return a descriptor; close-on-exec and no-follow are always added to flags."""

    def read(self, fd: int, n: int) -> bytes:
        """Return at most n bytes from where the descriptor stands; b"" at the end."""

    def pread(self, fd: int, n: int, offset: int) -> bytes:
        """Return at most n bytes from offset, without moving."""

    def write(self, fd: int, data: bytes) -> int:
        """Return how many bytes were written, perhaps fewer than given."""

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Return how many bytes were written at offset, perhaps fewer than given."""

    def ftruncate(self, fd: int, length: int) -> None:
        """Cut or extend the file to length bytes."""

    def fallocate(self, fd: int, offset: int, length: int) -> None:
        """Give the range real blocks on the disk, extending the file where needed."""

    def fsync(self, fd: int) -> None:
        """Return when the file (or directory) is on the disk."""

    def close(self, fd: int) -> None:
        """Give the descriptor back."""

    def fstat(self, fd: int) -> os.stat_result:
        """Return the facts about an open file."""

    def fchown(self, fd: int, uid: int, gid: int) -> None:
        """Give an open file to another user and group."""

    def lstat(self, path: str) -> os.stat_result:
        """Return the facts about what stands at path, a link itself if it is one."""

    def rename(self, src: str, dst: str) -> None:
        """Give src the name dst, replacing what was there."""

    def link(self, src: str, dst: str) -> None:
        """Give src the further name dst; FileExistsError when that is taken."""

    def unlink(self, path: str) -> None:
        """Remove a name."""

    def mkdir(self, path: str, mode: int) -> None:
        """Make a directory."""

    def listdir(self, path: str) -> list[str]:
        """Return the names in a directory, unsorted, without `.` and `..`."""

    def flock(self, fd: int, operation: int) -> None:
        """Lock or unlock the whole open file (fcntl.LOCK_...)."""


class SystemFiles:
    """The machine's own calls."""

    def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
        """Open; see Files."""
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode, dir_fd=dir_fd)

    def read(self, fd: int, n: int) -> bytes:
        """Read; see Files."""
        return os.read(fd, n)

    def pread(self, fd: int, n: int, offset: int) -> bytes:
        """Read at a place; see Files."""
        return os.pread(fd, n, offset)

    def write(self, fd: int, data: bytes) -> int:
        """Write; see Files."""
        return os.write(fd, data)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Write at a place; see Files."""
        return os.pwrite(fd, data, offset)

    def ftruncate(self, fd: int, length: int) -> None:
        """Cut or extend; see Files."""
        os.ftruncate(fd, length)

    def fallocate(self, fd: int, offset: int, length: int) -> None:
        """Allocate blocks; see Files. Where the file system cannot, the C library writes zeros."""
        os.posix_fallocate(fd, offset, length)

    def fsync(self, fd: int) -> None:
        """Sync; see Files."""
        os.fsync(fd)

    def close(self, fd: int) -> None:
        """Close; see Files."""
        os.close(fd)

    def fstat(self, fd: int) -> os.stat_result:
        """Stat a descriptor; see Files."""
        return os.fstat(fd)

    def fchown(self, fd: int, uid: int, gid: int) -> None:
        """Give away; see Files."""
        os.fchown(fd, uid, gid)

    def lstat(self, path: str) -> os.stat_result:
        """Stat a name; see Files."""
        return os.lstat(path)

    def rename(self, src: str, dst: str) -> None:
        """Rename; see Files."""
        os.rename(src, dst)

    def link(self, src: str, dst: str) -> None:
        """Link; see Files."""
        os.link(src, dst, follow_symlinks=False)

    def unlink(self, path: str) -> None:
        """Unlink; see Files."""
        os.unlink(path)

    def mkdir(self, path: str, mode: int) -> None:
        """Make a directory; see Files."""
        os.mkdir(path, mode)

    def listdir(self, path: str) -> list[str]:
        """List a directory; see Files."""
        return os.listdir(path)

    def flock(self, fd: int, operation: int) -> None:
        """Lock; see Files."""
        fcntl.flock(fd, operation)


def open_regular(files: Files, path: str, flags: int, mode: int = 0o600) -> int:
    """Return a descriptor of a regular file at path; anything else there is an OSError that says what it is.

    O_NONBLOCK is added, so that a FIFO or a device at this name cannot make the caller wait; it means
    nothing for a regular file. A symbolic link is ELOOP, a missing directory ENOENT, as from open itself.
    """
    return open_with_facts(files, path, flags, mode)[0]


def open_with_facts(files: Files, path: str, flags: int, mode: int = 0o600) -> tuple[int, os.stat_result]:
    """Return a descriptor as open_regular does, and what fstat has told about it."""
    fd = files.open(path, flags | os.O_NONBLOCK, mode)
    try:
        facts = files.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, f"not a regular file but {kind_of(facts.st_mode)}", path)
    except OSError:
        files.close(fd)
        raise
    return fd, facts


def refuse_foreign(facts: os.stat_result, path: str) -> None:
    """Raise OSError for a file of another user that has a second name: somebody wants us to write into it.

    One of our own may have two names: `ln` and `rm` is a way to rotate a log.
    """
    if facts.st_nlink > 1 and facts.st_uid != os.geteuid():
        raise OSError(errno.EPERM, f"it has a second name and belongs to user id {facts.st_uid}", path)


def kind_of(mode: int) -> str:
    """Return in words what st_mode says a file is; `something unknown` when it is none of the known."""
    kinds = (
        (stat.S_ISREG, "a regular file"),
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
    )
    return next((word for is_kind, word in kinds if is_kind(mode)), "something unknown")


def write_all(files: Files, fd: int, data: bytes) -> None:
    """Write all of data, in as many calls as it takes; OSError leaves an unknown part written."""
    while data:
        written = files.write(fd, data)
        if written <= 0:  # no progress and no error: never loop for ever
            raise OSError(errno.EIO, "write made no progress")
        data = data[written:]


def read_all(files: Files, fd: int, limit: int) -> bytes:
    """Return what follows in the file, at most limit bytes.

    A result of exactly limit bytes may not be all of it: ask for one more than you would take.
    """
    chunks: list[bytes] = []
    left = limit
    while left > 0:
        chunk = files.read(fd, min(left, 1 << 20))
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def replace_file(files: Files, path: str, data: bytes, mode: int, *, sync: bool) -> None:
    """Make the file at path hold data, at once and whole: readers see the old one or the new one.

    A new file beside it (a name that begins with a dot and ends with our pid) is written and renamed; what
    stood at path is replaced whatever it was, a link never followed. mode: as narrowed by the process mask.
    sync: file and directory are on the disk before the return, so that a power cut leaves old or new too.
    OSError: path is as before (but after a failed sync of the directory: either), nothing is left beside it.
    """
    folder, name = os.path.split(path)
    fresh = os.path.join(folder, f".{name}.{os.getpid()}")
    fd = _open_fresh(files, fresh, mode)
    try:
        try:
            write_all(files, fd, data)
            if sync:
                files.fsync(fd)
        finally:
            files.close(fd)
        files.rename(fresh, path)
    except OSError:
        _forget(files, fresh)
        raise
    if sync:
        sync_directory(files, folder)


def sync_directory(files: Files, path: str) -> None:
    """Return when the names in a directory are on the disk."""
    # "/." because the directory itself may well be a link that an administrator made
    fd = files.open(os.path.join(path or ".", "."), os.O_RDONLY | os.O_DIRECTORY)
    try:
        files.fsync(fd)
    finally:
        files.close(fd)


def _open_fresh(files: Files, path: str, mode: int) -> int:
    """Create a file that must be new; what a killed process of our pid left there is removed first."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return files.open(path, flags, mode)
    except FileExistsError:
        files.unlink(path)
        return files.open(path, flags, mode)


def _forget(files: Files, path: str) -> None:
    """Remove a name if it can be; the caller already has the error that matters."""
    try:
        files.unlink(path)
    except OSError:
        return
