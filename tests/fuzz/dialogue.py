"""Owns the harnesses of the opening dialogue: from lonc's side, from lond's, and both with a bad wire between
them."""

from __future__ import annotations

from collections.abc import Sequence

from lonc.errors import CipherError
from lonc.wire.cipher import session_key
from lonc.wire.dialogue import SHOWN_CHARS
from lonc.wire.link import (
    ANSWER_BYTES,
    TRANSITIONS,
    Farewell,
    Link,
    LinkEvent,
    LinkState,
    Lost,
    Moved,
    Note,
    Ready,
)
from lonc.wire.server import AskPong, Closed, Request, Send, ServerEvent, ServerSession, ServerState
from tests.fuzz.choices import Choices, pieces
from tests.fuzz.harness import Harness, rule
from tests.unit.links import ANSWERS, BUILD_KEY, make_link, say

GOOD = b"\n".join(ANSWERS) + b"\n"
FAILURES = (b"error", b"refused", b"rejected", b"unknown_cmd", b"con_lost", b"no_such_host")


class _Model:
    """lonc's side once more: one answer for each of six requests, judged by the table of the spec."""

    def __init__(self) -> None:
        self.row = 0
        self.pending = b""
        self.state = LinkState.GREETING
        self.replies = b""

    def take(self, piece: bytes) -> None:
        if self.state is LinkState.READY:
            self.replies += piece
            return
        if self.state is LinkState.DOWN:
            return
        self.pending += piece
        line, newline, more = self.pending.partition(b"\n")
        if len(line) > ANSWER_BYTES or (not newline and len(self.pending) > ANSWER_BYTES):
            self.state = LinkState.DOWN
        elif newline:
            self.pending = b""
            self.state = self._judged(line, more)

    def _judged(self, line: bytes, more: bytes) -> LinkState:
        bad = (
            (self.row == 0 and line in (b"refused", b"bye"))
            or (self.row == 1 and line != b"ok")
            or (self.row == 5 and (not line.isalnum() or line.startswith(FAILURES)))
        )
        self.row += 1
        if bad or more:
            return LinkState.DOWN
        return LinkState.READY if self.row == 6 else LinkState.KEYING if self.row == 5 else LinkState.GREETING


def link(data: bytes) -> None:
    """Whatever lond says, in whatever pieces: the state that the spec says, and never an error."""
    choices = Choices(data)
    cuts, unasked = choices.text(), choices.byte()
    one, model = make_link(reply_limit=100), _Model()
    _check(one, [*one.dial(0.0), *one.connected(0.0)])
    for number, piece in enumerate(pieces(choices.rest(), cuts), 1):
        if one.state is LinkState.READY:
            one.replies(piece)
            continue
        if number != unasked:
            line = say(one)
            rule(line.count(b"\n") == line.endswith(b"\n") <= 1, "more than one line was said")
        elif one.outgoing():  # taken, and not yet sent
            model.state = LinkState.DOWN
        model.take(piece)
        _check(one, one.receive(piece, 1.0))
        rule(one.state is model.state, f"{one.state.name}, but the spec says {model.state.name}")
        if one.state is LinkState.DOWN:
            return
    _end(one, choices)


_TALKING = (LinkState.GREETING, LinkState.KEYING)


def _end(one: Link, choices: Choices) -> None:
    """End a link in each of the ways that there are."""
    was_ready = one.state is LinkState.READY
    if was_ready:
        _check(one, one.close(2.0))
        say(one)
        _check(one, one.receive(b"bye\n" if choices.byte() & 1 else b"", 3.0))
    else:
        deadline = one.next_deadline()
        rule(deadline is not None, "a dialogue without a time limit")
        _check(one, one.tick(1e9))
    rule(one.state is LinkState.DOWN and one.next_deadline() is None, "an ended link is not down")
    _check(one, one.dial(5.0))
    rule(one.peer_version == "" and one.outgoing() == b"", "a new dial remembers the last link")


def _check(one: Link, events: list[LinkEvent]) -> None:
    """Raise unless the events are what a table of transitions and the bounds of texts allow."""
    for event in events:
        if isinstance(event, Moved):
            rule((event.old, event.new) in _STEPS, f"{event.old.name} to {event.new.name} is no transition")
        elif isinstance(event, Note):
            rule(len(event.text) < SHOWN_CHARS + 60, "a note is too long")
        elif isinstance(event, Lost | Farewell):
            rule(one.state is LinkState.DOWN and event is events[-1], "lost, and not down")
            text = event.detail if isinstance(event, Lost) else event.answer
            rule(len(text) < SHOWN_CHARS + 100, "a detail is too long")
        elif isinstance(event, Ready):
            rule(one.state is LinkState.READY, "ready, and not READY")


_STEPS = {(old, new) for (old, _), new in TRANSITIONS.items()}


def server_session() -> ServerSession:
    """Return lond's side with known words."""
    return ServerSession(
        [b"msul1", b"a.b"], b"ncsu1", challenge=b"challenge 42", build_key=BUILD_KEY, version=b"lond-1",
        command_limit=100,
    )  # fmt: skip


def server(data: bytes) -> None:
    """Whatever a client says, in whatever pieces: one answer for each line until the end, and never an error."""
    choices = Choices(data)
    cuts = choices.text()
    stream = choices.rest()
    cut, uncut = server_session(), server_session()
    events: list[ServerEvent] = []
    for piece in pieces(stream, cuts):
        events += cut.receive(piece)
    rule(events == uncut.receive(stream), "the pieces make a difference")
    ends = [i for i, event in enumerate(events) if isinstance(event, Closed)]
    rule(ends in ([], [len(events) - 1]), "something comes after the end")
    rule((cut.state is ServerState.CLOSED) == bool(ends), "the state is not that of the events")
    answers = [event for event in events if not isinstance(event, Closed)]
    lines = stream.count(b"\n")
    rule(len(answers) == lines or (bool(ends) and len(answers) <= lines), "not one answer for each line")
    _check_answers(answers, cut)
    given = stream.split(b"\n")
    opened = len(given) > 2 and given[1] == b"challenge 42"
    rule(opened or not any(isinstance(one, Request) for one in answers), "a request without the challenge")


def _check_answers(answers: Sequence[ServerEvent], session: ServerSession) -> None:
    for answer in answers:
        if isinstance(answer, Send):
            rule(answer.data.endswith(b"\n") and answer.data.count(b"\n") == 1, "an answer is not one line")
        elif isinstance(answer, Request):
            rule(b"\n" not in answer.line and len(answer.line) <= 100, "a request is not one line, or too long")
        elif isinstance(answer, AskPong):
            out = session.answer_pong(b"con_lost")
            rule(out in (b"msul1:con_lost\n", b"a.b:con_lost\n"), "another pong")


def wire(data: bytes) -> None:
    """Both sides with a wire that changes bytes, takes some away or adds some: never an error, and never READY
    with
    another challenge; on a good wire both have the same key."""
    choices = Choices(data)
    faults = [(choices.number(), choices.byte(), choices.byte()) for _ in range(choices.byte() % 4)]
    client, lond = make_link(), server_session()
    client.dial(0.0)
    client.connected(0.0)
    at = 0
    for _ in range(12):
        out = say(client)
        out, at = _through(out, at, faults)
        back = b"".join(_answer(lond, event) for event in lond.receive(out))
        back, at = _through(back, at, faults)
        if not back or client.state not in _TALKING:
            break
        _check(client, client.receive(back, 1.0))
    if not faults:
        rule(client.state is LinkState.READY, "a good wire and no link")
    if client.state is LinkState.READY:
        _use(client, lond, choices, good=not faults)


def _through(data: bytes, at: int, faults: list[tuple[int, int, int]]) -> tuple[bytes, int]:
    """Return what comes out of the wire; at: how many bytes went through before."""
    out = bytearray(data)
    for place, kind, value in faults:
        here = place % 250 - at
        if 0 <= here < len(out):
            if kind % 3 == 0:
                out[here] ^= 1 << value % 8
            elif kind % 3 == 1:
                del out[here]
            else:
                out.insert(here, value)
    return bytes(out), at + len(data)


def _answer(lond: ServerSession, event: ServerEvent) -> bytes:
    match event:
        case Send():
            return event.data
        case Request():
            return lond.answer(b"did " + event.line, event.encrypted)
        case AskPong():
            return lond.answer_pong(b"ncsu1")
        case Closed():
            return b""


def _use(client: Link, lond: ServerSession, choices: Choices, *, good: bool) -> None:
    command = choices.rest().replace(b"\n", b"")[:90]
    events = lond.receive(client.encrypt(command) + b"\n")
    for event in events:
        if isinstance(event, Request) and good:
            rule(event == Request(command, encrypted=True), "another command arrived")
        for line in client.replies(_answer(lond, event)):
            try:
                text = client.decrypt(line if isinstance(line, bytes) else b"".join(line or []))
            except CipherError:
                rule(not good, "the sides have other keys")
            else:
                rule(not good or text == b"did " + command, "another answer came back")
    rule(not good or session_key(b"msul1", b"ncsu1", BUILD_KEY), "no key")


_ROW13 = (
    b"refused\n", b"bye\n", b"c\nno\n", b"c\nok\nok\nversion:1\nmsul1:x\n\n",
    b"c\nok\nok\nversion:1\nx\nerror: no\n",
    b"x" * 4000, b"\x00\xff\n" + GOOD[13:], b"c\nok\nunable_to_set\nunknown_cmd\nmsul1:\nABCDEF0123\n",
)  # fmt: skip
_CLIENT = b"init\nchallenge 42\nsethost:msul1\nversion:x\npong\nekey\nput:a\nenc:4:00112233445566778899\nexit\n"
_WORDS = (b"init", b"refused\n", b"ok\n", b"challenge 42\n", b"sethost:a.b\n", b"ekey\n", b"pong\n", b"version:",
          b"exit\n", b"enc:8:", b"\n", b"bye", b"unknown_cmd\n", BUILD_KEY)  # fmt: skip
HARNESSES = (
    Harness("link", link, 70, _WORDS, tuple(bytes((1, cut, 0)) + text for text in (GOOD,
        *_ROW13) for cut in (0, 1))),
    Harness("server", server, 60, _WORDS, (b"\x00" + _CLIENT, b"\x01\x01" + _CLIENT, b"\x00init:ssl:x\nno\n")),
    Harness("wire", wire, 30, (), (b"\x00hello", b"\x01\x00\x10\x00\x01",
        b"\x02\x00\x50\x01\x00\x00\x20\x02\x0a"), 200),
)
