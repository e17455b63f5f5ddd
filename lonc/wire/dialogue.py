"""The opening dialogue as a table: what lonc asks, in which order, and what each answer must be.

The rows are those of spec wire.md 2 in the order of lonc 1.53. A row knows nothing of time or of how its
bytes travel; that is the link's part. Only the rows' checks touch the Talk, each its own fact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lonc.wire import words
from lonc.wire.states import LinkState, Lost, LostReason, Note

SHOWN_CHARS: Final = 200  # of a text from the peer that stands in an event


@dataclass(slots=True)
class Talk:
    """What is known in one dialogue: given by us, learned from the peer."""

    own_id: bytes
    peer: bytes
    version: bytes
    challenge: bytes = b""
    build_key: bytes = b""
    peer_version: str = ""
    peer_remark: str = ""  # what followed the version after a colon; for display only


Verdict = Note | Lost | None  # on an answer: go on and log, the link is over, go on


@dataclass(frozen=True, slots=True)
class Row:
    """One request of the dialogue: when, what, its status words, and what its answer must be."""

    state: LinkState  # the state in which it is said
    request: Callable[[Talk], bytes]
    sending: str  # status word until the request is out
    waiting: str  # status word until its answer is here
    check: Callable[[Talk, bytes], Verdict]
    is_pong: bool = False  # may be switched off, may have a pause before it


def shown(text: bytes) -> str:
    """Return a text of the peer's for an event: cut at SHOWN_CHARS, foreign bytes as `\\xNN`, not escaped."""
    cut = text[:SHOWN_CHARS].decode("utf-8", "backslashreplace")
    return cut[:SHOWN_CHARS] + ("..." if len(text) > SHOWN_CHARS or len(cut) > SHOWN_CHARS else "")


def _keep_challenge(talk: Talk, answer: bytes) -> Verdict:
    if answer in (words.REFUSED, words.BYE):
        return Lost(LostReason.REFUSED, f"Init reply: >{shown(answer)}<")
    talk.challenge = answer
    return None


def _need_ok(_talk: Talk, answer: bytes) -> Verdict:
    return None if answer == words.OK else Lost(LostReason.INIT_FAILED, f"Init reply: >{shown(answer)}<")


def _want_ok(_talk: Talk, answer: bytes) -> Verdict:
    # An older lond says unknown_cmd or unable_to_set, and works all the same.
    return None if answer == words.OK else Note(f"Sethost reply: >{shown(answer)}<", warning=True)


def _keep_version(talk: Talk, answer: bytes) -> Verdict:
    if not answer.startswith(words.VERSION):
        return Note(f"Version reply: >{shown(answer)}<", warning=True)
    version, _, remark = answer[len(words.VERSION) :].partition(b":")
    talk.peer_version, talk.peer_remark = shown(version), shown(remark)
    return None


def _tell_pong(_talk: Talk, answer: bytes) -> Verdict:
    # It says whether the way back is open, which is nothing this link depends on.
    return Note(f"Pong reply: >{shown(answer)}<")


def _keep_build_key(talk: Talk, answer: bytes) -> Verdict:
    # Digits and letters (ASCII) alone are a key; `error: ...` or `unknown_cmd` would make one that nobody shares.
    if not answer.isalnum() or words.is_failure(answer):
        return Lost(LostReason.NO_KEY, f"no build key, {len(answer)} bytes instead")
    talk.build_key = answer
    return None


_GREETING, _KEYING = LinkState.GREETING, LinkState.KEYING

DIALOGUE: Final[tuple[Row, ...]] = (
    Row(_GREETING, lambda _: words.INIT, "Connected", "Initialized", _keep_challenge),
    Row(_GREETING, lambda talk: talk.challenge, "ChallengeReceived", "ChallengeReplied", _need_ok),
    Row(_GREETING, lambda talk: words.SETHOST + talk.peer, "SetHost", "HostSet", _want_ok),
    Row(_GREETING, lambda talk: words.VERSION + talk.version, "RequestingVersion", "ReadingVersionString",
        _keep_version),
    Row(_GREETING, lambda _: words.PONG, "RequestingPong", "ReceivingPong", _tell_pong, is_pong=True),
    Row(_KEYING, lambda _: words.EKEY, "RequestingKey", "ReceivingKey", _keep_build_key),
)  # fmt: skip
