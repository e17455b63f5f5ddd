"""Owns how a password that this server keeps is hashed and verified.

New ones are argon2id. The crypt strings that the original wrote are verified for as long as there are some:
DES, BSDI, MD5, SHA-256 and SHA-512, and bcrypt where its library is installed. All comparisons take the same
time wherever the first difference stands; the libraries do so.
"""

from __future__ import annotations

from typing import Any, Final

import argon2
from passlib import exc
from passlib import hash as crypts

from lonc.errors import LoncError

PASSWORD_BYTES: Final = 1000  # a crypt takes at most 4,096 anyway, and nobody types more than this
# 19 MiB, twice, on one core: the least that OWASP's password storage cheat sheet asks of argon2id. Workers come
# in hundreds, and each may have a login check at hand.
_HASHER: Final = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# Of a password that nobody knows: verified in place of a missing one, so that both take as long.
_NOBODY: Final = (
    b"$argon2id$v=19$m=19456,t=2,p=1$I/Zyv9aHkFW9lAqtGv2TWg$jNYLY4DDbUiDtKTAVtqMohE41dty4cyuzEWiYRcM5QI"
)
_DES_LENGTH: Final = 13


class CannotVerify(LoncError):
    """A kept hash is of a kind that this machine cannot verify, or is damaged; the text names the kind alone."""


def hashed(password: bytes) -> bytes:
    """Return a new hash of a password, with its own salt, as one word without colons."""
    return _HASHER.hash(password).encode("ascii")


def fits(password: bytes, kept: bytes) -> bool:
    """Return whether a password is the one that was hashed; an empty or over-long one never is.

    kept: the hash as it is stored. Raises CannotVerify when it is of no known kind, or damaged.
    """
    if not 1 <= len(password) <= PASSWORD_BYTES:
        return False
    text = kept.decode("ascii", "replace")
    if text.startswith("$argon2"):
        return _fits_argon2(password, text)
    kind, crypt = _kind_of(text)
    try:
        return bool(crypt.verify(password, text))
    except exc.PasswordValueError:  # a NUL: crypt ends there, so no such password was ever set
        return False
    except exc.MissingBackendError as error:
        raise CannotVerify(kind) from error
    except (ValueError, TypeError) as error:
        raise CannotVerify(f"{kind}, damaged") from error


def take_as_long(password: bytes) -> None:
    """Spend the time of a verification where there is no hash, so that nobody learns that from a clock."""
    fits(password, _NOBODY)


def _fits_argon2(password: bytes, text: str) -> bool:
    try:
        return _HASHER.verify(text, password)
    except argon2.exceptions.VerifyMismatchError:
        return False
    except (argon2.exceptions.Argon2Error, argon2.exceptions.InvalidHashError) as error:
        raise CannotVerify("argon2, damaged") from error


def _kind_of(text: str) -> tuple[str, Any]:
    """Return the name of a crypt string's kind and what verifies it (a class of passlib's)."""
    known: dict[str, Any] = {
        "$1$": crypts.md5_crypt,
        "$5$": crypts.sha256_crypt,
        "$6$": crypts.sha512_crypt,
        "$2": crypts.bcrypt,
        "_": crypts.bsdi_crypt,
    }
    for prefix, crypt in known.items():
        if text.startswith(prefix):
            return str(crypt.name), crypt
    if len(text) == _DES_LENGTH and "$" not in text:
        return "des_crypt", crypts.des_crypt
    raise CannotVerify("unknown")
