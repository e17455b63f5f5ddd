"""Owns what the bytes of an argument may be: one function for each kind, used by every row of the table.

Each is given the bytes between two colons and returns what they mean, or raises BadField with a text that
goes on behind the name of the argument (`user must be ...`) and quotes nothing of what came. Escaped data
(wire.md 5) is checked here and handed on as it came, because it is kept so (lond.md 3).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from lonc.config.model import ID_LIMIT, valid_id
from lonc.lond.commands.model import BadField, Field
from lonc.lond.store import names
from lonc.wire import words

# With domain, user and namespace below the 2,704 bytes that an index of PostgreSQL can hold.
KEY_BYTES: Final = 2000
LIST_LIMIT: Final = 100_000  # entries of one list: 16 MiB of `a&a&...` would otherwise become gigabytes
_NON_WORD = re.compile(rb"[^A-Za-z0-9_]")
_WORD = re.compile(rb"[A-Za-z0-9_]{1,32}")
_NUMBER = re.compile(rb"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?")
_PLAIN_NUMBER = re.compile(rb"-?[0-9]{1,40}(?:\.[0-9]{0,40})?")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def domain(data: bytes) -> bytes:
    """Return the name of a domain: it becomes the name of a directory or a database."""
    if not names.valid_domain(data):
        allowed = f"1 to {names.DOMAIN_LIMIT} letters, digits, `_`, `.` and `-`"
        raise BadField(f"must be {allowed}, the first no `.` or `-`")
    return data


def user(data: bytes) -> bytes:
    """Return the name of a user: it becomes the name of a directory, and is never empty."""
    if not names.valid_name(data):
        allowed = f"1 to {names.NAME_LIMIT} letters, digits, `_`, `.`, `@` and `-`"
        raise BadField(f"must be {allowed}, the first a letter, a digit or `_`")
    return data


def namespace(data: bytes) -> bytes:
    """Return the name of a namespace as the original makes it: `/` becomes `_`, other non-word bytes go."""
    name = _NON_WORD.sub(b"", data.replace(b"/", b"_"))
    if not names.valid_namespace(name):
        raise BadField(f"must have 1 to {names.NAMESPACE_LIMIT} letters, digits or `_`")
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


def amounts(data: bytes) -> list[tuple[bytes, Decimal]]:
    """Return `k=n&k=n` as keys and numbers, in order, doubles kept; `k` and `k=` mean 1, as in the original."""
    found = []
    for piece in _pieces(data):
        name, _equals, value = piece.partition(b"=")
        found.append((key(name), number(words.unescape(value)) if value else Decimal(1)))
    return found


def number(data: bytes) -> Decimal:
    """Return a decimal number: a sign, digits, a point, an exponent; at most 40 digits before and behind it.

    The exponent is there because Perl and Python write very small and very big numbers with one.
    """
    found = Decimal(data.decode("ascii")) if _NUMBER.fullmatch(data) else None
    if found is None or not _PLAIN_NUMBER.fullmatch(f"{found:f}".encode("ascii")):
        raise BadField("must have decimal numbers of at most 40 digits on each side of the point")
    return found


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
