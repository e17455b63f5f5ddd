"""Owns the commands about accounts: currentauth, auth, passwd, makeuser and changeuserauth.

An account is kept as `mechanism:info`. This server verifies passwords of the mechanism `internal` alone, whose
info is a hash that never leaves it; of the others it knows the word and hands the info on.
"""

from __future__ import annotations

import re
from typing import Final

from lonc.lond.commands import answers, fields, passwords
from lonc.lond.commands.answers import CannotAnswer
from lonc.lond.commands.fields import DOMAIN, USER
from lonc.lond.commands.homes import serves
from lonc.lond.commands.model import BadField, Command, Context, Field, Reply
from lonc.lond.store.model import Owner
from lonc.system.clock import SystemClock
from lonc.system.logs import RepeatedWarnings, Severity
from lonc.wire import words

INTERNAL: Final = "internal"
# What the last argument is with each mechanism: None is the password, else whether it may be left empty.
_MECHANISMS: Final[dict[str, bool | None]] = {
    INTERNAL: None,
    "unix": True,  # the password is the system's own
    "krb4": False,  # the realm
    "krb5": False,
    "localauth": True,  # an argument of the site's own program
}
_INFO = re.compile(rb"[!-9;-~]{0,200}")  # printable, no blank and no colon
_PRINTABLE = re.compile(rb"[ -~]*")
_NON_AUTHORIZED: Final = Reply(words.NON_AUTHORIZED)
_REPEATED: Final = RepeatedWarnings(SystemClock())  # of this worker


def password(data: bytes) -> bytes:
    """Return a new password in clear; an empty one is none."""
    clear = fields.unescaped(data)
    if not 1 <= len(clear) <= passwords.PASSWORD_BYTES:
        raise BadField(f"must have 1 to {passwords.PASSWORD_BYTES} bytes")
    return clear


def mode(data: bytes) -> str:
    """Return a mechanism that an account may have."""
    chosen = fields.word(data)
    if chosen not in _MECHANISMS:
        raise BadField("must be one of " + ", ".join(_MECHANISMS))
    return chosen


def _currentauth(context: Context, domain: bytes, user: bytes) -> Reply:
    """`mechanism:info`, of `internal` without the hash: `internal:`; `unknown_user` when there is no account."""
    kept = context.store.account(Owner(domain, user))
    if kept is None:
        return Reply(words.UNKNOWN_USER)
    mechanism, info = _parts(kept)
    # A mechanism that this server does not know may keep a secret there as well.
    shown = info if _MECHANISMS.get(mechanism) is not None and _PRINTABLE.fullmatch(info) else b""
    return Reply(words.escape(mechanism.encode("ascii", "replace")) + b":" + shown)


def _auth(context: Context, domain: bytes, user: bytes, clear: bytes) -> Reply:
    """`authorized`, `non_authorized` (also when the mechanism is not verified here) or `unknown_user`."""
    kept = context.store.account(Owner(domain, user))
    if kept is None:
        passwords.take_as_long(clear)
        return Reply(words.UNKNOWN_USER)
    return Reply(words.AUTHORIZED) if _verified(context, kept, clear) else _NON_AUTHORIZED


def _passwd(context: Context, domain: bytes, user: bytes, old: bytes, new: bytes) -> Reply:
    """`ok` when the new password holds; `non_authorized`, `pwchange_failure`, `auth_mode_error` (not ours)."""
    owner = Owner(domain, user)
    kept = context.store.account(owner)
    if kept is None:
        passwords.take_as_long(old)
        return _NON_AUTHORIZED
    if _parts(kept)[0] != INTERNAL:
        return Reply(words.AUTH_MODE_ERROR)
    if not _verified(context, kept, old):
        return _NON_AUTHORIZED
    changed = context.store.change_account(owner, _account(INTERNAL, new))
    return answers.OK if changed else Reply(words.PWCHANGE_FAILURE)


def _makeuser(context: Context, domain: bytes, user: bytes, chosen: str, secret: bytes) -> Reply:
    """`ok`, `already_exists` or `not_right_domain`; with krb4, krb5 and localauth the password is its info."""
    if not serves(context, domain):
        return Reply(words.NOT_RIGHT_DOMAIN)
    made = context.store.create_account(Owner(domain, user), _account(chosen, secret))
    return answers.OK if made else Reply(words.ALREADY_EXISTS)


def _changeuserauth(context: Context, domain: bytes, user: bytes, chosen: str, secret: bytes) -> Reply:
    """`ok` or `not_right_domain`; `error: not_home: ...` when there is no such account."""
    if not serves(context, domain):
        return Reply(words.NOT_RIGHT_DOMAIN)
    if context.store.change_account(Owner(domain, user), _account(chosen, secret)):
        return answers.OK
    raise CannotAnswer("not_home: this user has no account on this server")


def _account(mechanism: str, secret: bytes) -> bytes:
    """Return an account as it is kept; CannotAnswer when the password does not fit the mechanism."""
    may_be_empty = _MECHANISMS[mechanism]
    if may_be_empty is None:
        if not 1 <= len(secret) <= passwords.PASSWORD_BYTES:
            raise CannotAnswer(f"password must have 1 to {passwords.PASSWORD_BYTES} bytes")
        info = passwords.hashed(secret)
    elif mechanism == "unix":
        info = b""  # a password that is not ours to keep
    else:
        if not _INFO.fullmatch(secret) or not (secret or may_be_empty):
            raise CannotAnswer(f"password must be what {mechanism} needs: printable, no blank, no colon")
        info = secret
    return mechanism.encode("ascii") + b":" + info


def _parts(kept: bytes) -> tuple[str, bytes]:
    mechanism, _colon, info = kept.partition(b":")
    return mechanism.decode("ascii", "replace"), info


def _verified(context: Context, kept: bytes, clear: bytes) -> bool:
    """Return whether the password is that of the account; one that cannot be verified here is told."""
    mechanism, info = _parts(kept)
    if mechanism == INTERNAL:
        try:
            return passwords.fits(clear, info)
        except passwords.CannotVerify as error:
            _warn(context, f"A kept password cannot be verified here: its kind is {error}")
            return False
    passwords.take_as_long(clear)
    known = mechanism if mechanism in _MECHANISMS else "unknown"
    _warn(context, f"Passwords of this mechanism are not verified here: {known}")
    return False


def _warn(context: Context, said: str) -> None:
    if (told := _REPEATED.pass_on(said, said, said)) is not None:
        context.log.write(told, Severity.WARNING)


# What somebody claims to be his password may be anything; it is just not the right one.
_GIVEN: Final = Field("password", fields.unescaped)
_OLD: Final = Field("old", fields.unescaped)
_MODE: Final = (Field("mode", mode), _GIVEN)
ROWS: tuple[Command, ...] = (
    Command(b"currentauth", (DOMAIN, USER), _currentauth, encrypted=True),
    Command(b"auth", (DOMAIN, USER, _GIVEN), _auth, encrypted=True),
    Command(b"passwd", (DOMAIN, USER, _OLD, Field("new", password)), _passwd, encrypted=True),
    Command(b"makeuser", (DOMAIN, USER, *_MODE), _makeuser, encrypted=True),
    Command(b"changeuserauth", (DOMAIN, USER, *_MODE), _changeuserauth, encrypted=True),
)
