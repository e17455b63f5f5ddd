"""Owns which names a store takes, and where the original keeps what belongs to them.

A domain, a user and a namespace become names of files and directories, and all three come from the wire. The
commands check them; here the same is done once more, because a name that leaves the users' directory would
cost everything.
Source: lond.md 3; `propath` of the original (the directory from the first three characters, short names filled
up with `_`).
"""

from __future__ import annotations

import errno
import os
import re
import stat

from lonc.lond.store.model import NameRefused, Owner, StoreError
from lonc.system.files import Files, kind_of, sync_directory

DOMAIN_LIMIT = 64  # bytes, as of an id in hosts.tab
NAME_LIMIT = 128  # with what is put around it, far below the 255 of a file name
NAMESPACE_LIMIT = 128
DIRECTORY_MODE = 0o700
_NAME = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.@-]*")  # as later originals have it; so never `.`, `..` or an option
_DOMAIN = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NAMESPACE = re.compile(rb"[A-Za-z0-9_]+")
_NO_JOURNAL = b"nohist_"


def valid_domain(domain: bytes) -> bool:
    """Return whether a store takes this as a domain: 1 to 64 of letters, digits, `_.-`, none of `.-` first."""
    return len(domain) <= DOMAIN_LIMIT and _DOMAIN.fullmatch(domain) is not None


def valid_name(name: bytes) -> bool:
    """Return whether a store takes this as a user: 1 to 128 of letters, digits, `_.@-`, none of `.@-` first."""
    return len(name) <= NAME_LIMIT and _NAME.fullmatch(name) is not None


def valid_namespace(namespace: bytes) -> bool:
    """Return whether a store takes this as a namespace: 1 to 128 letters, digits and `_`."""
    return len(namespace) <= NAMESPACE_LIMIT and _NAMESPACE.fullmatch(namespace) is not None


def check_owner(owner: Owner) -> None:
    """Raise NameRefused unless domain and name can be taken; an empty name is the domain itself."""
    if not valid_domain(owner.domain):
        raise NameRefused("this domain cannot be one")
    if owner.name and not valid_name(owner.name):
        raise NameRefused("this user name cannot be one")


def check_user(owner: Owner) -> None:
    """Raise NameRefused unless it is a user; a domain has no account and no activity."""
    check_owner(owner)
    if not owner.name:
        raise NameRefused("a user name is missing")


def check(owner: Owner, namespace: bytes) -> None:
    """Raise NameRefused unless owner and namespace can be taken."""
    check_owner(owner)
    if not valid_namespace(namespace):
        raise NameRefused("this namespace cannot be one")


def has_journal(namespace: bytes) -> bool:
    """Return whether changes of this namespace are kept in a journal (lond.md 3)."""
    return not namespace.startswith(_NO_JOURNAL)


def parts_of(owner: Owner) -> list[str]:
    """Return the directories below lonUsersDir that lead to the owner's own, which is the last.

    `domain/c1/c2/c3/name` for a user, `domain` for the domain itself. A dot as c2 or c3 is the directory it
    stands in, as with the original; none of them can be `..`.
    """
    domain = owner.domain.decode("ascii")
    if not owner.name:
        return [domain]
    name = owner.name.decode("ascii")
    return [domain, *(name + "__")[:3], name]


def directory_of(files: Files, users_dir: str, owner: Owner, *, make: bool) -> str | None:
    """Return the path of the owner's directory; None when it is not there and shall not be made.

    users_dir is the administrator's and may be a link; nothing below it may. What is made has mode 0700 and
    is on the disk, and so are the names that lead to it. StoreError: something else stands there, or OSError.
    """
    return below(files, users_dir, parts_of(owner), make=make)


def below(files: Files, users_dir: str, parts: list[str], *, make: bool) -> str | None:
    """Return users_dir with parts behind it, each a directory and no link; see directory_of."""
    path = users_dir
    if make:
        _make_root(files, users_dir)
    for part in parts:
        upper, path = path, os.path.join(path, part)
        try:
            mode = _mode(files, path)
            if mode is None:
                if not make:
                    return None
                _make(files, path, upper)
            elif not stat.S_ISDIR(mode):
                raise OSError(errno.ENOTDIR, f"not a directory but {kind_of(mode)}")
        except OSError as error:
            raise StoreError(f"{part} below lonUsersDir cannot be used: {reason(error)}") from error
    return path


def _make_root(files: Files, users_dir: str) -> None:
    """Make lonUsersDir itself when it is missing; what it is in must be there."""
    try:
        if _mode(files, users_dir) is None:
            _make(files, users_dir, os.path.dirname(users_dir))
    except OSError as error:
        raise StoreError(f"lonUsersDir cannot be used: {reason(error)}") from error


def _mode(files: Files, path: str) -> int | None:
    try:
        return files.lstat(path).st_mode
    except FileNotFoundError:
        return None


def _make(files: Files, path: str, upper: str) -> None:
    """Make a directory, durably also where another process makes it at this moment."""
    try:
        files.mkdir(path, DIRECTORY_MODE)
    except FileExistsError:
        if not stat.S_ISDIR(files.lstat(path).st_mode):
            raise
    sync_directory(files, upper)


def reason(error: OSError) -> str:
    """Return why a call failed, without the path, which may hold a user's name."""
    return error.strerror or os.strerror(error.errno or errno.EIO)
