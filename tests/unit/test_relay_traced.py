"""What a traced relay tells of each request: who asked what, and when it came, left and was answered."""

from __future__ import annotations

from typing import Any

from lonc.relay import Client, Relay
from lonc.relay.traced import KEPT_BYTES, Traced, TracedRelay, Who, begin, end
from lonc.wire.lines import LineBuffer
from tests.unit.relay_stage import Stage

LONG = 200_000


class TracedStage(Stage):
    """A stage whose relay is traced from begin() on; the pid of each client is its place among them, from 1."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.told: list[Traced] = []
        self.asked_for: list[Client] = []

    def begin(self) -> None:
        begin(self.relay, self.told.append, self._who, self.now)

    def _who(self, client: Client) -> Who:
        self.asked_for.append(client)
        return Who(1 + list(self.clients.values()).index(client), 100)

    def notes(self) -> int:
        assert isinstance(self.relay, TracedRelay)
        return len(self.relay.notes)


def traced(**options: Any) -> TracedStage:
    stage = TracedStage(**options)
    stage.begin()
    return stage


def test_each_of_several_requests_is_told_whole() -> None:
    stage = traced(pipeline=2)
    t = stage.now
    stage.says("a", b"put:one\nput:two\n")
    stage.now = t + 1
    stage.says("b", b"get:three\n")
    stage.now = t + 2
    assert stage.link(b"1\n")
    stage.now = t + 3
    assert stage.link(b"22\n333\n")
    assert stage.told == [
        Traced(Who(1, 100), b"put:one", 7, t, t, t + 2, b"1", False),
        Traced(Who(1, 100), b"put:two", 7, t, t, t + 3, b"22", False),
        Traced(Who(2, 100), b"get:three", 9, t + 1, t + 2, t + 3, b"333", False),
    ]
    assert [stage.hears(name) for name in "ab"] == [b"1\n22\n", b"333\n"]
    assert stage.asked_for == [stage.clients[name] for name in "aab"]  # once for each
    assert stage.notes() == 0


def test_of_a_long_request_the_beginning_is_told_and_its_whole_size() -> None:
    stage = traced(limit=LONG)
    t = stage.now
    stage.says("a", b"p" * 70_000)
    stage.says("a", b"q" * 70_000 + b"\n")
    stage.says("b", b"r" * 80 + b"\n")
    stage.buffers[stage.lane] = LineBuffer(10)
    assert stage.link(b"ok\n" + b"x" * 11 + b"\n")
    assert stage.told == [
        Traced(Who(1, 100), b"p" * KEPT_BYTES, 140_000, t, t, t, b"ok", False),
        Traced(Who(2, 100), b"r" * KEPT_BYTES, 80, t, t, t, None, False),
    ]
    assert stage.sent() == b"p" * 70_000 + b"q" * 70_000 + b"\n" + b"r" * 80 + b"\n"


def test_what_was_in_flight_before_is_told_as_far_as_it_is_known() -> None:
    stage = TracedStage(limit=LONG)
    t = stage.now
    stage.says("a", b"r" * 80 + b"\n")
    stage.says("b", b"who is gone\n")
    stage.now = t + 1
    stage.begin()
    stage.relay.client_gone(stage.clients["b"])
    stage.now = t + 2
    assert stage.link(b"A\nB\n")
    assert stage.told == [Traced(Who(1, 100), b"r" * KEPT_BYTES, 81, t, t, t + 2, b"A", False)]
    assert stage.asked_for == [stage.clients["a"]]


def test_a_delayed_message_is_nobodys() -> None:
    stage = traced()
    stage.relay.freeze()
    t = stage.now
    stage.relay.send_delayed(b"put:x", t)
    stage.now = t + 1
    assert stage.link(b"ok\n")
    assert stage.told == [Traced(Who(0, 0), b"put:x", 5, t, t, t + 1, b"ok", True)]
    assert stage.asked_for == []
    assert stage.relay.delayed_replies == [b"ok"]


def test_what_a_lost_link_had_is_told_at_that_moment() -> None:
    stage = traced(pipeline=2)
    t = stage.now
    stage.says("a", b"one\n")
    stage.sent()
    stage.says("b", b"two\n")
    stage.now = t + 1
    stage.lost()
    stage.now = t + 2
    stage.ready()
    stage.now = t + 3
    assert stage.link(b"2\n")
    assert stage.told == [
        Traced(Who(1, 100), b"one", 3, t, t, t + 1, b"con_lost", False),
        Traced(Who(2, 100), b"two", 3, t, t + 2, t + 3, b"2", False),
    ]
    assert [stage.hears(name) for name in "ab"] == [b"con_lost\n", b"2\n"]
    assert stage.notes() == 0


def test_what_is_given_up_is_told_at_the_moment_at_which_it_is() -> None:
    stage = traced(grace=2, ready=False)
    t = stage.now
    stage.says("a", b"x\n")
    stage.now = t + 1
    stage.says("b", b"ping\n")
    assert stage.told == [Traced(Who(2, 100), b"ping", 4, t + 1, None, t + 1, b"con_lost", False)]
    stage.later(1.5)
    assert stage.told[1:] == [Traced(Who(1, 100), b"x", 1, t, None, t + 2.5, b"con_lost", False)]
    stage.says("c", b"y\n")
    assert stage.told[2:] == [Traced(Who(3, 100), b"y", 1, t + 2.5, None, t + 2.5, b"con_lost", False)]
    assert [stage.hears(name) for name in "abc"] == [b"con_lost\n"] * 3
    assert stage.relay.counters.con_lost == 3


def test_nothing_is_told_as_answered_before_it_was_asked() -> None:
    stage = traced(pipeline=1)
    t = stage.now
    stage.says("a", b"first\n")
    stage.now = t + 5
    stage.says("b", b"second\n")  # by the short way into the queue: the turn's moment is not noted there
    stage.relay.quit_waiting()
    assert stage.told == [Traced(Who(2, 100), b"second", 6, t + 5, None, t + 5, b"con_lost", False)]


def test_what_is_lost_without_a_time_of_its_own_is_told_at_the_last_one_known() -> None:
    stage = traced(pipeline=1)
    t = stage.now
    stage.says("a", b"one\n")
    stage.says("b", b"goes\n")
    stage.says("c", b"waits\n")
    stage.now = t + 1
    assert stage.link(b"1\n")
    stage.relay.quit_waiting()
    assert [(one.line, one.answered) for one in stage.told] == [(b"one", t + 1), (b"waits", t + 1)]
    stage.says("d", b"waits\n")
    stage.now = t + 2
    stage.says("e", b"two\nlines\n")
    stage.relay.quit_waiting()
    assert [one.answered for one in stage.told[2:]] == [t + 2] * 3


def test_what_was_asked_before_and_is_lost_is_answered_and_told_of_nowhere() -> None:
    stage = TracedStage()
    stage.says("a", b"x\n")
    stage.sent()
    stage.begin()
    stage.lost()
    assert (stage.told, stage.hears("a")) == ([], b"con_lost\n")


def test_who_hangs_up_is_told_of_when_it_was_in_flight_only() -> None:
    stage = traced(pipeline=1)
    t = stage.now
    stage.says("a", b"one\ntwo\n")
    stage.relay.client_gone(stage.clients["a"])
    assert stage.notes() == 2
    stage.link(b"1\n")
    assert stage.notes() == 0
    assert stage.told == [Traced(Who(1, 100), b"one", 3, t, t, t, b"1", False)]
    stage.says("b", b"x\n")
    stage.sent()
    stage.relay.client_gone(stage.clients["b"])
    stage.lost()
    assert stage.notes() == 0
    assert len(stage.told) == 1


def test_replies_that_nobody_gets_are_told_of_nowhere() -> None:
    stage = traced()
    stage.says("a", b"x\n")
    stage.sent()
    assert not stage.link(b"1\n2\n")
    assert stage.told == []
    stage.lost()
    assert [one.reply for one in stage.told] == [b"con_lost"]
    assert stage.hears("a") == b"con_lost\n"


def test_limits_and_alarms_are_those_of_a_plain_relay() -> None:
    stage = traced(request=10)
    stage.now += 5
    stage.says("a", b"x\n")
    assert (stage.lane.head_since, stage.relay.wake_at) == (stage.now, 1002.0)
    assert stage.later(9.0) == []
    assert stage.later(1.0) == [b"x"]
    assert stage.relay.wake_at == stage.now


def test_the_order_to_close_is_told_of_nowhere() -> None:
    stage = traced()
    stage.says("a", b"close_connection_exit\n")
    assert stage.close_asked()
    assert (stage.told, stage.notes()) == ([], 0)
    assert stage.clients["a"].issued == 0


def test_at_the_end_what_waits_goes_on_by_the_short_way() -> None:
    stage = traced()
    stage.says("a", b"x\n")
    end(stage.relay, stage.now)
    assert type(stage.relay) is Relay
    assert stage.link(b"X\n")
    stage.says("b", b"y\n")
    assert stage.lane.in_flight[0][3] == b"y\n"
    assert stage.told == []
    assert not vars(stage.relay).keys() & {"emit", "who", "notes", "traced_now"}
    end(stage.relay, stage.now)


def test_the_end_lets_go_on_two_links_what_waited() -> None:
    stage = traced(pipeline=1)
    other = stage.another()
    stage.says("a", b"x\n")
    client = stage.clients["b"] = Client(stage.limit)
    stage.relay.client_data(client, b"y\n", stage.now)
    end(stage.relay, stage.now)
    assert (stage.sent(), stage.sent(other)) == (b"x\n", b"y\n")


def test_a_second_beginning_changes_nothing() -> None:
    stage = traced()
    stage.says("a", b"x\n")
    other: list[Traced] = []
    begin(stage.relay, other.append, lambda _client: Who(9, 9), stage.now)
    assert stage.link(b"X\n")
    assert ([one.who for one in stage.told], other) == ([Who(1, 100)], [])
