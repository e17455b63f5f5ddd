"""The operator's lasting wishes for one peer: lines `<peer> TAB paused | debug | trace` (spec files.md 7)."""

from __future__ import annotations

import os

from lonc.system.files import Files, open_regular, read_all

PAUSED = "paused"
DEBUG = "debug"
_LIMIT = 1 << 20  # bytes; a thousand peers with every wish are under 100 KiB


def wishes_for(path: str, peer: str, files: Files) -> frozenset[str]:
    """Return what is wished for a peer; nothing when there is no file.

    A file that cannot be read, or that is no regular file, is no wish either: OSError is for the caller to tell.
    Lines of another form are passed over: a later release may have more words.
    """
    try:
        fd = open_regular(files, path, os.O_RDONLY, 0)
    except FileNotFoundError:
        return frozenset()
    try:
        text = read_all(files, fd, _LIMIT).decode("utf-8", "replace")
    finally:
        files.close(fd)
    lines = (line.split("\t") for line in text.splitlines())
    return frozenset(words[1].strip() for words in lines if len(words) == 2 and words[0] == peer)
