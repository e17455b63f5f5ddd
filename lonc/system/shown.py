"""Owns how text from outside is shown: one line, printable, bounded, and harmless in HTML (P31).

The watchdog puts the log into a mail and a page of HTML, an administrator reads it in a terminal: so markup
and everything a terminal acts on (control characters, ESC, C1, direction marks, other line ends) is written
as an escape that can be read. Bytes that are no UTF-8 come as bytes, or as surrogates in a str.
"""

from __future__ import annotations

CLEAN_LIMIT = 2000  # characters of one text from outside; a line of the log stays readable
_ELLIPSIS = "..."
_MARKUP = {"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&#39;"}


def clean(text: str | bytes, limit: int = CLEAN_LIMIT) -> str:
    """Return text as one printable line without markup, at most limit characters long.

    `< > & " '` become HTML entities; a control or other unprintable character becomes `\\x1b`, `\\u202e` or
    `\\U000e0001`, a byte that is no UTF-8 `\\xff`. What is longer is cut between two characters, never inside
    an escape, and ends in `...`. Never raises. Source: promises P31.
    """
    text = _decoded(text, limit)
    if text.isalnum() and len(text) <= limit:  # the common case: a word
        return text
    return _cut([_MARKUP.get(char) or _printable(char) for char in text], limit)


def printable(text: str | bytes, limit: int = CLEAN_LIMIT) -> str:
    """Return text like clean does, with `< > & " '` left as they are: for titles, plain text and metrics."""
    text = _decoded(text, limit)
    if text.isprintable() and len(text) <= limit:
        return text
    return _cut([_printable(char) for char in text], limit)


def cut_bytes(text: str, limit: int) -> bytes:
    """Return the beginning of text as at most limit bytes of UTF-8, never with half a character."""
    data = text.encode("utf-8", "backslashreplace")
    return data if len(data) <= limit else data[:limit].decode("utf-8", "ignore").encode()


def _decoded(text: str | bytes, limit: int) -> str:
    """Return as many characters of text as can matter under the limit, and one more."""
    if isinstance(text, str):
        return text[: limit + 1]
    # A character has at most 4 bytes, so half a one at this cut lies beyond the limit.
    return text[: 4 * (limit + 1)].decode("utf-8", "surrogateescape")[: limit + 1]


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as os.fsdecode hands it on
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _cut(pieces: list[str], limit: int) -> str:
    """Join the pieces; when that is longer than limit, as many whole ones as leave room for the ellipsis."""
    whole = "".join(pieces)
    if len(whole) <= limit:
        return whole
    room = max(0, limit - len(_ELLIPSIS))
    kept: list[str] = []
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + _ELLIPSIS[: max(0, limit)]
