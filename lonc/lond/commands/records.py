"""Owns the versioned records of a namespace: the commands store and restore.

A record has an id; each `store` adds a version of it, and none is ever changed. As the original keeps them:

    version:ID        the number of the last version
    N:keys:ID         the keys of version N with colons between them, `timestamp` last
    N:ID:KEY          a value of version N
    N:ID:timestamp    when it was stored, in seconds since 1970
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lonc.lond.commands import answers, fields
from lonc.lond.commands.answers import CannotAnswer
from lonc.lond.commands.data import ROLES, Pairs, journal, listed
from lonc.lond.commands.fields import DOMAIN, NAMESPACE, USER
from lonc.lond.commands.homes import at_home
from lonc.lond.commands.model import BadField, Command, Context, Field, Reply
from lonc.lond.store.model import Namespace

ID_BYTES: Final = 900
_AT_ONCE: Final = 100  # versions read with one question to the engine
_TIMESTAMP: Final = b"timestamp"
_VERSION = re.compile(rb"[0-9]{1,9}")


def record_id(data: bytes) -> bytes:
    """Return the id of a record, escaped as it came; `keys` is none, since `N:keys:...` lists the keys."""
    if not 1 <= len(fields.key(data)) <= ID_BYTES or data == b"keys":
        raise BadField(f"must be 1 to {ID_BYTES} bytes, escaped, and not `keys`")
    return data


def contents(data: bytes) -> Pairs:
    """Return the pairs of a version; a key of the name `timestamp` is passed over, that one is ours."""
    found = [pair for pair in fields.pairs(data) if pair[0] != _TIMESTAMP]
    if any(len(key) > ID_BYTES for key, _value in found):
        raise BadField(f"must have keys of at most {ID_BYTES} bytes")
    return found


def _store(context: Context, domain: bytes, user: bytes, namespace: bytes, record: bytes, pairs: Pairs) -> Reply:
    """`ok` when a new version of the record is kept; `refused` for the namespace `roles`."""
    if namespace == ROLES:
        return answers.REFUSED
    owner = at_home(context, domain, user)
    line = journal(namespace, b"S", context, record, listed(pairs))
    with context.store.writing(owner, namespace, line) as space:
        version = _last(space, record) + 1
        space.put(b"version:" + record, b"%d" % version)
        for key, value in [*pairs, (_TIMESTAMP, b"%d" % int(context.now))]:
            space.put(b"%d:%s:%s" % (version, record, key), value)
        names = b":".join([*(key for key, _value in pairs), _TIMESTAMP])
        space.put(b"%d:keys:%s" % (version, record), names)
    return answers.OK


def _restore(context: Context, domain: bytes, user: bytes, namespace: bytes, record: bytes) -> Reply:
    """`version=N&1:keys=k:timestamp&1:k=v&1:timestamp=t&2:keys=...`, all versions; `version=0` for no record."""
    with context.store.reading(at_home(context, domain, user), namespace) as space:
        return Reply(answers.joined(_versions(space, record)))


def _versions(space: Namespace, record: bytes) -> Iterator[bytes]:
    last = _last(space, record)
    yield b"version=%d" % last
    for first in range(1, last + 1, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, last + 1))
        listed_names = space.get_many([b"%d:keys:%s" % (number, record) for number in numbers])
        names = [(number, found or b"") for number, found in zip(numbers, listed_names, strict=True)]
        yield from _values(space, record, names)


def _values(space: Namespace, record: bytes, names: list[tuple[int, bytes]]) -> Iterator[bytes]:
    """Yield versions as they stand in the reply; names: the number of each, and its keys with colons between."""
    places = [(number, name) for number, line in names if line for name in line.split(b":")]
    found = iter(space.get_many([b"%d:%s:%s" % (number, record, name) for number, name in places]))
    for number, line in names:
        yield b"%d:keys=%s" % (number, line)
        for name in line.split(b":") if line else []:
            yield b"%d:%s=%s" % (number, name, next(found) or b"")


def _last(space: Namespace, record: bytes) -> int:
    """Return the number of the last version, 0 when there is none."""
    kept = space.get(b"version:" + record)
    if not kept:
        return 0
    if not _VERSION.fullmatch(kept):
        raise CannotAnswer("the version that is kept of this record is no number")
    return int(kept)


_RECORD: Final = (DOMAIN, USER, NAMESPACE, Field("record", record_id))
ROWS: tuple[Command, ...] = (
    Command(b"store", (*_RECORD, Field("data", contents)), _store),
    Command(b"restore", _RECORD, _restore),
)
