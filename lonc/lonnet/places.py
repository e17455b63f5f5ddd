"""Owns where a resource lies: from a path of the wire to an open directory and a name, never outside the root.

Paths of the wire are absolute below the document root as the originals have it, or below `/res`; they are
not escaped, since `/` and `.` in them are structure. A path is resolved first, links and all, and must then
lie below the resolved root. The resolved path is walked once more from the root, directory by directory and
without following any link: a link that somebody puts there between the two steps is met as an error, and what
is done afterwards is done in the directory that was opened, whatever its name means by then. What is left:
whoever may move a whole directory out of the root while it is open takes it with what is done in it.
Sources: spec lond.md 2, lonnet_loncron.md.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lonc.config import Config
from lonc.errors import LoncError
from lonc.system.files import Files

ORIGINAL_ROOT: Final = "/home/httpd/html/res"  # what the originals write, wherever the document root is
SUBSCRIBERS: Final = ".subscription"
TRANSFER: Final = ".in.transfer"
META: Final = ".meta"
META_TRANSFER: Final = TRANSFER + META  # not `.meta.in.transfer`: somebody may be copying the metadata alone
PATH_BYTES: Final = 2048
# 255 is the limit of a name; room for a suffix, and for the temporary name while a file is replaced.
NAME_BYTES: Final = 220
FOLDER_MODE: Final = 0o755  # resources are served by the web server
_LOCK_POLL_S: Final = 0.02


class PathRefused(LoncError):
    """The path can name no resource, or leads out of the root; the text quotes nothing of it."""


class Busy(LoncError):
    """Another process has the directory for longer than anybody needs it."""


@dataclass(slots=True)
class Place:
    """An open directory and a name in it. real: the resolved path below the root, without a leading `/`."""

    folder: int
    name: str
    real: str

    def path(self, suffix: str = "") -> str:
        """Return a path that leads through the open directory, for calls that take a path."""
        return f"/proc/self/fd/{self.folder}/{self.name}{suffix}"

    @property
    def owner(self) -> tuple[str, str]:
        """Return domain and author, empty where the path is too short to have them."""
        domain, _, rest = self.real.partition("/")
        return domain, rest.partition("/")[0]


def rest_of(config: Config, path: bytes | str, *, relative: bool = False) -> str:
    """Return what follows the root in a path: names with one `/` between them, '' for the root itself.

    relative: a path that begins with none of the known roots is taken as one below ours (`ls`, `stat`).
    Raises PathRefused: another root, `.` or `..`, a name that is none of a resource's, too long, bytes that are
    no UTF-8 or no printable character.
    """
    data = path if isinstance(path, bytes) else os.fsencode(path)
    if len(data) > PATH_BYTES:
        raise PathRefused(f"the path has more than {PATH_BYTES} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise PathRefused("the path is no UTF-8") from None
    if not text.isprintable():
        raise PathRefused("the path holds characters that cannot be printed")
    for root in (config.resources_dir, ORIGINAL_ROOT, "/res"):
        if text == root or text.startswith(f"{root}/"):
            text = text[len(root) :]
            break
    else:
        if not relative:
            raise PathRefused("the path is not below the root of resources")
    names = [name for name in text.split("/") if name]
    check_names(names)
    return "/".join(names)


def check_names(names: list[str]) -> None:
    """Raise PathRefused unless each name may be that of a resource, or of a directory that holds some."""
    for name in names:
        if name.startswith(".") or name.endswith((SUBSCRIBERS, TRANSFER, META_TRANSFER)):
            raise PathRefused("the path holds a name that no resource has")
        if len(os.fsencode(name)) > NAME_BYTES:
            raise PathRefused(f"the path holds a name of more than {NAME_BYTES} bytes")


@contextlib.contextmanager
def opened(config: Config, files: Files, rest: str, *, make: bool = False, follow: bool = True) -> Iterator[Place]:
    """Give the place of a path from rest_of; the file itself may well be missing.

    make: missing directories are made. follow: the last name may be a link that stays inside the root.
    Raises PathRefused when it leads out of the root, FileNotFoundError when a directory is missing or no
    directory, and OSError.
    """
    root = os.path.realpath(config.resources_dir)
    real = _resolved(root, rest, follow=follow)
    *folders, name = real.split("/") if real else ["."]
    descriptor = _open_folder(files, root, None, make=make)
    try:
        for folder in folders:
            inner = _open_folder(files, folder, descriptor, make=make)
            files.close(descriptor)
            descriptor = inner
        yield Place(descriptor, name, real)
    finally:
        files.close(descriptor)


def inside(root: str, path: str) -> str | None:
    """Return the part of a resolved path below a resolved root, None when it is not there or no resource's."""
    rest = "" if path == root else path.removeprefix(root.rstrip("/") + "/")
    if rest == path:
        return None
    try:
        check_names([name for name in rest.split("/") if name])
    except PathRefused:
        return None
    return rest


def _resolved(root: str, rest: str, *, follow: bool) -> str:
    whole = os.path.join(root, rest) if rest else root
    try:
        if follow or not rest:
            path = os.path.realpath(whole)
        else:
            folder, name = os.path.split(whole)
            path = os.path.join(os.path.realpath(folder), name)
    except OSError as error:
        raise PathRefused(f"the path cannot be resolved: {error.strerror}") from error
    found = inside(root, path)
    if found is None:
        raise PathRefused("the path leads out of the root of resources")
    return found


def _open_folder(files: Files, name: str, within: int | None, *, make: bool) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY
    try:
        try:
            return files.open(name, flags, dir_fd=within)
        except FileNotFoundError:
            if not make:
                raise
        with contextlib.suppress(FileExistsError):
            files.mkdir(name if within is None else f"/proc/self/fd/{within}/{name}", FOLDER_MODE)
        return files.open(name, flags, dir_fd=within)
    except OSError as error:
        # A link was put where the resolved path had none (ELOOP, ENOTDIR), or a file stands there: not followed.
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise FileNotFoundError(error.errno, "no directory") from error
        raise


@contextlib.contextmanager
def locked(files: Files, place: Place, limit_s: float = 5.0) -> Iterator[None]:
    """Have the directory of a place alone among the processes that use this; raises Busy after limit_s seconds.

    The lock is on the directory itself, so no file is left lying about, and it ends with its holder.
    """
    until = time.monotonic() + limit_s
    while True:
        try:
            files.flock(place.folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= until:
                raise Busy("another process has the directory locked") from None
        time.sleep(_LOCK_POLL_S)
    try:
        yield
    finally:
        files.flock(place.folder, fcntl.LOCK_UN)


def facts_of(files: Files, place: Place, suffix: str = "") -> os.stat_result | None:
    """Return the facts about what stands at a place, a link itself if it is one; None when nothing does."""
    try:
        return files.lstat(place.path(suffix))
    except FileNotFoundError:
        return None


def is_regular(facts: os.stat_result | None) -> bool:
    """Return whether these are the facts of a regular file."""
    return facts is not None and stat.S_ISREG(facts.st_mode)
