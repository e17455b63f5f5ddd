"""One link to one peer's lond: its states, and the opening dialogue that makes it usable.

The link does no I/O and reads no clock. Whoever holds the socket gives it what was read and the time, and
takes from it what is to be written; everything that follows is returned as a list of events, in order.
Three things change a link: bytes (`receive`), time (`tick`, due at `next_deadline`), and what its holder
tells it (`dial`, `connected`, `sent`, `close`, `lost`).

    DOWN         no connection, none on the way
    CONNECTING   the connect is on its way
    GREETING     rows 1 to 5 of the dialogue: does lond know us, and who is it
    KEYING       row 6: the build key of this connection
    READY        requests and replies; what is in flight is the holder's affair
    CLOSING      `exit` was said, its answer or the end of file is awaited

TRANSITIONS is the only table of legal changes and `_enter` the only writer of the state; a change that the
table does not hold raises LinkProtocolError and leaves everything as it was. DIALOGUE is the opening
dialogue as it stands in spec wire.md 2, one row per request, in the order of lonc 1.53.

A reply is matched to its request by counting alone. So a byte that nobody asked for, before a request is
out or behind the answer to it, ends the link: from then on every reply might be somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lonc.errors import LinkProtocolError
from lonc.wire import words
from lonc.wire.cipher import FrameCipher, session_key
from lonc.wire.lines import Line, LineBuffer, whole

ANSWER_BYTES: Final = 65536  # the longest answer of the dialogue; a challenge is echoed, however odd, up to it
SHOWN_CHARS: Final = 200  # of a text from the peer that stands in an event


class LinkState(Enum):
    """Where a link is; the module's docstring says what each means."""

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
    """The fixed words for why a link that this module ended is over; its holder adds those of the socket."""

    REFUSED: Final = "refused"  # lond does not know our address
    INIT_FAILED: Final = "init_failed"  # the echo of the challenge was not answered `ok`
    NO_KEY: Final = "no_key"  # no usable build key
    OUT_OF_STEP: Final = "out_of_step"  # bytes that nobody asked for
    TOO_LONG: Final = "too_long"  # an answer of the dialogue above ANSWER_BYTES
    TIMEOUT: Final = "timeout"  # connecting, or a step of the dialogue, took too long
    EOF: Final = "eof"  # the peer closed the connection


@dataclass(frozen=True, slots=True)
class Moved:
    """The state changed; for debugging and for whoever shows the state."""

    old: LinkState
    new: LinkState


@dataclass(frozen=True, slots=True)
class Note:
    """Something to log; text may hold raw characters of the peer's, at most SHOWN_CHARS of them."""

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

_STEPS: Final = {
    LinkState.DOWN: "Disconnected",
    LinkState.CONNECTING: "Connecting",
    LinkState.READY: "Idle",
    LinkState.CLOSING: "Closing",
}


def _not_ready(_data: bytes) -> list[Line | None]:
    raise LinkProtocolError("replies are read on a READY link only")


class Link:
    """One connection to lond at a time; after Lost or Farewell the same object can be dialed again.

    replies: READY only, hot: reply lines that the bytes complete, None for one longer than reply_limit.
    """

    def __init__(
        self,
        own_id: bytes,
        peer: bytes,
        version: bytes,
        *,
        init_timeout_s: float,
        connect_timeout_s: float,
        pong: bool,
        pong_delay_s: float,
        reply_limit: int,
    ) -> None:
        """Make a DOWN link.

        own_id, peer: ids of hosts.tab. version: said to the peer; letters, digits, `.` and `-`.
        init_timeout_s: for each request of the dialogue to be sent, and again for its answer.
        pong: whether row 5 is said; pong_delay_s: the pause before it (lonc 1.53: 5.0).
        reply_limit: bytes of the longest reply that is kept.
        """
        self.state = LinkState.DOWN
        self.replies: Callable[[bytes], list[Line | None]] = _not_ready
        self._ids = (own_id, peer, version)
        self._init_timeout_s = init_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._pong_delay_s = pong_delay_s
        self._reply_limit = reply_limit
        self._rows = tuple(row for row in DIALOGUE if pong or not row.is_pong)
        self._reset()

    def _reset(self) -> None:
        """Forget everything about the last connection."""
        self._talk = Talk(*self._ids)
        self._row = 0
        self._due = b""  # of the dialogue, not yet taken by the holder
        self._taken = False  # the holder has the request and is writing it
        self._asked = False  # the request is out: an answer is expected
        self._pausing = False  # before row 5
        self._deadline: float | None = None
        self._buffer = LineBuffer(ANSWER_BYTES)
        self._cipher: FrameCipher | None = None
        self.replies = _not_ready

    # --- what the holder may read -----------------------------------------------------------------

    @property
    def step(self) -> str:
        """Return the status word of this moment, in loncnew's words where it has one (spec files.md 5)."""
        if self.state in _STEPS:
            return _STEPS[self.state]
        row = self._rows[self._row]
        return row.waiting if self._asked else row.sending

    @property
    def peer_version(self) -> str:
        """Return what the peer called its version on this connection, empty if it did not say."""
        return self._talk.peer_version

    @property
    def peer_remark(self) -> str:
        """Return what stood behind the peer's version, empty if nothing did; for display."""
        return self._talk.peer_remark

    @property
    def reply_buffer(self) -> LineBuffer:
        """Return the buffer behind `replies`: its size and partial tell of a reply that is on its way."""
        return self._buffer

    def next_deadline(self) -> float | None:
        """Return when `tick` is to be called at the latest; None when no time limit runs."""
        return self._deadline

    # --- what the holder tells --------------------------------------------------------------------

    def dial(self, now: float) -> list[LinkEvent]:
        """Begin: the holder connects now; the limit of the connect starts."""
        moved = self._enter(LinkInput.DIAL)
        self._reset()
        self._deadline = now + self._connect_timeout_s
        return [moved]

    def connected(self, now: float) -> list[LinkEvent]:
        """The connection stands: the first request of the dialogue is due."""
        moved = self._enter(LinkInput.CONNECTED)
        self._ask(0, now)
        return [moved]

    def outgoing(self) -> bytes:
        """Return what is to be written and has not been taken yet; b"" when nothing is."""
        due, self._due = self._due, b""
        self._taken = self._taken or bool(due)
        return due

    def sent(self, now: float) -> None:
        """All that was taken is in the kernel: the limit for the answer starts.

        Without effect when nothing was taken, and when called again.
        """
        if self._taken:
            self._taken, self._asked = False, True
            self._deadline = now + self._init_timeout_s

    def tick(self, now: float) -> list[LinkEvent]:
        """Do what is due by now; nothing before `next_deadline`."""
        if self._deadline is None or now < self._deadline:
            return []
        if self._pausing:
            self._put_request(now)
            return []
        if self.state is LinkState.CONNECTING:
            return self.lost(LostReason.TIMEOUT, f"no connection within {self._connect_timeout_s:g} s", now)
        return self.lost(LostReason.TIMEOUT, f"Timed out during init ({self.step})", now)

    def close(self, now: float) -> list[LinkEvent]:
        """End a READY link in order: `exit` is due, Farewell will follow. Nothing may be in flight."""
        moved = self._enter(LinkInput.CLOSE)
        self._buffer = LineBuffer(ANSWER_BYTES)
        self.replies = _not_ready
        self._put(words.EXIT, now)
        return [moved]

    def lost(self, reason: str, detail: str, now: float) -> list[LinkEvent]:
        """End the link at once, whatever its state but DOWN: Lost, or Farewell when it was closing anyway."""
        closing = self.state is LinkState.CLOSING
        moved = self._enter(LinkInput.LOST)
        self._reset()
        return [moved, Farewell("") if closing else Lost(reason, detail)]

    # --- bytes --------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> list[LinkEvent]:
        """Take what was read during the dialogue or while closing; empty data is the end of file."""
        if not data:
            return self.lost(LostReason.EOF, f"connection closed by the peer ({self.step})", now)
        if self.state is LinkState.CLOSING:
            return self._hear_farewell(data, now)
        if self.state not in (LinkState.GREETING, LinkState.KEYING):
            raise LinkProtocolError(f"a {self.state.name} link has no dialogue")
        if not self._asked:
            return self.lost(LostReason.OUT_OF_STEP, f"the peer spoke unasked ({self.step})", now)
        lines = self._buffer.feed(data)
        if self._buffer.overflow or None in lines:
            return self.lost(LostReason.TOO_LONG, f"an answer of more than {ANSWER_BYTES} bytes", now)
        return self._hear(lines, now) if lines else []

    def encrypt(self, command: bytes) -> bytes:
        """Return the `enc:` line, without newline, for a command without its `encrypt:`. READY only."""
        return self._frames().encode(command)

    def decrypt(self, frame: bytes) -> bytes:
        """Return the text of an `enc:` reply. READY only. Raises CipherError when it cannot be decoded."""
        return self._frames().decode(frame)

    # --- inside -------------------------------------------------------------------------------------

    def _enter(self, what: LinkInput) -> Moved:
        """Change the state as TRANSITIONS has it: the only place that does."""
        new = TRANSITIONS.get((self.state, what))
        if new is None:
            raise LinkProtocolError(f"{what.name} is not possible on a {self.state.name} link")
        old, self.state = self.state, new
        return Moved(old, new)

    def _ask(self, index: int, now: float) -> None:
        """Make a row of the dialogue the current one, and its request due, if need be after a pause."""
        self._row = index
        self._asked = False
        if self._rows[index].is_pong and self._pong_delay_s > 0:
            self._pausing = True
            self._deadline = now + self._pong_delay_s
        else:
            self._put_request(now)

    def _put_request(self, now: float) -> None:
        self._pausing = False
        self._put(self._rows[self._row].request(self._talk), now)

    def _put(self, line: bytes, now: float) -> None:
        """Make a line due; the limit for it to be sent starts."""
        self._due = line + b"\n"
        self._asked = self._taken = False
        self._deadline = now + self._init_timeout_s

    def _hear(self, lines: list[Line | None], now: float) -> list[LinkEvent]:
        """Judge the answer to the current row, and go on to the next row or to READY."""
        verdict = self._rows[self._row].check(self._talk, whole(lines[0] or b""))
        if isinstance(verdict, Lost):
            return self.lost(verdict.reason, verdict.detail, now)
        if len(lines) > 1 or self._buffer.partial:
            return self.lost(LostReason.OUT_OF_STEP, f"more than one answer ({self.step})", now)
        events: list[LinkEvent] = [verdict] if verdict else []
        following = self._row + 1
        if following == len(self._rows):
            return events + self._become_ready()
        if self._rows[following].state is not self.state:
            events.append(self._enter(LinkInput.GREETED))
        self._ask(following, now)
        return events

    def _become_ready(self) -> list[LinkEvent]:
        moved = self._enter(LinkInput.KEYED)
        talk = self._talk
        self._cipher = FrameCipher(session_key(talk.peer, talk.own_id, talk.build_key))
        talk.build_key = b""  # not needed again: no key lies about longer than it must
        self._deadline = None
        self._buffer = LineBuffer(self._reply_limit)
        self.replies = self._buffer.feed
        return [moved, Note("Secure connection initialized"), Ready(talk.peer_version)]

    def _hear_farewell(self, data: bytes, now: float) -> list[LinkEvent]:
        """Take the answer to `exit`; whatever else comes then is of no interest any more."""
        lines = self._buffer.feed(data)
        if not lines and not self._buffer.overflow:
            return []
        answer = shown(whole(lines[0] or b"")) if lines else ""
        moved, _ = self.lost(LostReason.EOF, "", now)
        return [moved, Farewell(answer)]

    def _frames(self) -> FrameCipher:
        if self._cipher is None:
            raise LinkProtocolError("there is no key before the link is READY")
        return self._cipher
