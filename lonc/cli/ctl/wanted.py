"""Owns the changes of logs/lonc.wanted: one line at a time, the others kept, editors one after the other.

The file is replaced by rename, so a child that reads it sees the old one or the new one. Editors lock its
directory: a lock on the file itself would be one on a file that has just been replaced. Lines whose time is over
are removed on the way.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lonc.child.wishes import Wish, read_wanted, wish_of
from lonc.system.files import Files, replace_file

WANTED_MODE = 0o640
LOCK_LIMIT_S = 10.0


def set_wish(files: Files, path: str, wish: Wish) -> bool:
    """Have this line in the file, in place of an older one for the same peer and word; return whether it changed.

    OSError: the file is as it was.
    """
    return _edit(files, path, wish.peer, wish.word, wish)


def remove_wish(files: Files, path: str, peer: str, word: str) -> bool:
    """Have no such line in the file; return whether there was one. OSError: the file is as it was."""
    return _edit(files, path, peer, word, None)


def _edit(files: Files, path: str, peer: str, word: str, wish: Wish | None) -> bool:
    with _alone(files, path):
        kept: list[str] = []
        before: Wish | None = None
        for line in read_wanted(path, files).splitlines():
            found = wish_of(line)
            if found is not None and found.until is not None and found.until <= time.time():
                continue
            if found is not None and (found.peer, found.word) == (peer, word):
                before = found
            else:
                kept.append(line + "\n")
        if wish is not None:
            kept.append(wish.line())
        if wish != before:
            replace_file(files, path, "".join(kept).encode(), WANTED_MODE, sync=True)
        return wish != before


@contextmanager
def _alone(files: Files, path: str) -> Iterator[None]:
    folder = os.path.dirname(path)
    fd = files.open(os.path.join(folder, "."), os.O_RDONLY | os.O_DIRECTORY)
    try:
        until = time.monotonic() + LOCK_LIMIT_S
        while True:
            try:
                files.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise OSError(errno.EBUSY, "another operator is changing it", path) from None
                time.sleep(0.01)
        yield
    finally:
        files.close(fd)
