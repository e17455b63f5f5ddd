"""The relay keeps its orders and its windows: nothing overtakes, nothing goes twice, to nobody else."""

from __future__ import annotations

from lonc.relay import BUCKETS, Client, Counters
from lonc.relay.dispatch import CLIENT_QUEUE_BYTES, CLIENT_QUEUE_REQUESTS
from lonc.relay.lane import LINK_HIGH_WATER
from lonc.relay.traced import KEPT_BYTES
from tests.unit.relay_stage import LIMIT, Stage


def test_the_numbers_that_others_rely_on() -> None:
    assert (BUCKETS, len(Counters().latency_us)) == (24, 24)  # readers of the scoreboard
    assert (CLIENT_QUEUE_BYTES, CLIENT_QUEUE_REQUESTS, LINK_HIGH_WATER, KEPT_BYTES) == (262144, 1024, 1048576, 64)


def test_unsent_requests_of_several_clients_come_back_each_with_its_own_client() -> None:
    stage = Stage()
    for name in "abc":
        stage.says(name, name.encode() + b"\n")
    stage.lost()
    stage.ready()
    assert stage.sent() == b"a\nb\nc\n"
    stage.link(b"A\nB\nC\n")
    assert [stage.hears(name) for name in "abc"] == [b"A\n", b"B\n", b"C\n"]


def test_a_link_that_refuses_more_lets_nobody_overtake_who_waits_for_it() -> None:
    stage = Stage(limit=2 * LINK_HIGH_WATER)
    stage.says("a", b"x" * LINK_HIGH_WATER + b"\n")
    stage.lane.box.took(0)
    stage.says("b", b"b1\nb2\n")
    stage.says("c", b"c\n")
    assert len(stage.relay.queue) == 3
    stage.lane.box.took(LINK_HIGH_WATER + 1)
    stage.relay.pump(stage.now)
    assert stage.sent() == b"b1\nb2\nc\n"


def test_a_third_request_does_not_overtake_a_second_that_waits_for_its_link() -> None:
    stage = Stage(pipeline=2)
    stage.says("a", b"a1\n")
    stage.says("b", b"b1\n")
    other = stage.another()
    stage.says("b", b"b2\n")
    stage.says("a", b"a2\n")
    assert stage.link(b"A1\n")  # makes room for b2; a2 waits on
    stage.says("a", b"a3\n")
    assert (stage.sent(), stage.sent(other)) == (b"a1\nb1\nb2\n", b"")
    assert stage.link(b"B1\nB2\n")
    assert (stage.sent(), stage.sent(other)) == (b"a2\na3\n", b"")


def test_no_link_gets_more_than_its_window_in_one_turn() -> None:
    stage = Stage(pipeline=1)
    other = stage.another()
    for name in "abc":
        stage.clients[name] = Client(LIMIT)
        stage.relay.client_data(stage.clients[name], name.encode() + b"\n", stage.now)
    stage.relay.pump(stage.now)
    assert (stage.sent(), stage.sent(other)) == (b"a\n", b"b\n")
    assert (len(stage.relay.queue), stage.relay.requests, stage.relay.waiting) == (1, 2, 1)


def test_what_waited_for_a_lost_link_goes_once_also_when_the_link_comes_back() -> None:
    stage = Stage(pipeline=1)
    other = stage.another()
    stage.says("a", b"one\ntwo\n")
    assert (stage.sent(), stage.relay.waiting) == (b"one\n", 1)
    stage.lost()
    assert (stage.sent(other), stage.relay.waiting) == (b"two\n", 0)
    stage.ready(thaw=False)
    assert stage.link(b"2\n", other)
    assert (stage.sent(), stage.sent(other), stage.relay.waiting) == (b"", b"", 0)


def test_a_reply_can_only_be_to_what_has_wholly_left() -> None:
    stage = Stage()
    stage.says("a", b"one\ntwo\n")
    assert stage.lane.answerable == 0
    stage.lane.box.took(5)
    assert stage.lane.answerable == 1
    stage.lane.box.took(3)
    assert stage.lane.answerable == 2


def test_who_asks_no_more_is_looked_at() -> None:
    stage = Stage()
    stage.says("a", b"x\n")
    stage.relay.client_eof(stage.clients["a"])
    assert stage.relay.dirty == [stage.clients["a"]]
    assert (stage.clients["a"].finishing, stage.clients["a"].finished) == (True, False)


def test_who_is_gone_is_owed_nothing_that_was_ready_for_him() -> None:
    client = Client(LIMIT)
    client.box.put(b"x")
    client.forget()
    assert (client.plain, bool(client.box)) == (False, False)


def test_after_the_transactions_the_short_way_is_open_at_once() -> None:
    stage = Stage()
    stage.relay.log_transactions(True, stage.now)
    stage.relay.log_transactions(False, stage.now)
    stage.says("a", b"x\n")
    assert stage.lane.in_flight[0][3] == b"x\n"
