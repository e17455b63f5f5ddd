"""Owns how a handler answers: what is common to many rows, and what ends a command early."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lonc.lond.commands.model import Reply
from lonc.wire import words

# A worker that collects more than this for one command is being abused (one key asked for 100,000 times), or
# the client should ask for a range: lonc passes on 64 MiB unless it is told otherwise.
ANSWER_BYTES: Final = 268435456
OK: Final = Reply(words.OK)
REFUSED: Final = Reply(words.REFUSED)
UNKNOWN_CMD: Final = Reply(words.UNKNOWN_CMD)


class CannotAnswer(Exception):
    """The command cannot be carried out, nothing was changed; the text follows `error: ` and quotes nothing."""


def error(text: str) -> Reply:
    """Return `error: text`, which is a failure to every client (wire.md 6)."""
    return Reply(words.ERROR + b" " + text.encode("ascii", "backslashreplace"))


def joined(pieces: Iterable[bytes]) -> bytes:
    """Return the pieces with `&` between them; raises CannotAnswer above ANSWER_BYTES, before it holds more."""
    kept = []
    size = 0
    for piece in pieces:
        size += len(piece) + 1
        if size > ANSWER_BYTES:
            raise CannotAnswer(f"the answer is longer than {ANSWER_BYTES} bytes: ask for a part of it")
        kept.append(piece)
    return b"&".join(kept)
