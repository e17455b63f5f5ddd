"""The relay's playbook, second act: delayed messages, long lines, transactions."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lonc.errors import CipherError
from lonc.relay import Client
from lonc.relay.lane import head
from tests.unit.relay_stage import LIMIT, Stage


class TestDelayed:
    def test_delayed_messages_go_first_on_a_new_link(self) -> None:
        stage = Stage(ready=False)
        stage.says("a", b"new\n")
        stage.ready(thaw=False)
        stage.relay.send_delayed(b"old", stage.now)
        assert stage.sent() == b"old\n"
        stage.link(b"ok\n")
        assert stage.relay.delayed_replies == [b"ok"]
        stage.relay.thaw(stage.now)
        assert stage.sent() == b"new\n"

    def test_requests_in_flight_come_home_while_new_ones_wait(self) -> None:
        stage = Stage()
        stage.says("a", b"one\n")
        stage.relay.freeze()
        assert not stage.quiet()
        stage.says("b", b"two\n")
        stage.link(b"1\n")
        assert stage.hears("a") == b"1\n"
        assert stage.quiet()
        stage.relay.send_delayed(b"encrypt:old", stage.now)
        assert stage.sent() == b"one\nenc:Kold\n"

    def test_requests_before_a_young_message_was_seen_go_and_later_ones_wait(self) -> None:
        stage = Stage()
        stage.relay.freeze()
        stage.says("a", b"before\n")
        seen = stage.now = stage.now + 1
        stage.says("b", b"after\n")
        stage.relay.thaw(stage.now, hold_from=seen)
        assert stage.sent() == b"before\n"
        stage.says("c", b"later\n")
        assert stage.sent() == b""
        stage.relay.thaw(stage.now)
        assert stage.sent() == b"after\nlater\n"

    def test_a_delayed_message_has_its_own_limit(self) -> None:
        stage = Stage(request=300.0, delayed=60.0)
        stage.later(0)
        stage.relay.send_delayed(b"old", stage.now)
        stage.relay.send_delayed(b"next", stage.now)
        assert stage.relay.wake_at == stage.now + 60
        stage.now += 50
        stage.link(b"ok\n")
        assert stage.relay.wake_at <= stage.now + 60
        assert stage.later(59) == []
        assert stage.later(2) != []

    def test_a_lost_link_loses_no_client_for_a_delayed_message(self) -> None:
        stage = Stage()
        stage.relay.send_delayed(b"sent", stage.now)
        stage.sent()
        stage.relay.send_delayed(b"unsent", stage.now)
        stage.lost()
        stage.ready()
        assert stage.sent() == b""

    @pytest.mark.parametrize("reply", [b"enc:?\n", b"x" * 2000 + b"\n"])
    def test_a_reply_that_cannot_be_kept_or_decoded_is_no_reply(self, reply: bytes) -> None:
        stage = Stage()
        stage.relay.send_delayed(b"old", stage.now)
        stage.link(reply)
        assert stage.relay.delayed_replies == [None]


LONG = 200_000


def long_request(stage: Stage, name: str, data: bytes) -> None:
    """Say a long line as a socket brings it: in pieces."""
    for start in range(0, len(data), 50_000):
        stage.says(name, data[start : start + 50_000])


@pytest.mark.parametrize(("said", "on_wire"), [(b"echo:", b"echo:"), (b"encrypt:", b"enc:K")])
def test_a_long_request_passes_and_comes_back_to_the_queue_if_unsent(said: bytes, on_wire: bytes) -> None:
    stage = Stage(limit=LONG)
    text = b"x" * 150_000
    long_request(stage, "a", said + text + b"\n")
    stage.lost()
    stage.ready(b"K")
    assert stage.sent() == on_wire + text + b"\n"
    stage.link(b"ok\n")
    assert stage.hears("a") == b"ok\n"


def test_one_byte_pieces_of_an_encrypted_long_request_are_still_known_for_it() -> None:
    stage = Stage(limit=LONG)
    for byte in b"encrypt:":
        stage.says("a", bytes((byte,)))
    long_request(stage, "a", b"y" * 150_000 + b"\n")
    assert stage.sent().startswith(b"enc:Ky")


def test_a_link_that_takes_nothing_more_is_given_nothing_more() -> None:
    stage = Stage(limit=2_000_000)
    long_request(stage, "a", b"x" * 1_500_000 + b"\n")
    stage.says("b", b"next\nmore\n")
    assert len(stage.relay.queue) == 2
    stage.sent()
    stage.relay.pump(stage.now)
    assert stage.sent() == b"next\nmore\n"


def test_transactions_are_collected_only_on_demand() -> None:
    stage = Stage()
    stage.relay.log_transactions(True, stage.now)
    stage.says("a", b"put:x\n")
    assert stage.sent() == b"put:x\n"
    stage.says("b", b"big\n")
    stage.now += 0.5
    stage.link(b"okay\n" + b"x" * 2000 + b"\n")
    assert stage.relay.transactions == [(b"put:x", 0.5, 4), (b"big", 0.5, 0)]
    assert stage.hears("a") == b"okay\n"
    stage.relay.log_transactions(False, stage.now)
    stage.says("a", b"put:y\n")
    stage.link(b"ok\n")
    assert stage.relay.transactions is None


def test_latency_goes_into_powers_of_two() -> None:
    stage = Stage()
    stage.says("a", b"x\n")
    stage.now += 0.0015
    stage.link(b"1\n")
    assert stage.relay.counters.latency_us[11] == 1  # 1,024 to 2,047 microseconds
    stage.says("a", b"x\n")
    stage.now += 3600
    stage.link(b"1\n")
    assert stage.relay.counters.latency_us[-1] == 1


def test_without_a_link_there_is_no_key() -> None:
    lane = Stage(ready=False).lane
    with pytest.raises(CipherError):
        lane.encrypt(b"x")


def test_whoever_owns_the_socket_must_say_how_a_client_is_attended() -> None:
    with pytest.raises(NotImplementedError):
        Client(LIMIT).attend()


def test_a_request_of_a_client_that_is_gone_is_not_listed_for_the_turn() -> None:
    stage = Stage(request=10.0)
    stage.says("a", b"x\n")
    stage.says("a", b"y\n")
    stage.relay.dirty.clear()
    stage.relay.client_gone(stage.clients["a"])
    stage.later(25.0)
    assert stage.relay.dirty == []
    assert stage.relay.counters.con_lost == 0


def test_what_is_given_up_in_flight_is_counted_once() -> None:
    stage = Stage(request=10.0)
    stage.says("a", b"x\n")
    stage.says("b", b"y\n")
    stage.sent()
    stage.later(21.0)
    stage.later(1.0)
    stage.lost()
    assert stage.relay.counters.con_lost == 2
    assert stage.hears("a") == stage.hears("b") == b"con_lost\n"


def test_a_delayed_message_in_flight_is_not_given_up_like_a_clients() -> None:
    stage = Stage(request=10.0, delayed=60.0)
    stage.relay.send_delayed(b"old", stage.now)
    assert stage.later(25.0) == []
    assert stage.relay.counters.con_lost == 0


def test_what_there_is_to_count_changes_with_every_request_and_reply() -> None:
    stage = Stage()
    seen = [stage.relay.activity]
    stage.says("a", b"x\n")
    seen.append(stage.relay.activity)
    stage.lost()
    seen.append(stage.relay.activity)
    assert stage.relay.requests == 0  # it never left, it waits
    stage.ready()
    seen.append(stage.relay.activity)
    stage.link(b"1\n")  # much later than the request: this alone must show
    seen.append(stage.relay.activity)
    stage.says("a", b"y" * (stage.limit + 1) + b"\n")
    seen.append(stage.relay.activity)
    assert [new for old, new in pairwise(seen) if old == new] == []


def test_the_head_of_a_line_does_not_depend_on_its_pieces() -> None:
    assert head(b"abcdef", 4) == head([b"a", b"bc", b"def"], 4) == b"abcd"
    assert head([b"a", b"b"], 4) == b"ab"
