"""Owns how Python values become fields of a command, and reply lines become Python values (wire.md 5).

Text is UTF-8 on the wire. What comes back is text too, any byte that is no UTF-8 as a surrogate: so nothing is
lost, and to_bytes() gives the very bytes that were stored. Numbers go as their decimal text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lonc.lonnet.answers import Record, Version
from lonc.wire.words import escape, unescape

Text = str | bytes
Value = str | bytes | int | float
# Names of domains and users go as they are where they can: the originals neither escape nor unescape them.
_NON_WORD = re.compile(rb"[^A-Za-z0-9_]")
_PLAIN = re.compile(rb"[A-Za-z0-9_.@+-]*")


def to_bytes(value: Value) -> bytes:
    """Return a value as it is stored: text as UTF-8, surrogates as the bytes they stand for, bytes as they are."""
    if isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """Return stored bytes as text; bytes that are no UTF-8 as surrogates."""
    return data.decode("utf-8", "surrogateescape")


def escaped(value: Value) -> bytes:
    """Return a value as a field: every byte outside `[A-Za-z0-9_]` as `%XX`."""
    return escape(to_bytes(value))


def unescaped(field: bytes) -> str:
    """Return the text in a field."""
    return to_text(unescape(field))


def named(name: Text) -> bytes:
    """Return the name of a domain or a user as a field: as it is, and escaped where it would break the command."""
    data = to_bytes(name)
    return data if _PLAIN.fullmatch(data) else escape(data)


def space(namespace: Text) -> bytes:
    """Return the name of a namespace as every server makes it: `/` becomes `_`, other non-word bytes go."""
    return _NON_WORD.sub(b"", to_bytes(namespace).replace(b"/", b"_"))


def command(word: bytes, *fields: bytes) -> bytes:
    """Return a command of fields that are already escaped."""
    return b":".join((word, *fields))


def pairs(values: Mapping[str, Value] | Mapping[bytes, Value]) -> bytes:
    """Return `k=v&k=v`."""
    return b"&".join(escaped(key) + b"=" + escaped(value) for key, value in values.items())


def names(keys: Iterable[Text]) -> bytes:
    """Return `k&k`."""
    return b"&".join(escaped(key) for key in keys)


def read_pairs(line: bytes) -> dict[str, str]:
    """Return the dict in `k=v&k=v`; a pair without `=` has an empty value, an empty line is an empty dict."""
    found = {}
    for pair in line.split(b"&") if line else ():
        key, _, value = pair.partition(b"=")
        if pair:
            found[unescaped(key)] = unescaped(value)
    return found


def read_names(line: bytes) -> list[str]:
    """Return the list in `k&k`."""
    return [unescaped(name) for name in line.split(b"&") if name]


def read_values(line: bytes, keys: Iterable[Text]) -> dict[str, str]:
    """Return the values in `v&v` under the keys that were asked for, in that order.

    A key that is not stored has "": the wire does not tell it from an empty value. Missing fields too.
    """
    values = line.split(b"&")
    wanted = [to_text(to_bytes(key)) for key in keys]
    values += [b""] * (len(wanted) - len(values))
    return {key: unescaped(value) for key, value in zip(wanted, values, strict=False)}


def read_record(line: bytes) -> Record:
    """Return the record in a reply to `restore`: `version=N&1:keys=...&1:key=value&...`.

    Fields of no version (`version=N`) and the lists of keys, the first field of each version, tell nothing that
    the values do not, and are not needed: a key may hold any character, so they are read from the fields.
    """
    versions: dict[int, dict[str, str]] = {}
    for pair in line.split(b"&"):
        name, _, value = pair.partition(b"=")
        number, colon, key = name.partition(b":")
        if not colon or not number.isdigit() or len(number) > 9:
            continue
        if int(number) not in versions and key == b"keys":
            versions[int(number)] = {}
        else:
            versions.setdefault(int(number), {})[unescaped(key)] = unescaped(value)
    return Record(tuple(_version(number, versions[number]) for number in sorted(versions)))


def _version(number: int, values: dict[str, str]) -> Version:
    time = values.pop("timestamp", "")
    return Version(number, float(time) if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", time) else 0.0, values)
