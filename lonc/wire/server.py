"""lond's side of a link: the same dialogue from the other end, and requests in whatever split they come.

The session does no I/O and makes no random bytes: it is given what was read, and returns what happened, in
order. Its holder handles the events in that order too and answers each Request and AskPong before it goes
on, because a client matches replies to requests by counting alone.

    INIT    the first line must be `init`; it is answered with the challenge
    ECHO    the second line must be the challenge, byte for byte
    OPEN    requests; between them sethost, version, pong and ekey in any order, missing, or repeated
    CLOSED  refused, or the client said `exit`; whatever comes now is ignored
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lonc.errors import CipherError, LinkProtocolError
from lonc.wire import words
from lonc.wire.cipher import FrameCipher, session_key
from lonc.wire.lines import LineBuffer, whole

COMMAND_BYTES: Final = 16777216  # the longest command, as lonc's own default for loncMaxLine
_FRAME_BYTES: Final = 32  # what `enc:LEN:` and the last block add to twice the command
_WORD_BYTES: Final = 16  # where the colon behind a word of the dialogue must be found
_NON_WORD: Final = re.compile(rb"[^A-Za-z0-9_]")


class ServerState(Enum):
    """Where a session is; what each means stands above."""

    INIT = "init"
    ECHO = "echo"
    OPEN = "open"
    CLOSED = "closed"


class ServerInput(Enum):
    """What can change the state of a session."""

    GREETED = "greeted"  # `init` came
    ECHOED = "echoed"  # the challenge came back
    REFUSED = "refused"  # anything else came in its place
    EXITED = "exited"  # `exit` came


SERVER_TRANSITIONS: Final[dict[tuple[ServerState, ServerInput], ServerState]] = {
    (ServerState.INIT, ServerInput.GREETED): ServerState.ECHO,
    (ServerState.INIT, ServerInput.REFUSED): ServerState.CLOSED,
    (ServerState.ECHO, ServerInput.ECHOED): ServerState.OPEN,
    (ServerState.ECHO, ServerInput.REFUSED): ServerState.CLOSED,
    (ServerState.OPEN, ServerInput.EXITED): ServerState.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes to be written as they are, newline included."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """A command to carry out; its reply goes through `answer`. encrypted: it came as an `enc:` frame."""

    line: bytes
    encrypted: bool


@dataclass(frozen=True, slots=True)
class AskPong:
    """The client wants to know the way back: ask it `ping` through our own lonc, then `answer_pong`."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is to be closed once everything is written. reason: `refused` or `exit`."""

    reason: str


ServerEvent = Send | Request | AskPong | Closed


class ServerSession:
    """One client's connection.

    state: where it is. host_id: which of our ids the client talks to, the first until `sethost` chooses.
    client_version: what the client called its version, empty if it did not say.
    """

    def __init__(
        self,
        own_ids: Collection[bytes],
        client_id: bytes,
        *,
        challenge: bytes,
        build_key: bytes,
        version: bytes,
        command_limit: int = COMMAND_BYTES,
    ) -> None:
        """Make a session that waits for `init`.

        own_ids: the ids of this host, at least one. client_id: whom the client's address belongs to.
        challenge: not to be guessed, without newline. build_key: 20 to 30 digits and letters A-F, new for
        each connection. version: said to the client. command_limit: bytes of the longest command.
        """
        self.state = ServerState.INIT
        self.own_ids = tuple(own_ids)
        self.host_id = self.own_ids[0]
        self.client_id = client_id
        self.client_version = b""
        self._challenge = challenge
        self._build_key = build_key
        self._version = version
        self._limit = command_limit
        self._buffer = LineBuffer(2 * command_limit + _FRAME_BYTES)
        self._cipher: FrameCipher | None = None

    def receive(self, data: bytes) -> list[ServerEvent]:
        """Return what the lines that data completes amount to, in order; nothing once CLOSED."""
        events: list[ServerEvent] = []
        for line in self._buffer.feed(data):
            if self.state is ServerState.CLOSED:
                break
            if line is None:
                events += self._too_long()
            elif self.state is ServerState.OPEN:
                events += self._serve(whole(line))
            else:
                events += self._greet(whole(line))
        return events

    def answer(self, reply: bytes, encrypted: bool = False) -> bytes:
        """Return a reply as it goes out, newline included; encrypted: as an `enc:` frame.

        A client that never agreed on a key gets `error:no_key` in place of an encrypted reply.
        Raises LinkProtocolError when the reply holds a newline: the client would count it as two.
        """
        if b"\n" in reply:
            raise LinkProtocolError("a reply is one line")
        if not encrypted:
            return reply + b"\n"
        if self._cipher is None:
            return b"error:no_key\n"
        return self._cipher.encode(reply) + b"\n"

    def answer_pong(self, answer: bytes) -> bytes:
        """Return the reply to AskPong; answer: what `ping` brought, or `con_lost`."""
        return self.answer(self.host_id + b":" + answer)

    # --- inside -------------------------------------------------------------------------------------

    def _enter(self, what: ServerInput) -> None:
        """Change the state as SERVER_TRANSITIONS has it: the only place that does."""
        new = SERVER_TRANSITIONS.get((self.state, what))
        if new is None:
            raise LinkProtocolError(f"{what.name} is not possible on a session in {self.state.name}")
        self.state = new

    def _greet(self, line: bytes) -> list[ServerEvent]:
        """Take the first or the second line."""
        if self.state is ServerState.ECHO and line == self._challenge:
            self._enter(ServerInput.ECHOED)
            return [Send(b"ok\n")]
        # `init:ssl...` and `init:local:...` of later generations mean a plain `init` to a lond that has no
        # certificates (spec wire.md 2).
        if self.state is ServerState.INIT and _NON_WORD.sub(b"", line.partition(b":")[0]) == words.INIT:
            self._enter(ServerInput.GREETED)
            return [Send(self._challenge + b"\n")]
        return self._refuse()

    def _refuse(self) -> list[ServerEvent]:
        self._enter(ServerInput.REFUSED)
        return [Send(b"refused\n"), Closed("refused")]

    def _too_long(self) -> list[ServerEvent]:
        """Keep the place of a line above the limit; before the session is open it is simply wrong."""
        if self.state is not ServerState.OPEN:
            return self._refuse()
        return [Send(b"error: request longer than %d bytes\n" % self._limit)]

    def _serve(self, line: bytes) -> list[ServerEvent]:
        """Take a line of an open session."""
        colon = line.find(b":", 0, _WORD_BYTES)
        match line if colon < 0 else line[: colon + 1]:
            case words.ENC:
                return self._decode(line)
            case words.SETHOST:
                return [Send(self._choose_host(line[colon + 1 :]))]
            case words.VERSION | b"version":  # loncnew says it without an argument
                self.client_version = line[len(words.VERSION) :]
                return [Send(words.VERSION + self._version + b"\n")]
            case words.PONG:
                return [AskPong()]
            case words.EKEY:
                self._cipher = FrameCipher(session_key(self.host_id, self.client_id, self._build_key))
                return [Send(self._build_key + b"\n")]
            case words.EXIT:
                self._enter(ServerInput.EXITED)
                return [Send(b"bye\n"), Closed("exit")]
            case _:
                return [Request(line, encrypted=False)] if len(line) <= self._limit else self._too_long()

    def _choose_host(self, name: bytes) -> bytes:
        if name not in self.own_ids:
            return words.UNABLE_TO_SET + b"\n"
        self.host_id = name
        return b"ok\n"

    def _decode(self, frame: bytes) -> list[ServerEvent]:
        """Take an encrypted request; one that cannot be read has its place and its answer like any other."""
        if self._cipher is None:
            return [Send(b"error:no_key\n")]
        try:
            line = self._cipher.decode(frame)
        except CipherError as error:
            return [Send(b"error: " + str(error).encode("ascii") + b"\n")]
        return [Request(line, encrypted=True)] if len(line) <= self._limit else self._too_long()
