"""Owns the harness of the relay: three clients, two links, a lond that answers each request with its own text.

The input is a program of what clients, links and the clock do. A model keeps for each client what it asked; what
a client hears must be its own answer or `con_lost` for each, in order (P8, P9), or the refusal of a long line.
"""

from __future__ import annotations

from lonc.relay import Client, Lane, Relay
from lonc.wire.outbox import Outbox
from tests.fuzz.choices import Choices
from tests.fuzz.harness import Harness, rule
from tests.unit.relay_stage import cipher

LIMIT = 40  # bytes of a request
REFUSAL = b"error: request longer than 40 bytes"
TURNS = 400


class _Asker:
    """One client: what it asked, and what it has heard."""

    def __init__(self) -> None:
        self.client = Client(LIMIT)
        self.said = b""
        self.heard = b""
        self.over = False  # asks no more
        self.gone = False


class _Lond:
    """One link, and what has gone out on it."""

    def __init__(self, relay: Relay, key: bytes) -> None:
        self.lane: Lane = relay.add_lane()
        self.key = key
        self.waiting: list[bytes] = []  # requests that have wholly arrived
        self.part = b""


class Stage:
    """The relay and those around it; `run` carries out one input."""

    def __init__(self, window: int) -> None:
        self.now = 1000.0
        self.relay = Relay(
            pipeline=window, request_timeout_s=30.0, delayed_timeout_s=10.0, grace_s=2.0, max_line_bytes=LIMIT,
            client_buffer_bytes=1000, now=self.now,
        )  # fmt: skip
        self.londs = [_Lond(self.relay, b"K"), _Lond(self.relay, b"L")]
        self.askers = [_Asker() for _ in range(3)]

    def run(self, choices: Choices) -> None:
        """Carry out what the choices say, then end everything and compare."""
        for _ in range(TURNS):
            if not choices:
                break
            self._step(choices)
            self._turn()
        self._end()

    def _step(self, choices: Choices) -> None:
        what = choices.byte() % 12
        asker, lond = self.askers[choices.byte() % 3], self.londs[choices.byte() & 1]
        if what <= 3 and not asker.over and not asker.gone:
            data = (choices.text() if what else choices.line() + b"\n") or b"\n"
            asker.said += data
            self.relay.client_data(asker.client, data, self.now)
        elif what == 4:
            asker.over = asker.over or not asker.gone
            self.relay.client_eof(asker.client) if not asker.gone else None
        elif what == 5 and choices.byte() % 4 == 0:
            asker.gone = True
            self.relay.client_gone(asker.client)
        elif what == 6 and not lond.lane.ready:
            self.relay.link_ready(lond.lane, *cipher(lond.key), self.now)
            self.relay.thaw(self.now)
        elif what == 7 and lond.lane.ready and choices.byte() & 1:
            self._lose(lond)
        elif what <= 9 and lond.lane.ready:
            self._arrive(lond, choices.number())
            self._answer(lond, choices.byte())
        elif what == 10:
            self._pass(choices.byte() / 8)
        else:
            self._hear(asker, choices.number())

    def _turn(self) -> None:
        if self.relay.pump_due:
            self.relay.pump(self.now)
        for client in self.relay.dirty:
            client.dirty = False
        self.relay.dirty.clear()
        rule(not any(lane.in_flight and not lane.ready for lane in self.relay.lanes), "in flight without a link")
        for asker in self.askers:
            rule(asker.client.turn <= asker.client.issued, "more answers than requests")
            rule(asker.client.queued >= 0, "less than nothing waits")

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.relay.wake_at:
            for lane, _ in self.relay.tick(self.now):
                self._lose(next(lond for lond in self.londs if lond.lane is lane))

    def _lose(self, lond: _Lond) -> None:
        self.relay.link_lost(lond.lane, self.now)
        lond.waiting, lond.part = [], b""

    def _arrive(self, lond: _Lond, count: int) -> None:
        """Let the kernel take so many bytes of what there is."""
        lond.part += _taken(lond.lane.box, count)
        *lines, lond.part = lond.part.split(b"\n")
        lond.waiting += lines
        if not lond.lane.box.held:
            self.relay.pump(self.now)

    def _answer(self, lond: _Lond, count: int) -> None:
        lines, lond.waiting = lond.waiting[:count], lond.waiting[count:]
        replies = [_reply(line, lond.key) for line in lines]
        if replies:
            rule(self.relay.replies(lond.lane, [*replies], self.now), "a reply to a request was not expected")

    def _hear(self, asker: _Asker, count: int) -> None:
        if not asker.gone:
            asker.heard += _taken(asker.client.box, count)

    def _end(self) -> None:
        """Let twice the limit pass: by then everything is answered (P9)."""
        self._pass(61.0)
        self._pass(0.1)
        for lond in self.londs:
            if lond.lane.ready:
                self._lose(lond)
        self._pass(3.0)
        rule(self.relay.waiting == 0, "something waits for ever")
        for asker in self.askers:
            if not asker.gone:
                self._hear(asker, 1 << 20)
                _compare(asker)


def _taken(box: Outbox, count: int) -> bytes:
    out = b""
    while count and (chunks := box.batch()):
        data = b"".join(chunks)[:count]
        box.took(len(data))
        out += data
        count -= len(data)
    if box:
        box.took(0)  # the kernel refuses more
    return out


def _reply(line: bytes, key: bytes) -> bytes:
    if line.startswith(b"enc:" + key):
        return b"enc:" + key + b"did encrypt:" + line[4 + len(key) :]
    return b"did " + line


def _compare(asker: _Asker) -> None:
    heard = asker.heard.split(b"\n")
    rule(heard.pop() == b"", "half a line was said")
    asked = asker.said.split(b"\n")
    part = asked.pop()
    expected: list[bytes] = []
    for line in asked:
        if len(line) - 8 * line.startswith(b"encrypt:") > LIMIT:
            expected.append(REFUSAL)
            break
        if line == b"close_connection_exit":
            break
        expected.append(b"did " + line)
    else:
        expected += [REFUSAL] * (len(part) > LIMIT + 8)  # refused before its end: it may no more become a request
    rule(len(heard) == len(expected), f"{len(expected)} requests and {len(heard)} answers")
    for got, right in zip(heard, expected, strict=True):
        rule(got == right or (got == b"con_lost" and right != REFUSAL), "somebody else's answer")


def relay(data: bytes) -> None:
    """Whatever clients, links and the clock do: one answer for each request, its own or con_lost, in order."""
    choices = Choices(data)
    Stage(choices.pick((1, 2, 8, 256))).run(choices)


_READY, _SAY = b"\x06\x00\x00", b"\x01\x00\x00"
HARNESSES = (
    Harness(
        "relay", relay, 110,
        (_READY, b"\x06\x00\x01", _SAY + b"\x05ping\n", b"\x01\x01\x00\x04a\nb\n",
        b"\x02\x02\x00\x0dencrypt:a:b\n",
         b"\x07\x00\x00\x01", b"\x08\x00\x00\xff\xff\x09", b"\x09\x00\x01\x00\x03\x01", b"\x0a\x00\x00\xff",
         b"\x0b\x00\x00\xff\xff", b"\x04\x00\x00", b"\x05\x01\x00\x00", b"close_connection_exit\n", b"x" * 41),
        (b"\x02" + _READY + _SAY + b"\x05ping\n\x08\x00\x00\xff\xff\x09\x0b\x00\x00\xff\xff",
         b"\x00" + _READY + _SAY + b"\x08a\nb\nc\nd\n\x08\x00\x00\x00\x03\x01\x07\x00\x00\x01\x06\x00\x01",
         b"\x01" + _SAY + b"\x2f" + b"x" * 45 + b"\n\n" + _READY),
    ),
)  # fmt: skip
