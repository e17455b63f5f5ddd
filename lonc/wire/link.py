"""One link to one peer's lond: its states, and the opening dialogue that makes it usable.

The link does no I/O and reads no clock. Whoever holds the socket gives it what was read and the time, and
takes from it what is to be written; everything that follows is returned as a list of events, in order.
Three things change a link: bytes (`receive`), time (`tick`, due at `next_deadline`), and what its holder
tells it (`dial`, `connected`, `sent`, `close`, `lost`).

States, legal changes and events are in states.py, the rows of the dialogue in dialogue.py. `_enter` is the
only writer of the state; a change that the table does not hold raises LinkProtocolError and leaves
everything as it was.

A reply is matched to its request by counting alone. So a byte that nobody asked for, before a request is
out or behind the answer to it, ends the link: from then on every reply might be somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lonc.errors import LinkProtocolError
from lonc.wire import words
from lonc.wire.cipher import FrameCipher, session_key
from lonc.wire.dialogue import DIALOGUE, Talk, shown
from lonc.wire.lines import Line, LineBuffer, whole
from lonc.wire.states import (
    TRANSITIONS,
    Farewell,
    LinkEvent,
    LinkInput,
    LinkState,
    Lost,
    LostReason,
    Moved,
    Note,
    Ready,
)

__all__ = [
    "ANSWER_BYTES",
    "DIALOGUE",
    "TRANSITIONS",
    "Farewell",
    "Link",
    "LinkEvent",
    "LinkInput",
    "LinkState",
    "Lost",
    "LostReason",
    "Moved",
    "Note",
    "Ready",
]

ANSWER_BYTES: Final = 65536  # the longest answer of the dialogue; a challenge is echoed, however odd, up to it

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
        self.replies: Callable[[bytes], list[Line | None]]  # set by _reset
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
        return self.frames.encode(command)

    def decrypt(self, frame: bytes) -> bytes:
        """Return the text of an `enc:` reply. READY only. Raises CipherError when it cannot be decoded."""
        return self.frames.decode(frame)

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

    @property
    def frames(self) -> FrameCipher:
        """Return what codes and decodes frames with the key of this connection. READY only."""
        if self._cipher is None:
            raise LinkProtocolError("there is no key before the link is READY")
        return self._cipher
