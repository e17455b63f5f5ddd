"""Owns who has subscribed to a resource: lines `client:address:time` in `<resource>.subscription`.

One line per client; lines that others have written stay as they are. The file is read, changed and replaced
with its directory locked, so that no line is lost when two workers do it at once; a reader (the publisher)
needs no lock, since it finds the old file or the new one. A change is on the disk before it is told.
Source: spec lond.md 2.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from lonc.lonnet.places import SUBSCRIBERS, Place, locked
from lonc.system.files import Files, open_regular, read_all, replace_file

SUBSCRIBERS_MODE: Final = 0o640
_FILE_BYTES: Final = 16 << 20  # more than 100,000 subscribers


def add(files: Files, place: Place, suffix: str, client: bytes, address: str, now: float) -> None:
    """Note a client as subscriber of the file at a place (its name with suffix), in place of an older note.

    Raises OSError and Busy; then nothing has changed, or it is not known to be on the disk.
    """
    line = b"%s:%s:%d\n" % (client, address.encode("ascii", "replace"), int(now))
    with locked(files, place):
        lines = _lines(files, place, suffix)
        _keep(files, place, suffix, [*_others(lines, client), line])


def remove(files: Files, place: Place, suffix: str, client: bytes) -> bool:
    """Remove the note of a client and return whether there was one; an empty file goes too. Raises as add does."""
    with locked(files, place):
        lines = _lines(files, place, suffix)
        others = _others(lines, client)
        if len(others) == len(lines):
            return False
        if others:
            _keep(files, place, suffix, others)
        else:
            files.unlink(place.path(suffix + SUBSCRIBERS))
            files.fsync(place.folder)
        return True


def _others(lines: list[bytes], client: bytes) -> list[bytes]:
    return [line for line in lines if line.partition(b":")[0] != client]


def _lines(files: Files, place: Place, suffix: str) -> list[bytes]:
    """Return the lines of the file, each with its newline; none when there is no file."""
    try:
        fd = open_regular(files, place.path(suffix + SUBSCRIBERS), os.O_RDONLY)
    except FileNotFoundError:
        return []
    try:
        data = read_all(files, fd, _FILE_BYTES + 1)
    finally:
        files.close(fd)
    if len(data) > _FILE_BYTES:  # half of it would be lost in the writing
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return [line + b"\n" for line in data.split(b"\n") if line.strip()]


def _keep(files: Files, place: Place, suffix: str, lines: list[bytes]) -> None:
    replace_file(files, place.path(suffix + SUBSCRIBERS), b"".join(lines), SUBSCRIBERS_MODE, sync=True)
