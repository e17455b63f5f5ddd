"""The relay as a playbook: what clients say and what the link brings, and who hears what."""

from __future__ import annotations

import pytest

from lonc.relay import Client
from lonc.relay.dispatch import CLIENT_QUEUE_BYTES, CLIENT_QUEUE_REQUESTS
from tests.unit.relay_stage import LIMIT, Stage


def test_a_request_goes_out_unchanged_and_its_reply_comes_back() -> None:
    stage = Stage()
    stage.says("a", b"echo:\x00\xff\r\n")
    assert stage.sent() == b"echo:\x00\xff\r\n"
    assert stage.link(b"\x00\xff\r\n")
    assert stage.hears("a") == b"\x00\xff\r\n"
    assert stage.relay.requests == stage.relay.counters.replies == 1


def test_replies_find_their_clients_in_the_order_of_the_requests() -> None:
    stage = Stage()
    for name in "abcab":
        stage.says(name, b"from " + name.encode() + b"\n")
    assert stage.link(b"1\n2\n3\n4\n5\n")
    assert [stage.hears(name) for name in "abc"] == [b"1\n4\n", b"2\n5\n", b"3\n"]


def test_several_lines_in_one_read_and_one_line_in_several_reads() -> None:
    stage = Stage()
    stage.says("a", b"one\ntwo\nthr")
    stage.says("a", b"ee\n")
    assert stage.sent() == b"one\ntwo\nthree\n"
    stage.link(b"1\n2\n3\n")
    assert stage.hears("a") == b"1\n2\n3\n"


def test_the_window_bounds_what_is_in_flight_and_one_is_lock_step() -> None:
    stage = Stage(pipeline=1)
    stage.says("a", b"one\ntwo\n")
    stage.says("b", b"three\n")
    assert stage.sent() == b"one\n"
    stage.link(b"1\n")
    assert stage.sent() == b"two\n"
    stage.link(b"2\n")
    assert stage.sent() == b"three\n"


def test_an_empty_line_is_a_request_and_an_empty_reply_is_passed_on() -> None:
    stage = Stage()
    stage.says("a", b"\n")
    assert stage.sent() == b"\n"
    stage.link(b"\n")
    assert stage.hears("a") == b"\n"


def test_more_replies_than_requests_are_nobodys() -> None:
    stage = Stage()
    stage.says("a", b"one\n")
    assert not stage.link(b"1\n2\n")
    assert stage.hears("a") == b""


def test_a_lost_link_answers_what_was_sent_and_keeps_what_was_not() -> None:
    stage = Stage()
    stage.says("a", b"sent\n")
    stage.sent()
    stage.says("b", b"unsent\n")
    stage.lost()
    assert stage.hears("a") == b"con_lost\n"
    assert stage.hears("b") == b""
    stage.ready(b"L")
    assert stage.sent() == b"unsent\n"
    stage.link(b"answer\n")
    assert stage.hears("b") == b"answer\n"
    assert stage.relay.counters.con_lost == 1


def test_what_was_begun_on_a_lost_link_is_never_sent_again() -> None:
    stage = Stage()
    stage.says("a", b"begun\nkept\n")
    stage.lane.box.took(3)
    stage.lost()
    stage.ready()
    assert stage.hears("a") == b"con_lost\n"
    assert stage.sent() == b"kept\n"


def test_an_unsent_encrypted_request_is_encrypted_anew_for_the_next_link() -> None:
    stage = Stage()
    stage.says("a", b"encrypt:secret\n")
    assert bytes(stage.lane.box.first()) == b"enc:Ksecret\n"
    stage.lost()
    stage.ready(b"L")
    assert stage.sent() == b"enc:Lsecret\n"


def test_the_grace_ends_with_con_lost_for_all_who_wait_and_at_once_for_later_ones() -> None:
    stage = Stage(ready=False)
    stage.says("a", b"early\n")
    assert stage.hears("a") == b""
    stage.later(1.9)
    assert stage.hears("a") == b""
    stage.later(0.2)
    assert stage.hears("a") == b"con_lost\n"
    stage.says("b", b"late\n")
    assert stage.hears("b") == b"con_lost\n"
    stage.ready()
    assert stage.sent() == b""


def test_a_failed_redial_does_not_begin_another_grace() -> None:
    stage = Stage(ready=False)
    stage.later(2.1)
    stage.lost()
    stage.says("a", b"x\n")
    assert stage.hears("a") == b"con_lost\n"


def test_a_ping_is_answered_at_once_until_the_link_is_ready_even_in_the_grace() -> None:
    stage = Stage(ready=False)
    stage.says("a", b"ping\n")
    stage.says("b", b"pings\n")
    assert stage.hears("a") == b"con_lost\n"
    assert stage.hears("b") == b""


def test_an_answer_out_of_turn_waits_for_its_turn() -> None:
    stage = Stage(ready=False)
    stage.says("a", b"first\nping\nsecond\n")
    assert stage.hears("a") == b""
    stage.ready()
    assert stage.sent() == b"first\nsecond\n"
    stage.link(b"1\n2\n")
    assert stage.hears("a") == b"1\ncon_lost\n2\n"


def test_the_limit_runs_from_being_first_on_the_link() -> None:
    stage = Stage(request=10.0)
    stage.says("a", b"slow\n")
    stage.later(6.0)
    stage.says("b", b"next\n")
    stage.link(b"1\n")
    assert stage.later(9.9) == []
    assert stage.later(0.2) == [b"next"]


def test_who_has_waited_twice_the_limit_hears_con_lost_and_the_link_goes_on() -> None:
    stage = Stage(request=10.0, pipeline=2)
    for name in "abcd":
        stage.says(name, name.encode() + b"\n")
    stage.sent()
    stage.later(9.0)
    stage.link(b"A\n")  # b is first now, c is sent
    stage.later(9.0)
    stage.link(b"B\n")
    assert stage.later(2.5) == []  # c is first since 2.5 s, but was asked 20.5 s ago
    assert [stage.hears(name) for name in "abcd"] == [b"A\n", b"B\n", b"con_lost\n", b"con_lost\n"]
    stage.link(b"C\nD\n")
    assert stage.hears("c") == stage.hears("d") == b""
    stage.says("c", b"again\n")
    stage.link(b"E\n")
    assert stage.hears("c") == b"E\n"


def test_a_request_that_is_given_up_in_the_queue_is_never_sent() -> None:
    stage = Stage(request=10.0, pipeline=1)
    stage.says("a", b"slow\n")
    stage.says("b", b"waits\n")
    stage.later(0)
    stage.says("c", b"late\n")
    stage.later(9.0)
    stage.link(b"")
    stage.lane.head_since = stage.now  # as if one before it had just been answered
    stage.later(9.0)
    stage.says("d", b"last\n")
    stage.lane.head_since = stage.now
    assert stage.later(2.5) == []
    assert stage.hears("b") == b"con_lost\n"
    stage.link(b"S\n")
    assert stage.sent() == b"slow\nlast\n"


def test_the_first_request_after_a_pause_sets_the_alarm() -> None:
    stage = Stage(request=10.0)
    stage.later(5.0)
    stage.says("a", b"x\n")
    assert stage.relay.wake_at == stage.now + 10


def test_who_is_gone_is_waited_for_by_nobody() -> None:
    stage = Stage(request=10.0, ready=False)
    stage.says("a", b"x\nping\n")
    stage.relay.client_gone(stage.clients["a"])
    stage.lost()
    stage.ready()
    assert stage.relay.counters.con_lost == 1  # the ping, while it could still have been heard


def test_an_encrypted_reply_comes_in_clear_and_an_undecodable_one_as_con_lost() -> None:
    stage = Stage()
    stage.says("a", b"eget:x\neget:y\n")
    stage.link(b"enc:Kvalue\nenc:?\n")
    assert stage.hears("a") == b"value\ncon_lost\n"
    assert stage.relay.complaints == ["An enc: reply could not be decoded"]


def test_a_reply_above_the_limit_costs_only_its_own_client() -> None:
    stage = Stage()
    stage.says("a", b"big\n")
    stage.says("b", b"small\n")
    stage.link(b"x" * 2000 + b"\nok\n")
    assert stage.hears("a") == b"con_lost\n"
    assert stage.hears("b") == b"ok\n"
    assert stage.relay.complaints == ["A reply of more than 1000 bytes was dropped"]


def test_a_request_above_the_limit_is_refused_after_the_answers_before_it() -> None:
    stage = Stage()
    stage.says("a", b"ok\n" + b"x" * (LIMIT + len(b"encrypt:")))
    client = stage.clients["a"]
    assert stage.relay.wants_more(client)  # it might yet be `encrypt:` and LIMIT bytes
    stage.says("a", b"x")
    assert not stage.relay.wants_more(client)
    stage.says("a", b"yyy\n")
    stage.link(b"1\n")
    assert stage.hears("a") == b"1\nerror: request longer than 100 bytes\n"
    assert client.finished
    stage.says("b", b"x" * LIMIT + b"\n")
    assert stage.sent() == b"ok\n" + b"x" * LIMIT + b"\n"


def test_a_line_above_the_limit_in_one_read_is_refused_too() -> None:
    stage = Stage()
    stage.says("a", b"x" * (LIMIT + 1) + b"\nping\n")
    assert stage.hears("a") == b"error: request longer than 100 bytes\n"
    assert stage.sent() == b""


@pytest.mark.parametrize("pieces", [1, 2])
def test_the_limit_of_an_encrypted_request_is_that_of_its_command(pieces: int) -> None:
    stage = Stage()

    def says(name: str, line: bytes) -> None:
        for piece in (line,) if pieces == 1 else (line[:50], line[50:]):
            stage.says(name, piece)

    says("a", b"encrypt:" + b"c" * LIMIT + b"\n")
    assert stage.sent() == b"enc:K" + b"c" * LIMIT + b"\n"
    says("b", b"encrypt:" + b"c" * (LIMIT + 1) + b"\n")
    assert stage.hears("b") == b"error: request longer than 100 bytes\n"
    says("c", b"encrypt;" + b"c" * LIMIT + b"\n")  # not that word
    assert stage.hears("c") == b"error: request longer than 100 bytes\n"
    assert stage.sent() == b""


def test_empty_requests_take_room_too() -> None:
    """One that asks nothing, again and again, while nothing goes out: its lines have no bytes but cost memory."""
    stage = Stage(ready=False, grace=100.0)
    stage.says("a", b"\n" * (CLIENT_QUEUE_REQUESTS + 1))
    client = stage.clients["a"]
    assert client.queued == CLIENT_QUEUE_REQUESTS + 1
    assert not stage.relay.wants_more(client)
    stage.ready()
    while stage.sent():
        stage.link(b"unknown_cmd\n" * len(stage.lane.in_flight))
    assert client.queued == 0
    assert stage.relay.wants_more(client)


def test_a_client_that_half_closes_is_answered_and_finished_then() -> None:
    stage = Stage()
    stage.says("a", b"ping\npart")
    client = stage.clients["a"]
    stage.relay.client_eof(client)
    assert not client.finished
    stage.link(b"pong\n")
    assert not client.finished
    assert stage.hears("a") == b"pong\n"
    assert client.finished


def test_a_client_that_is_gone_costs_the_others_nothing() -> None:
    stage = Stage(pipeline=1)
    stage.says("a", b"one\ntwo\n")
    stage.says("b", b"three\n")
    stage.relay.client_gone(stage.clients["a"])
    stage.link(b"1\n")
    assert stage.sent() == b"one\nthree\n"
    stage.link(b"3\n")
    assert stage.hears("b") == b"3\n"


def test_close_connection_exit_is_exact_and_gets_no_line() -> None:
    stage = Stage()
    stage.says("a", b"close_connection_exit_not\n")
    assert not stage.close_asked()
    stage.says("b", b"close_connection_exit\n")
    assert stage.close_asked()
    assert stage.hears("b") == b""
    assert stage.sent() == b"close_connection_exit_not\n"


def test_a_client_is_read_no_further_while_too_much_of_it_waits() -> None:
    stage = Stage(ready=False, grace=100.0)
    client = stage.clients.setdefault("a", Client(LIMIT))
    client.queued = CLIENT_QUEUE_BYTES + 1
    assert not stage.relay.wants_more(client)
    client.queued = 0
    for _ in range(CLIENT_QUEUE_REQUESTS + 1):
        stage.says("a", b"x\n")
    assert not stage.relay.wants_more(client)
    stage.relay.quit_waiting()
    assert stage.relay.wants_more(client)
    assert client.queued == 0
    client.box.took(1)
    client.box.put(b"y" * 300)
    assert not stage.relay.wants_more(client)
