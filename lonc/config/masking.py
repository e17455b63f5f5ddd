"""Owns what may be shown of the address of a store: never a password (promises.md P30)."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
# Only what is wholly understood is shown. A password with `@`, `/` or `?` in it, not escaped, fits nowhere here.
_HOST: Final = r"(?:\[[0-9A-Fa-f:.%]*\]|[A-Za-z0-9_.%-]*)(?::[0-9]{0,5})?"
_ADDRESS: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)"
    r"(?:(?P<user>[A-Za-z0-9_.%-]*)(?P<password>:[^@/?#]*)?@)?"
    rf"(?P<place>{_HOST}(?:,{_HOST})*(?:/[A-Za-z0-9_.%-]*)?)"
    r"(?P<options>\?[^@#?]*)?",
    re.ASCII,
)
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{0,32}", re.ASCII)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}:(?://)?", re.ASCII)
# Of these the values are shown; every other may be a secret, or the name of a new one.
_PLAIN_OPTIONS: Final = frozenset({"sslmode", "connect_timeout", "application_name", "host", "port", "dbname"})


def masked(word: str) -> str:
    """Return the value of londStore, right or wrong, without a password: `postgresql://u:***@host/db`.

    A plain word stays as it is. What is no address of the usual form is shown as its scheme and `***`: where
    it is not known where the password ends, nothing behind the scheme is shown.
    """
    if _WORD.fullmatch(word):
        return word
    found = _ADDRESS.fullmatch(word)
    if found is None:
        scheme = _SCHEME.match(word)
        return (scheme[0] if scheme else "") + MASK
    who = ""
    if found["user"] is not None:
        who = found["user"] + (f":{MASK}" if found["password"] is not None else "") + "@"
    return found["scheme"] + who + found["place"] + _masked_options(found["options"] or "")


def suspicious(word: str) -> bool:
    """Return whether a value of an unknown name may be the address of a store, so that it is shown masked."""
    return "://" in word or "@" in word or "password" in word.lower()


def _masked_options(options: str) -> str:
    if not options:
        return ""
    pairs = [pair.partition("=") for pair in options[1:].split("&")]
    return "?" + "&".join(
        name + equals + (value if name in _PLAIN_OPTIONS or not value else MASK) for name, equals, value in pairs
    )
