"""Owns what a test peer can carry out: a few commands, with their data in memory.

The data ends with the process; proofs that a message was executed use the log of executed lines (lond.py).
Commands and replies as in the stub that the measurements use, and a few of the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_SLEEP_MS = 3_600_000
MAX_SIZE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request brings: the reply (no newline), sent after wait_s, as an `enc:` frame when sealed."""

    reply: bytes
    wait_s: float = 0.0
    sealed: bool = False


def _pairs(text: bytes) -> dict[bytes, bytes]:
    """Return the pairs of `k=v&k=v`; a pair without `=` has an empty value."""
    return {key: value for key, _, value in (pair.partition(b"=") for pair in text.split(b"&") if pair)}


def _number(text: bytes, limit: int) -> int | None:
    """Return the number in text, None when it is none or beyond limit."""
    if not text.isdigit() or len(text) > 12 or int(text) > limit:
        return None
    return int(text)


@dataclass(slots=True)
class Store:
    """The commands of one test peer; `data` maps `domain:user:namespace` to its keys."""

    data: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict)

    def execute(self, line: bytes, own_id: bytes, encrypted: bool) -> Outcome:
        """Carry out one request line (no newline) and return what it brings.

        own_id: the id this connection is for (`sethost`). encrypted: the line came as an `enc:` frame.
        Anything unknown, the empty line too: `unknown_cmd`.
        """
        word, _, rest = line.partition(b":")
        match word:
            case b"ping":
                return Outcome(own_id)
            case b"echo":
                return Outcome(rest)
            case b"eecho":
                return Outcome(rest, sealed=True)
            case b"sleep":
                wait_ms = _number(rest, MAX_SLEEP_MS)
                return Outcome(b"unknown_cmd") if wait_ms is None else Outcome(b"ok", wait_s=wait_ms / 1000)
            case b"size":
                size = _number(rest, MAX_SIZE)
                return Outcome(b"unknown_cmd") if size is None else Outcome(b"x" * size)
            case b"put":
                return Outcome(self._put(rest))
            case b"get" | b"eget":
                return Outcome(self._get(rest), sealed=word == b"eget")
            case b"auth" | b"passwd" | b"makeuser":
                return self._secret(word, encrypted)
            case _:
                return Outcome(b"unknown_cmd")

    def _put(self, rest: bytes) -> bytes:
        place, found, pairs = rest.rpartition(b":")
        if not found:
            return b"error: put needs domain:user:namespace:pairs"
        self.data.setdefault(place, {}).update(_pairs(pairs))
        return b"ok"

    def _get(self, rest: bytes) -> bytes:
        place, found, keys = rest.rpartition(b":")
        if not found:
            return b"error: get needs domain:user:namespace:keys"
        stored = self.data.get(place, {})
        return b"&".join(stored.get(key, b"") for key in keys.split(b"&"))

    @staticmethod
    def _secret(word: bytes, encrypted: bool) -> Outcome:
        # as in lond: what holds a password is refused in clear
        if not encrypted:
            return Outcome(b"refused")
        return Outcome(b"authorized" if word == b"auth" else b"ok")
