"""The states of a link, what changes them, and the events that come out: the link's whole vocabulary.

    DOWN         no connection, none on the way
    CONNECTING   the connect is on its way
    GREETING     rows 1 to 5 of the dialogue: does lond know us, and who is it
    KEYING       row 6: the build key of this connection
    READY        requests and replies; what is in flight is the holder's affair
    CLOSING      `exit` was said, its answer or the end of file is awaited

TRANSITIONS holds every legal change and is the only place that does; the drawing in the documentation is
made from it (drawing.py), and a test holds the whole matrix as a second, independent drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class LinkState(Enum):
    """Where a link is; what each means stands above."""

    DOWN = "down"
    CONNECTING = "connecting"
    GREETING = "greeting"
    KEYING = "keying"
    READY = "ready"
    CLOSING = "closing"


class LinkInput(Enum):
    """What can change the state of a link."""

    DIAL = "dial"  # the holder begins to connect
    CONNECTED = "connected"  # the connection stands
    GREETED = "greeted"  # rows 1 to 5 are through
    KEYED = "keyed"  # the key is agreed
    CLOSE = "close"  # the holder wants the link to end in order
    LOST = "lost"  # the link is over, for whatever reason


TRANSITIONS: Final[dict[tuple[LinkState, LinkInput], LinkState]] = {
    (LinkState.DOWN, LinkInput.DIAL): LinkState.CONNECTING,
    (LinkState.CONNECTING, LinkInput.CONNECTED): LinkState.GREETING,
    (LinkState.CONNECTING, LinkInput.LOST): LinkState.DOWN,
    (LinkState.GREETING, LinkInput.GREETED): LinkState.KEYING,
    (LinkState.GREETING, LinkInput.LOST): LinkState.DOWN,
    (LinkState.KEYING, LinkInput.KEYED): LinkState.READY,
    (LinkState.KEYING, LinkInput.LOST): LinkState.DOWN,
    (LinkState.READY, LinkInput.CLOSE): LinkState.CLOSING,
    (LinkState.READY, LinkInput.LOST): LinkState.DOWN,
    (LinkState.CLOSING, LinkInput.LOST): LinkState.DOWN,
}


class LostReason:
    """The fixed words for why the link itself gave up; its holder adds those of the socket."""

    REFUSED: Final = "refused"  # lond does not know our address
    INIT_FAILED: Final = "init_failed"  # the echo of the challenge was not answered `ok`
    NO_KEY: Final = "no_key"  # no usable build key
    OUT_OF_STEP: Final = "out_of_step"  # bytes that nobody asked for
    TOO_LONG: Final = "too_long"  # an answer of the dialogue above its limit
    TIMEOUT: Final = "timeout"  # connecting, or a step of the dialogue, took too long
    EOF: Final = "eof"  # the peer closed the connection


@dataclass(frozen=True, slots=True)
class Moved:
    """The state changed; for debugging and for whoever shows the state."""

    old: LinkState
    new: LinkState


@dataclass(frozen=True, slots=True)
class Note:
    """Something to log; text may hold raw characters of the peer's, at most 200 of them (dialogue.shown)."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """Requests can be sent. peer_version: what the peer called its version, empty if it did not say."""

    peer_version: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The link is DOWN. reason: a fixed word; detail: the text for the log, bounded as a Note's."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Farewell:
    """A CLOSING link is DOWN. answer: what lond said to `exit`, empty if it said nothing in time."""

    answer: str


LinkEvent = Moved | Note | Ready | Lost | Farewell
