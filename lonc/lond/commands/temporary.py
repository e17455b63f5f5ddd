"""Owns what servers leave with each other for a while: tmpput, tmpget and tmpdel.

Each piece of data is one file `<id>.tmp` in a directory of our own, as it came on the line. The id is the only
key to it, so it cannot be guessed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import Final

from Crypto.Random import get_random_bytes

from lonc.lond.commands import answers, fields
from lonc.lond.commands.answers import CannotAnswer
from lonc.lond.commands.model import BadField, Command, Context, Field, Reply
from lonc.lond.store.model import StoreError
from lonc.system.files import Files, SystemFiles, open_regular, read_all, replace_file, sync_directory

_ID = re.compile(rb"[0-9a-f]{32}")
_FILE_MODE: Final = 0o600


def temporary_id(data: bytes) -> str:
    """Return an id as `tmpput` gives them: it becomes the name of a file."""
    if not _ID.fullmatch(data):
        raise BadField("must be an id that tmpput has given")
    return data.decode("ascii")


def keep(files: Files, directory: str, data: bytes) -> str:
    """Return the id under which data is kept from now on, also after a power cut; OSError: nothing is kept."""
    chosen = get_random_bytes(16).hex()
    try:
        replace_file(files, _path(directory, chosen), data, _FILE_MODE, sync=True)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):  # another worker was as quick
            files.mkdir(directory, 0o700)
        sync_directory(files, os.path.dirname(directory))
        replace_file(files, _path(directory, chosen), data, _FILE_MODE, sync=True)
    return chosen


def kept(files: Files, directory: str, chosen: str, limit: int) -> bytes:
    """Return what is kept under an id; OSError when there is nothing, or more than limit bytes."""
    fd = open_regular(files, _path(directory, chosen), os.O_RDONLY)
    try:
        data = read_all(files, fd, limit + 1)
    finally:
        files.close(fd)
    if len(data) > limit or b"\n" in data:
        raise OSError(errno.EINVAL, "not what tmpput has written")
    return data


def forget(files: Files, directory: str, chosen: str) -> None:
    """Remove what is kept under an id, durably; OSError when there is nothing."""
    files.unlink(_path(directory, chosen))
    sync_directory(files, directory)


def _path(directory: str, chosen: str) -> str:
    return os.path.join(directory, f"{chosen}.tmp")


def _reason(error: OSError) -> CannotAnswer:
    """Return what the client is told: whether there is nothing, or what the system said; never a path."""
    missing = isinstance(error, FileNotFoundError)
    return CannotAnswer("there is nothing with this id" if missing else _said(error))


def _said(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _tmpput(context: Context, data: bytes) -> Reply:
    """The id of what is kept, 32 characters that cannot be guessed."""
    try:
        return Reply(keep(SystemFiles(), context.config.tmp_dir, data).encode("ascii"))
    except OSError as error:  # a disk that is full or cannot be written: for the administrator, like the store's
        raise StoreError(f"tmp cannot be written: {_said(error)}") from error


def _tmpget(context: Context, chosen: str) -> Reply:
    """What was given to `tmpput`, as it came."""
    try:
        return Reply(kept(SystemFiles(), context.config.tmp_dir, chosen, context.config.max_command_bytes))
    except OSError as error:
        raise _reason(error) from error


def _tmpdel(context: Context, chosen: str) -> Reply:
    """`ok` when it was there and is gone."""
    try:
        forget(SystemFiles(), context.config.tmp_dir, chosen)
    except OSError as error:
        raise _reason(error) from error
    return answers.OK


_CHOSEN: Final = Field("id", temporary_id)
ROWS: tuple[Command, ...] = (
    Command(b"tmpput", (Field("data", fields.escaped),), _tmpput),
    Command(b"tmpget", (_CHOSEN,), _tmpget),
    Command(b"tmpdel", (_CHOSEN,), _tmpdel),
)
