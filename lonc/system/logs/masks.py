"""Owns what of a request or a reply may be written down (P30, spec lonc.md 7, files.md 4).

In the log: the command word and the length of a request, and the fixed words of a reply. In the permanent
log: the whole command, as its readers expect, but for what must never be on a disk in clear.
"""

from __future__ import annotations

import re

from lonc.wire import words
from lonc.wire.lines import Line

# These have domain and user as their first fields and a password somewhere after them. They ought to come
# as `encrypt:`, and some clients send them without.
_PASSWORD_COMMANDS = frozenset((b"auth", b"passwd", b"makeuser", b"changeuserauth"))
_MASK = b"***"
_WORD = re.compile(rb"[A-Za-z0-9_]{1,32}")
# Replies that say all in one word; every other is shown by its word, if it is a known one, and its length.
_FIXED_REPLIES = frozenset(
    b"ok found not_found not_home refused rejected unknown_cmd not_subscribed directory bye con_lost"
    b" con_delayed con_failed no_such_host self_reply error".split()
)
_UNPRINTABLE_BYTES = re.compile(rb"[\x00-\x1f\x7f]")


def shown_command(line: Line, length: int | None = None) -> str:
    """Return what the log may show of a request: `word (N bytes)` or `encrypt:word (N bytes)`.

    line: without its newline, whole or in pieces; length: of the whole line when only its beginning is held.
    Passwords of known commands are masked with everything else behind the word, also with transaction
    logging on. Source: promises P30.
    """
    if isinstance(line, list):
        length = sum(map(len, line)) if length is None else length
        line = b"".join(line)
    return words.command_word(line, length)


def shown_reply(reply: Line) -> str:
    """Return what the log may show of a reply: a fixed word of the protocol alone, else `word (N bytes)`.

    A reply may quote the request, so nothing else of it is shown (P30): `error: no user x` gives
    `error (16 bytes)`, a reply with no known word `(N bytes)`, an empty one nothing.
    """
    if isinstance(reply, list):
        reply = b"".join(reply)
    found = _WORD.match(reply)
    word = found[0] if found else b""
    if word not in _FIXED_REPLIES:
        return f"({len(reply)} bytes)" if reply else ""
    return word.decode() if word == reply else f"{word.decode()} ({len(reply)} bytes)"


def perm_command(line: bytes) -> str:
    """Return a command as the permanent log holds it, as one line of text.

    `encrypt:word:...` becomes `encrypt:word`. Sent without `encrypt:`, the commands that carry passwords
    (auth, passwd, makeuser, changeuserauth) keep word, domain and user, and the rest becomes `***`: the
    original writes the whole of them (promises P30). Every other command stays as it is, byte for byte,
    since readers parse it, but that control characters and bytes that are no UTF-8 become `%XX`.
    """
    if line.startswith(words.ENCRYPT):
        found = _WORD.fullmatch(line[len(words.ENCRYPT) :].split(b":", 1)[0])
        return words.ENCRYPT.decode() + (found[0].decode() if found else "?")
    fields = line.split(b":", 3)
    if fields[0].strip().lower() in _PASSWORD_COMMANDS:
        # With fewer fields the form is not the known one: anything may be the password.
        line = b":".join([*(fields[:3] if len(fields) == 4 else fields[:1]), _MASK])
    return _one_line(line)


def _one_line(line: bytes) -> str:
    """Return the bytes as text, with every control character (C0, DEL, C1) and foreign byte as %XX."""
    text = _UNPRINTABLE_BYTES.sub(lambda match: b"%%%02X" % match[0][0], line).decode("utf-8", "surrogateescape")
    if text.isascii():
        return text
    return "".join(char if char.isprintable() else _percent(char) for char in text)


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
