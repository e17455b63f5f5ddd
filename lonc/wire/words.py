"""The fixed words of the protocol, and what counts as a failure (spec wire.md 5 and 6).

Everything on the wire is bytes, without a charset: requests and replies are single lines, their fields
are separated by `:`, `&` and `=`, and data between these is always %-escaped. This module is the only
place that spells a word of the protocol; whoever needs one takes it from here.
"""

from __future__ import annotations

import re
from typing import Final

# --- requests ---------------------------------------------------------------------------------------
INIT: Final = b"init"
SETHOST: Final = b"sethost:"
VERSION: Final = b"version:"
PING: Final = b"ping"
PONG: Final = b"pong"
EKEY: Final = b"ekey"
EXIT: Final = b"exit"

# --- between lonc and its own clients: never sent to lond as they stand -------------------------------
ENCRYPT: Final = b"encrypt:"  # what follows goes to lond as an `enc:` frame
CLOSE_EXIT: Final = b"close_connection_exit"  # the child shall leave; the sender gets no line

# --- replies ----------------------------------------------------------------------------------------
ENC: Final = b"enc:"  # begins an encrypted frame, in both directions
OK: Final = b"ok"
BYE: Final = b"bye"
REFUSED: Final = b"refused"
REJECTED: Final = b"rejected"
UNKNOWN_CMD: Final = b"unknown_cmd"
UNABLE_TO_SET: Final = b"unable_to_set"
ERROR: Final = b"error:"
CON_LOST: Final = b"con_lost"
CON_DELAYED: Final = b"con_delayed"
CON_FAILED: Final = b"con_failed"
NO_SUCH_HOST: Final = b"no_such_host"
SELF_REPLY: Final = b"self_reply"

# --- replies about users and their passwords ----------------------------------------------------------
FOUND: Final = b"found"
NOT_FOUND: Final = b"not_found"
NOT_HOME: Final = b"not_home"  # behind `error: `, so that a delayed message does not count as delivered
AUTHORIZED: Final = b"authorized"
NON_AUTHORIZED: Final = b"non_authorized"
UNKNOWN_USER: Final = b"unknown_user"
PWCHANGE_FAILURE: Final = b"pwchange_failure"
AUTH_MODE_ERROR: Final = b"auth_mode_error"
ALREADY_EXISTS: Final = b"already_exists"
NOT_RIGHT_DOMAIN: Final = b"not_right_domain"
DIRECTORY: Final = b"directory"
NOT_SUBSCRIBED: Final = b"not_subscribed"
NO_SUCH_DIR: Final = b"no_such_dir"
EMPTY: Final = b"empty"

# `error` without its colon: the spec names the bare word, and a longer word that begins so is none of ours.
_FAILURES: Final = (b"error", REFUSED, REJECTED, UNKNOWN_CMD, CON_LOST, NO_SUCH_HOST)

SHOWN_BYTES: Final = 32  # of a command word; the longest real one is `changeuserauth`
_FOREIGN: Final = re.compile(rb"[^A-Za-z0-9_]")
_ESCAPED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


def is_failure(reply: bytes) -> bool:
    """Return whether a complete reply line says that the request was not carried out.

    An empty reply is no failure here: it is passed to a client as it is, and to a delayed message it is
    no reply at all, which its sender has to check for itself. Source: spec wire.md 6.
    """
    return reply.startswith(_FAILURES)


def command_word(line: bytes, length: int | None = None) -> str:
    """Return what may be shown of a request: `WORD (N bytes)` or `encrypt:WORD (N bytes)`.

    WORD is the text before the first colon, %-escaped, at most SHOWN_BYTES of it and `...` when there is
    more. N counts the whole line without its newline; a caller that holds only the beginning of a long
    line gives the true length. Nothing else of a request is ever shown (spec lonc.md 7, promise P30).
    """
    size = len(line) if length is None else length
    prefix = ""
    if line.startswith(ENCRYPT):
        prefix, line = "encrypt:", line[len(ENCRYPT) :]
    colon = line.find(b":", 0, SHOWN_BYTES + 1)
    word = line[:SHOWN_BYTES] if colon < 0 else line[:colon]
    more = "..." if colon < 0 and len(line) > SHOWN_BYTES else ""
    return f"{prefix}{escape(word).decode('ascii')}{more} ({size} bytes)"


def escape(data: bytes) -> bytes:
    """Return data with every byte outside `[A-Za-z0-9_]` as `%` and two hex digits (wire.md 5).

    Small letters, as the originals write them: lond keeps keys as they came, so the same key in another case
    would be another entry.
    """
    return _FOREIGN.sub(lambda match: b"%%%02x" % match[0][0], data)


def unescape(data: bytes) -> bytes:
    """Return data with each `%XX` as the byte it stands for, both cases accepted.

    A `%` that two hex digits do not follow stays as it is: the originals do so, and no byte is lost.
    """
    return _ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), data)
