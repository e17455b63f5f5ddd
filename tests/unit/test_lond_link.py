"""One link of lond without sockets: order under any split, pauses, limits, and the end at a quiet moment."""

from __future__ import annotations

import socket
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from lonc.lond import link as module
from lonc.lond.commands.model import Reply
from lonc.lond.link import GATHER_S, MOST_WAITING, QUIET_S, Link
from lonc.wire.server import ServerSession

LINES = [b"echo:a", b"ping", b"sethost:srv2", b"sethost:srv1", b"", b"version"]


class Time:
    """A clock that the test moves; `step` goes by with each look."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.step = 0.0

    def monotonic(self) -> float:
        self.now += self.step
        return self.now

    def wall(self) -> float:
        return 1e9


class Wire:
    """Stands for the pool's Channel."""

    def __init__(self) -> None:
        self.address = "127.0.0.9"
        self.sent: list[bytes] = []
        self.waiting = 0
        self.full = False
        self.closed = False
        self.ended = ""
        self.on_room: Callable[[], object] | None = None
        self.sock = socket.socket()

    def send(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def close(self) -> None:
        self.closed, self.ended = True, "closed"

    def abort(self) -> None:
        self.closed, self.ended = True, "aborted"

    @property
    def text(self) -> bytes:
        return b"".join(self.sent)


class Work:
    """Stands for the worker: `echo:X` is answered by X, everything else by `own id:line`."""

    def __init__(self, time: Time) -> None:
        self.clock = time
        self.init_timeout_s = 60.0
        self.raw_limit = 10_000
        self.done: list[bytes] = []
        self.asked: list[Link] = []
        self.complaints: list[str] = []
        self.over_count = 0
        self.answer: Callable[[bytes], bytes] = lambda line: line.removeprefix(b"echo:")

    def carry_out(self, link: Link, line: bytes, encrypted: bool) -> Reply:
        self.done.append(line)
        return Reply(link.session.host_id if line == b"ping" else self.answer(line), encrypted)

    def ask_back(self, link: Link) -> None:
        self.asked.append(link)

    def complain(self, link: Link, why: str) -> None:
        self.complaints.append(why)

    def over(self, link: Link) -> None:
        self.over_count += 1


class Stage:
    """A link with everything around it."""

    def __init__(self, *, opened: bool = True) -> None:
        self.time = Time()
        self.wire = Wire()
        self.work = Work(self.time)
        session = ServerSession(
            [b"srv1", b"srv2"], b"own1", challenge=b"C", build_key=b"0123456789ABCDEF01234567", version=b"1",
            command_limit=1000,
        )  # fmt: skip
        self.link = Link(self.wire, "own1", session, self.work)  # type: ignore[arg-type]  # a stand-in
        self.wire.sock.close()
        if opened:
            self.link.received(b"init\nC\n")
            assert self.wire.text == b"C\nok\n"
            self.wire.sent.clear()

    def run(self, seconds: float = 0.0) -> None:
        """Let the time go by and call what is due, as the pool does."""
        end = self.time.now + seconds
        while self.link.deadline is not None and self.link.deadline <= end and not self.wire.closed:
            self.time.now = max(self.time.now, self.link.deadline)
            self.link.due(self.time.now)
        self.time.now = max(self.time.now, end)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=40), st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_every_split_gives_the_same_replies(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    whole, parts = Stage(), Stage()
    whole.link.received(data)
    whole.run()
    at = 0
    while at < len(data):
        size = cuts[at % len(cuts)]
        parts.link.received(data[at : at + size])
        parts.run()
        at += size
    assert whole.wire.text == parts.wire.text
    assert whole.wire.text.count(b"\n") == len(lines)


def test_sethost_counts_for_what_stands_behind_it() -> None:
    stage = Stage()
    stage.link.received(b"ping\nsethost:srv2\nping\nsethost:nobody\nping\n")
    assert stage.wire.sent == [b"srv1\nok\nsrv2\nunable_to_set\nsrv2\n"], "and all in one send"


def test_long_work_is_done_in_turns_and_replies_go_out_meanwhile() -> None:
    stage = Stage()
    stage.time.step = module.WORK_S / 2
    stage.link.received(b"echo:x\n" * 9)
    assert 0 < len(stage.work.done) < 9
    assert stage.wire.text.count(b"\n") == len(stage.work.done)
    stage.time.step = 0.0
    stage.run()
    assert stage.wire.text == b"x\n" * 9
    assert stage.link.deadline is None


def test_what_stands_behind_a_pong_waits_for_it() -> None:
    stage = Stage()
    stage.link.received(b"ping\npong\nping\n")
    assert stage.wire.text == b"srv1\n"
    assert stage.work.asked == [stage.link]
    assert stage.link.state == "asking back"
    assert stage.wire.on_room is not None, "not closed at the client's end of file"
    stage.link.received(b"pong\n")
    stage.link.asked_back(b"con_lost")
    assert stage.wire.text == b"srv1\nsrv1:con_lost\nsrv1\n"
    stage.link.asked_back(b"own1")
    assert stage.wire.text.endswith(b"srv1:own1\n")
    stage.link.asked_back(b"too late")
    assert stage.wire.text.endswith(b"srv1:own1\n")
    assert stage.wire.on_room is None


def test_who_writes_on_and_on_while_it_is_asked_is_cut_off() -> None:
    stage = Stage()
    stage.link.received(b"pong\n")
    for _ in range(20):
        stage.link.received(b"echo:0123456789\n" * 50)
        if stage.wire.closed:
            break
    assert stage.wire.ended == "aborted"
    assert stage.work.complaints == ["more input than can wait"]
    stage.link.asked_back(b"own1")
    stage.link.received(b"ping\n")
    stage.link.ended()
    assert stage.work.over_count == 1


def test_nothing_is_carried_out_for_a_client_that_does_not_read() -> None:
    stage = Stage()
    stage.work.answer = lambda _line: b"x" * MOST_WAITING
    stage.wire.full = True
    stage.link.received(b"echo:1\n" * 5)
    assert stage.work.done == []
    assert stage.link.deadline is None, "it is not looked at again and again"
    stage.wire.full = False
    assert stage.wire.on_room is not None
    stage.wire.on_room()
    stage.run()
    assert len(stage.work.done) == 5
    assert max(map(len, stage.wire.sent)) < 3 * MOST_WAITING, "and what waits is given to the channel on the way"


def test_the_opening_has_a_time_limit_and_an_open_link_has_none() -> None:
    stage = Stage(opened=False)
    stage.run(30)
    stage.link.received(b"init\n")
    stage.run(29)
    assert not stage.wire.closed
    stage.run(2)
    assert stage.wire.ended == "aborted"
    assert stage.work.complaints == ["no opening dialogue in time"]
    stage = Stage()
    stage.run(1e6)
    assert not stage.wire.closed


def test_wrong_first_lines_and_exit_close_the_link() -> None:
    stage = Stage(opened=False)
    stage.link.received(b"GET / HTTP/1.0\n\n")
    assert (stage.wire.text, stage.wire.ended) == (b"refused\n", "closed")
    assert stage.work.complaints == ["wrong opening dialogue"]
    stage = Stage()
    stage.link.received(b"ping\nexit\nping\n")
    assert (stage.wire.text, stage.wire.ended) == (b"srv1\nbye\n", "closed")
    assert stage.work.complaints == []


def test_a_reply_that_would_be_two_lines_is_an_error() -> None:
    stage = Stage()
    stage.work.answer = lambda _line: b"a\nb"
    stage.link.received(b"echo:1\nping\n")
    assert stage.wire.text == b"error: the reply cannot be sent\nsrv1\n"


def test_leaving_gathers_replies_until_it_is_quiet() -> None:
    stage = Stage()
    stage.link.leave()
    stage.link.received(b"ping\n")
    for number in range(5):  # others, who had not got their replies, ask as well
        stage.run(QUIET_S * 0.8)
        stage.link.received(b"echo:%d\n" % number)
    assert stage.wire.text == b"", "held back"
    assert stage.link.state == "leaving"
    stage.run(QUIET_S * 1.01)
    assert stage.wire.sent == [b"srv1\n0\n1\n2\n3\n4\n"], "all of them at once"
    assert stage.wire.ended == "closed"
    assert stage.work.over_count == 1


def test_leaving_ends_though_somebody_never_stops_asking() -> None:
    stage = Stage()
    began = stage.time.now
    stage.link.leave()
    stage.link.leave()
    count = 0
    while not stage.wire.closed:
        stage.link.received(b"ping\n")
        count += 1
        stage.run(QUIET_S / 2)
        assert stage.time.now < began + GATHER_S + 2 * QUIET_S
    assert stage.wire.text == b"srv1\n" * count


def test_leaving_waits_for_the_answer_to_a_pong_but_not_for_ever() -> None:
    stage = Stage()
    stage.link.received(b"pong\n")
    stage.link.leave()
    stage.run(QUIET_S * 2)
    assert stage.wire.ended == ""
    stage.link.asked_back(b"own1")
    stage.run(QUIET_S * 2)
    assert stage.wire.text == b"srv1:own1\n"
    assert stage.wire.closed
    stage = Stage()
    stage.link.received(b"pong\n")
    stage.link.leave()
    stage.run(GATHER_S * 1.01)
    assert stage.wire.closed


def test_a_link_that_is_not_open_yet_leaves_at_once() -> None:
    stage = Stage(opened=False)
    stage.link.received(b"init\n")
    stage.link.leave()
    assert stage.wire.ended == "closed"
