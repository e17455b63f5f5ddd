"""Owns the commands that show the area of resources: ls and stat.

Only regular files and directories that may be resources are shown, links by what they lead to inside the root;
who has subscribed, and what is being copied, is nobody's business.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from lonc.lond.commands import answers
from lonc.lond.commands.answers import CannotAnswer
from lonc.lond.commands.model import Command, Context, Field, Reply
from lonc.lonnet.places import PathRefused, Place, facts_of, inside, opened, rest_of
from lonc.system.files import Files, SystemFiles
from lonc.wire import words

ENTRIES_LIMIT: Final = 50_000  # some 5 MiB of reply, half a second of work
FILES: Files = SystemFiles()


def stat_fields(facts: os.stat_result) -> bytes:
    """Return the thirteen numbers of Perl's stat with `&` between them, times in whole seconds."""
    numbers = (
        facts.st_dev, facts.st_ino, facts.st_mode, facts.st_nlink, facts.st_uid, facts.st_gid, facts.st_rdev,
        facts.st_size, int(facts.st_atime), int(facts.st_mtime), int(facts.st_ctime), facts.st_blksize,
        facts.st_blocks,
    )  # fmt: skip
    return b"&".join(b"%d" % number for number in numbers)


def _shown(facts: os.stat_result | None) -> bool:
    return facts is not None and (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode))


def _ls(context: Context, path: bytes | None) -> Reply:
    """Entries joined by `:`, each `name&` and its stat fields joined by `&`; `no_such_dir`, `empty`."""
    rest = _rest(context, path)
    try:
        with opened(context.config, FILES, rest) as place:
            facts = facts_of(FILES, place)
            if facts is None or not _shown(facts):
                return Reply(words.NO_SUCH_DIR)
            if stat.S_ISDIR(facts.st_mode):
                return Reply(b":".join(_entries(context, place)) or words.EMPTY)
            return Reply(_entry(place.name, facts))
    except OSError as error:
        return _failed(error)
    except PathRefused as error:
        raise CannotAnswer(str(error)) from error


def _stat(context: Context, path: bytes | None) -> Reply:
    """The stat fields of a file or directory joined by `&`; `no_such_dir`."""
    rest = _rest(context, path)
    try:
        with opened(context.config, FILES, rest) as place:
            facts = facts_of(FILES, place)
    except OSError as error:
        return _failed(error)
    except PathRefused as error:
        raise CannotAnswer(str(error)) from error
    return Reply(stat_fields(facts) if facts is not None and _shown(facts) else words.NO_SUCH_DIR)


def _rest(context: Context, path: bytes | None) -> str:
    try:
        return rest_of(context.config, path or b"", relative=True)
    except PathRefused as error:
        raise CannotAnswer(str(error)) from error


def _failed(error: OSError) -> Reply:
    if isinstance(error, FileNotFoundError):
        return Reply(words.NO_SUCH_DIR)
    return answers.error(f"this cannot be read: {error.strerror}")


def _entry(name: str, facts: os.stat_result) -> bytes:
    return words.escape(os.fsencode(name)) + b"&" + stat_fields(facts)


def _entries(context: Context, place: Place) -> list[bytes]:
    """Return the entries of a directory in the order of their names; raises CannotAnswer above ENTRIES_LIMIT."""
    fd = FILES.open(place.path(), os.O_RDONLY | os.O_DIRECTORY)
    root = os.path.realpath(context.config.resources_dir)
    found: dict[str, os.stat_result] = {}
    try:
        with os.scandir(fd) as entries:
            for number, entry in enumerate(entries):
                if number >= ENTRIES_LIMIT:
                    raise CannotAnswer(f"the directory has more than {ENTRIES_LIMIT} entries")
                facts = _facts_inside(root, place, entry)
                if facts is not None and _shown(facts):
                    found[entry.name] = facts
    finally:
        FILES.close(fd)
    return [_entry(name, found[name]) for name in sorted(found)]


def _facts_inside(root: str, place: Place, entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return the facts about an entry, of a link those of what it leads to; None for what is not shown."""
    whole = os.path.join(root, place.real, entry.name)
    try:
        if entry.is_symlink():
            # Between these two calls the way can change; then somebody learns the size of a foreign file, no more.
            real = os.path.realpath(whole)
            return os.stat(real, follow_symlinks=False) if inside(root, real) is not None else None
        return entry.stat(follow_symlinks=False) if inside(root, whole) is not None else None
    except OSError:
        return None  # gone meanwhile, or closed to us


ROWS: tuple[Command, ...] = (
    Command(b"ls", (Field("path", bytes, optional=True),), _ls, rest=True),
    Command(b"stat", (Field("path", bytes, optional=True),), _stat, rest=True),
)
