"""Owns the commands by which servers copy resources from each other: sub, unsub, update; ls and stat are beside.

A server answers for the authors who are at home on it, and keeps copies of what others have. What the path of
a resource may be, and that it never leads out of the root, is decided in lonc.lonnet.places.
Source: spec lond.md 2.
"""

from __future__ import annotations

import os
import re
import stat
import urllib.parse
from typing import Final

from lonc.config import Host
from lonc.lond.commands import answers, directories, fields, subscriptions
from lonc.lond.commands.answers import CannotAnswer
from lonc.lond.commands.model import BadField, Command, Context, Field, Reply
from lonc.lond.store.model import Owner
from lonc.lonnet.fetching import Bounds
from lonc.lonnet.places import META, Busy, PathRefused, Place, facts_of, is_regular, locked, opened, rest_of
from lonc.lonnet.replication import Copied, NotCopied, repcopy, rest_path, unsubscribe
from lonc.system.files import Files, SystemFiles
from lonc.system.logs import Severity
from lonc.wire import words

FILES: Files = SystemFiles()
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
# The asking lonc closes its link, with all that is in flight on it, when a delayed message is not answered within
# loncDelayedTimeout (60 s); so an update is answered before, also when the home server has to be looked for.
UPDATE_BOUNDS: Final = Bounds(whole_s=45.0, stall_s=15.0)
_REJECTED: Final = Reply(words.REJECTED)
_NOT_FOUND: Final = Reply(words.NOT_FOUND)


def _sub(context: Context, path: bytes) -> Reply:
    """The URL of the raw file, and the client is noted as subscriber; `directory`, `not_found`, `rejected`."""
    try:
        rest = rest_of(context.config, path)
        with opened(context.config, FILES, rest) as place:
            if not _is_ours(context, place):
                return _REJECTED
            facts = facts_of(FILES, place)
            if facts is None:
                return _NOT_FOUND
            if stat.S_ISDIR(facts.st_mode):
                return Reply(words.DIRECTORY)
            if not stat.S_ISREG(facts.st_mode):
                return _REJECTED
            url = raw_url(context, rest)
            subscriptions.add(FILES, place, "", context.client, context.client_address, context.now)
            if not place.name.endswith(META):  # whoever has the file has its metadata
                subscriptions.remove(FILES, place, META, context.client)
            return Reply(url)
    except FileNotFoundError:
        # A directory on the way is missing, so who would be at home there is told by the path alone.
        return _NOT_FOUND if _is_at_home(context, *_first_names(rest)) else _REJECTED
    except PathRefused:
        return _REJECTED
    except (OSError, Busy) as error:
        return _not_kept(context, error)


def _unsub(context: Context, path: bytes) -> Reply:
    """`ok`, the client is no subscriber any more; `not_subscribed`, `rejected`."""
    try:
        rest = rest_of(context.config, path)
        with opened(context.config, FILES, rest) as place:
            if not _is_ours(context, place):
                return _REJECTED
            found = place.name != "." and subscriptions.remove(FILES, place, "", context.client)
            return answers.OK if found else Reply(words.NOT_SUBSCRIBED)
    except FileNotFoundError:
        return Reply(words.NOT_SUBSCRIBED) if _is_at_home(context, *_first_names(rest)) else _REJECTED
    except PathRefused:
        return _REJECTED
    except (OSError, Busy) as error:
        return _not_kept(context, error)


def _update(context: Context, path: bytes) -> Reply:
    """`ok`: a copy that nobody uses was dropped and unsubscribed, else fetched again; `not_found`, `rejected`."""
    try:
        rest = rest_of(context.config, path)
        names = _first_names(rest)
        if not all(names) or _is_at_home(context, *names):
            return _REJECTED
        with opened(context.config, FILES, rest, follow=False) as place:
            facts = facts_of(FILES, place)
            if facts is None:
                return _NOT_FOUND
            if not is_regular(facts):
                return _REJECTED
            unused = context.now - max(facts.st_atime, facts.st_mtime) > context.config.expire_s
            if unused:
                _drop(place)
        if unused:
            unsubscribe(context.config, _others(context), rest_path(rest))
        else:
            repcopy(context.config, _others(context), rest_path(rest), again=True, bounds=UPDATE_BOUNDS)
        return answers.OK
    except FileNotFoundError:
        return _NOT_FOUND
    except PathRefused:
        return _REJECTED
    except NotCopied as error:
        return _not_copied(context, error)
    except (OSError, Busy) as error:
        context.log.write(f"A copy that nobody uses cannot be removed: {_why(error)}", Severity.WARNING)
        return answers.error(f"the copy cannot be removed: {_why(error)}")


def _drop(place: Place) -> None:
    """Remove a copy and its metadata. Before unsubscribing: one that stayed would never be renewed again."""
    with locked(FILES, place):
        FILES.unlink(place.path())
        if not place.name.endswith(META) and facts_of(FILES, place, META) is not None:
            FILES.unlink(place.path(META))
        FILES.fsync(place.folder)


def _not_copied(context: Context, error: NotCopied) -> Reply:
    """Answer for a copy that could not be fetched again; the old one is still there.

    `error`, unlike the originals' `ok`: so the message that told of the change is not taken for delivered.
    """
    severity = Severity.NONE if error.outcome is Copied.UNAVAILABLE else Severity.WARNING
    context.log.write(f"A copy could not be fetched again: {error}", severity)
    return answers.error(f"the old copy stays: {error}")


def _not_kept(context: Context, error: Exception) -> Reply:
    context.log.write(f"A subscription cannot be kept: {_why(error)}", Severity.CRITICAL)
    return answers.error(f"the subscription cannot be kept: {_why(error)}")


def _why(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


# --- who is at home, and where we are -----------------------------------------------------------------


def _first_names(rest: str) -> tuple[str, str]:
    domain, _, author = rest.partition("/")
    return domain, author.partition("/")[0]


def _is_ours(context: Context, place: Place) -> bool:
    return _is_at_home(context, *place.owner)


def _is_at_home(context: Context, domain: str, author: str) -> bool:
    """Return whether an author is at home on this server; names that nobody can have are at home nowhere."""
    try:
        owner = Owner(fields.domain(os.fsencode(domain)), fields.user(os.fsencode(author)))
    except BadField:
        return False
    return context.store.exists(owner)


def _others(context: Context) -> list[Host]:
    """Return the hosts but ourselves, the client first: who tells of a change is mostly the home server."""
    ours = {context.config.host_id, context.own_id.decode("ascii", "replace")}
    client = context.client.decode("ascii", "replace")
    hosts = [host for host in context.hosts if host.id not in ours]
    return sorted(hosts, key=lambda host: host.id != client)


def raw_url(context: Context, rest: str) -> bytes:
    """Return the URL at which this server's web server gives out a resource as it is.

    Its host is the name that hosts.tab has for the id that was asked, else for our first one. Raises
    CannotAnswer when it has neither, or nothing that can stand in a URL.
    """
    hosts = {host.id: host for host in context.hosts}
    host = hosts.get(context.own_id.decode("ascii", "replace")) or hosts.get(context.config.host_id)
    if host is None:
        raise CannotAnswer("this server does not stand in its own hosts.tab")
    name = host.name if _HOST_NAME.fullmatch(host.name) else host.address
    if not name:
        raise CannotAnswer("hosts.tab has no usable name of this server")
    name = f"[{name}]" if ":" in name else name
    return f"{host.protocol}://{name}/raw/{urllib.parse.quote(rest)}".encode("ascii")


ROWS: tuple[Command, ...] = (
    Command(b"sub", (Field("path", bytes),), _sub, rest=True),
    Command(b"unsub", (Field("path", bytes),), _unsub, rest=True),
    Command(b"update", (Field("path", bytes),), _update, rest=True),
    *directories.ROWS,
)
