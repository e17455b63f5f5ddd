"""Owns what the bytes of an argument may be: one function for each kind, used by every row of the table.

Each is given the bytes between two colons and returns what they mean, or raises BadField with a text that
goes on behind the name of the argument (`user must be ...`) and quotes nothing of what came. Escaped data
(wire.md 5) is checked here and handed on as it came, because it is kept so (lond.md 3).
"""

from __future__ import annotations

import re
from typing import Final

from lonc.config.model import ID_LIMIT, valid_id
from lonc.lond.commands.model import BadField, Field
from lonc.wire import words

NAME_BYTES: Final = 100  # of a user; 64 for a domain
# Three of these limits together keep a row's key below the 2,704 bytes that an index of PostgreSQL can hold.
NAMESPACE_BYTES: Final = 150
KEY_BYTES: Final = 2000
LIST_LIMIT: Final = 100_000  # entries of one list: 16 MiB of `a&a&...` would otherwise become gigabytes
_DOMAIN = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_USER = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,%d}" % (NAME_BYTES - 1))
_NON_WORD = re.compile(rb"[^A-Za-z0-9_]")
_WORD = re.compile(rb"[A-Za-z0-9_]{1,32}")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def domain(data: bytes) -> bytes:
    """Return the name of a domain: it becomes the name of a directory or a database."""
    if not _DOMAIN.fullmatch(data):
        raise BadField("must be 1 to 64 letters, digits, `_`, `.` and `-`, the first no `.` or `-`")
    return data


def user(data: bytes) -> bytes:
    """Return the name of a user: it becomes the name of a directory, and is never empty."""
    if not _USER.fullmatch(data):
        allowed = f"1 to {NAME_BYTES} letters, digits, `_`, `.`, `@` and `-`, the first no `.`, `@` or `-`"
        raise BadField(f"must be {allowed}")
    return data


def namespace(data: bytes) -> bytes:
    """Return the name of a namespace as the original makes it: `/` becomes `_`, other non-word bytes go."""
    name = _NON_WORD.sub(b"", data.replace(b"/", b"_"))
    if not 1 <= len(name) <= NAMESPACE_BYTES:
        raise BadField(f"must have 1 to {NAMESPACE_BYTES} letters, digits or `_`")
    return name


def escaped(data: bytes) -> bytes:
    """Return data as it came, `&` and `=` allowed; every `%` has two hex digits, no control characters."""
    if _CONTROL.search(data):
        raise BadField("must hold no control characters")
    if _BAD_ESCAPE.search(data):
        raise BadField("must have two hex digits behind each %")
    return data


def unescaped(data: bytes) -> bytes:
    """Return what escaped data stands for; any byte may come out, also a newline."""
    return words.unescape(escaped(data))


def pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return `k=v&k=v` as pairs, escaped as they came, in order; of one key twice the later value.

    Empty data, and a `&` at the end, are no error (the original splits so); a key is never empty.
    """
    found: dict[bytes, bytes] = {}
    for piece in _pieces(data):
        name, equals, value = piece.partition(b"=")
        if not equals or b"=" in value:
            raise BadField("must be a list of key=value with & between them")
        found[key(name)] = value
    return list(found.items())


def keys(data: bytes) -> list[bytes]:
    """Return `k&k` as a list, escaped as they came, in order, doubles kept; empty data is an empty list."""
    return [key(piece) for piece in _pieces(data)]


def key(data: bytes) -> bytes:
    """Return one key, escaped as it came: not empty, without the characters of structure."""
    if not 1 <= len(escaped(data)) <= KEY_BYTES or b"=" in data or b"&" in data:
        raise BadField(f"must have keys of 1 to {KEY_BYTES} bytes, `=`, `&` and `:` escaped")
    return data


def word(data: bytes) -> str:
    """Return one plain word of letters, digits and `_`, at most 32 of them."""
    if not _WORD.fullmatch(data):
        raise BadField("must be one word of letters, digits and `_`")
    return data.decode("ascii")


def host_id(data: bytes) -> str:
    """Return the id of a host, as hosts.tab may hold it; whether there is such a host is not looked at."""
    text = data.decode("ascii", "replace")
    if not valid_id(text):
        raise BadField(f"must be an id of 1 to {ID_LIMIT} letters, digits, `_`, `.` and `-`")
    return text


def text(data: bytes) -> bytes:
    """Return free text of one line, not escaped; control characters are refused."""
    if _CONTROL.search(data):
        raise BadField("must hold no control characters")
    return data


def _pieces(data: bytes) -> list[bytes]:
    data = escaped(data).removesuffix(b"&")
    if data.count(b"&") >= LIST_LIMIT:
        raise BadField(f"must have at most {LIST_LIMIT} entries")
    return data.split(b"&") if data else []


DOMAIN: Final = Field("domain", domain)
USER: Final = Field("user", user)
NAMESPACE: Final = Field("namespace", namespace)
