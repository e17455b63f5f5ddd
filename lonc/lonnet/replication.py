"""Owns getting a copy of a resource from the server where its author is at home.

The legal states on disk of a resource F: nothing; `F.in.transfer` while somebody copies it; F, whole, with its
metadata `F.meta` if there are any. F and F.meta change by rename alone, the metadata first, so whoever finds
F finds what belongs to it. A process that copies holds a lock on its `F.in.transfer`; one that nobody holds is
what a killed process left, or the work of an original, which takes no lock: it is respected while it grows.
Source: spec lonnet_loncron.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lonc.config import Config, Host
from lonc.errors import LoncError
from lonc.lonnet.fetching import Bounds, FetchError, Target, fetch, target_of
from lonc.lonnet.places import (
    META,
    META_TRANSFER,
    ORIGINAL_ROOT,
    TRANSFER,
    Busy,
    PathRefused,
    Place,
    facts_of,
    is_regular,
    locked,
    opened,
    rest_of,
)
from lonc.lonnet.sockets import CON_LOST, subreply
from lonc.system.files import Files, SystemFiles, open_with_facts

COPY_MODE: Final = 0o644  # the web server serves it
BUSY_WAIT_S: Final = 3.0
# An original writes at least that often into the file it copies to, or it is dead.
UNLOCKED_S: Final = 60.0
HOME_LIMIT_S: Final = 30.0  # for asking all library servers of a domain
_BUSY_POLL_S: Final = 0.05
_GONE: Final = (http.client.NOT_FOUND, http.client.GONE)
_DENIED: Final = (http.client.UNAUTHORIZED, http.client.FORBIDDEN)

Ask = Callable[[Config, bytes, str], bytes]


class Copied(Enum):
    """What came of it, in words for people."""

    OK = "ok"
    DIRECTORY = "a directory"
    NOT_FOUND = "not found"
    DENIED = "access denied"
    FAILED = "transfer failed"
    UNAVAILABLE = "service unavailable"


class NotCopied(LoncError):
    """There is no (new) copy; outcome is never OK. The text says why and quotes nothing that came."""

    def __init__(self, outcome: Copied, why: str) -> None:
        super().__init__(f"{outcome.value}: {why}")
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Subscription:
    """The home server has noted us: it tells us when the resource changes, and serves it at target."""

    home: Host
    target: Target


def wire_path(rest: str) -> bytes:
    """Return the path of the wire for what places.rest_of has returned, as the originals write it."""
    return os.fsencode(f"{ORIGINAL_ROOT}/{rest}")


def home_of(
    config: Config, hosts: Iterable[Host], domain: str, author: str, *, ask: Ask = subreply
) -> Host | None:
    """Return the server where an author is at home: the first library server of the domain that says `found`.

    None when all have answered and none did. Raises NotCopied (UNAVAILABLE) when none did and one or more
    could not be asked, or the time for all of them, HOME_LIMIT_S, was over: then nobody knows.
    """
    if ":" in domain or ":" in author:  # nobody has such a name, and the question would be another one
        return None
    unheard, until = 0, time.monotonic() + HOME_LIMIT_S
    question = b"home:" + os.fsencode(f"{domain}:{author}")
    for host in hosts:
        if host.domain != domain or host.role != "library":
            continue
        reply = ask(config, question, host.id) if time.monotonic() < until else CON_LOST
        if reply == b"found":
            return host
        unheard += reply != b"not_found"
    if unheard:
        raise NotCopied(Copied.UNAVAILABLE, f"{unheard} library servers did not say whether the author is theirs")
    return None


def subscribe(config: Config, hosts: Iterable[Host], path: bytes | str, *, ask: Ask = subreply) -> Subscription:
    """Subscribe to a resource at its home server; path as in places.rest_of.

    Raises NotCopied: NOT_FOUND (no such author or file), DIRECTORY, DENIED (refused path, or the server's
    `rejected`), UNAVAILABLE (no answer), FAILED (an answer that is no URL of that server).
    """
    try:
        rest = rest_of(config, path)
    except PathRefused as error:
        raise NotCopied(Copied.DENIED, str(error)) from error
    names = rest.split("/")
    if len(names) < 3:
        raise NotCopied(Copied.NOT_FOUND, "the path names no author's file")
    home = home_of(config, hosts, names[0], names[1], ask=ask)
    if home is None:
        raise NotCopied(Copied.NOT_FOUND, "the author is at home nowhere")
    reply = ask(config, b"sub:" + wire_path(rest), home.id)
    fixed = {
        b"not_found": Copied.NOT_FOUND,
        b"directory": Copied.DIRECTORY,
        b"rejected": Copied.DENIED,
        b"refused": Copied.DENIED,
        CON_LOST: Copied.UNAVAILABLE,
    }
    if reply in fixed:
        raise NotCopied(fixed[reply], f"{home.id} answered so, or not at all")
    try:
        return Subscription(home, target_of(reply, home))
    except FetchError as error:
        raise NotCopied(Copied.FAILED, str(error)) from error


def unsubscribe(config: Config, hosts: Iterable[Host], path: bytes | str, *, ask: Ask = subreply) -> bool:
    """Tell the home server that the resource is not wanted here any more; return whether it has heard it."""
    try:
        rest = rest_of(config, path)
        home = home_of(config, hosts, *rest.split("/")[:2], ask=ask) if rest.count("/") > 1 else None
    except (PathRefused, NotCopied):
        return False
    return home is not None and ask(config, b"unsub:" + wire_path(rest), home.id) in (b"ok", b"not_subscribed")


def repcopy(
    config: Config,
    hosts: Iterable[Host],
    path: bytes | str,
    *,
    again: bool = False,
    ask: Ask = subreply,
    bounds: Bounds | None = None,
    files: Files | None = None,
) -> None:
    """Return when there is a whole copy of the resource here; again: also when there was one, which is replaced.

    The file and its `.meta` are fetched from the home server, after subscribing there; a resource without
    metadata loses those that an older copy had. Takes at most bounds.whole_s seconds for the transfer, besides
    the questions through lonc. Raises NotCopied (see subscribe): UNAVAILABLE too while another process
    copies it for longer than a few seconds, FAILED when the transfer or the disk failed; an older copy stays then.
    """
    files, bounds = files or SystemFiles(), bounds or Bounds()
    try:
        rest = rest_of(config, path)
        if _is_here(config, files, rest, again=again):
            return
        found = subscribe(config, hosts, rest_path(rest), ask=ask)
        with opened(config, files, rest, make=True, follow=False) as place, _claimed(files, place) as fd:
            _transfer(files, place, fd, found.target, bounds)
    except PathRefused as error:
        raise NotCopied(Copied.DENIED, str(error)) from error
    except Busy as error:
        raise NotCopied(Copied.UNAVAILABLE, str(error)) from error
    except FetchError as error:
        outcome = Copied.NOT_FOUND if error.status in _GONE else Copied.FAILED
        raise NotCopied(Copied.DENIED if error.status in _DENIED else outcome, str(error)) from error
    except OSError as error:
        raise NotCopied(Copied.FAILED, error.strerror or type(error).__name__) from error


def rest_path(rest: str) -> str:
    """Return the local form of a path, which rest_of takes on every server."""
    return f"/res/{rest}"


def _is_here(config: Config, files: Files, rest: str, *, again: bool) -> bool:
    """Return whether there is a copy that will do, after waiting a little for one being made; raises Busy.

    again: none will do, since one that is being made may have begun before the change that we were told of.
    """
    try:
        with opened(config, files, rest, follow=False) as place:
            if again or not is_regular(facts_of(files, place)):
                _wait_for_other(files, place)
            return not again and is_regular(facts_of(files, place))
    except FileNotFoundError:
        return False


def _wait_for_other(files: Files, place: Place) -> None:
    """Return as soon as nobody copies to this place; raises Busy after BUSY_WAIT_S seconds."""
    until = time.monotonic() + BUSY_WAIT_S
    while True:
        with locked(files, place):
            if not _is_taken(files, place):
                return
        if time.monotonic() >= until:
            raise Busy("another process is copying it")
        time.sleep(_BUSY_POLL_S)


def _is_taken(files: Files, place: Place) -> bool:
    """Return whether somebody copies to this place; asked with the directory locked."""
    try:
        fd, facts = open_with_facts(files, place.path(TRANSFER), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        files.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        files.close(fd)
    return abs(time.time() - facts.st_mtime) < UNLOCKED_S


@contextlib.contextmanager
def _claimed(files: Files, place: Place) -> Iterator[int]:
    """Give the descriptor of a new, empty, locked `.in.transfer`; it is removed if it still has this name then."""
    with locked(files, place):
        if _is_taken(files, place):
            raise Busy("another process is copying it")
        _remove(files, place, TRANSFER)
        fd = files.open(place.path(TRANSFER), os.O_WRONLY | os.O_CREAT | os.O_EXCL, COPY_MODE)
        files.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield fd
    finally:
        # Once ours has its final name, what has the other names belongs to the next one who copies.
        left = facts_of(files, place, TRANSFER)
        if left is not None and left.st_ino == files.fstat(fd).st_ino:
            _remove(files, place, META_TRANSFER)
            _remove(files, place, TRANSFER)
        files.close(fd)


def _transfer(files: Files, place: Place, fd: int, target: Target, bounds: Bounds) -> None:
    until = time.monotonic() + bounds.whole_s
    fetch(target, files, fd, until=until, bounds=bounds)
    files.fsync(fd)
    meta_too = not place.name.endswith(META)
    has_meta = meta_too and _fetch_meta(files, place, target.beside(META), until, bounds)
    with locked(files, place):
        if has_meta:
            files.rename(place.path(META_TRANSFER), place.path(META))
        elif meta_too:
            _remove(files, place, META)
        files.rename(place.path(TRANSFER), place.path())
    files.fsync(place.folder)


def _fetch_meta(files: Files, place: Place, target: Target, until: float, bounds: Bounds) -> bool:
    """Fetch the metadata under a name of their own and return whether there are any; raises as fetch does."""
    _remove(files, place, META_TRANSFER)
    fd = files.open(place.path(META_TRANSFER), os.O_WRONLY | os.O_CREAT | os.O_EXCL, COPY_MODE)
    try:
        fetch(target, files, fd, until=until, bounds=bounds)
        files.fsync(fd)
    except FetchError as error:
        if error.status in _GONE:
            _remove(files, place, META_TRANSFER)
            return False
        raise
    finally:
        files.close(fd)
    return True


def _remove(files: Files, place: Place, suffix: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        files.unlink(place.path(suffix))
