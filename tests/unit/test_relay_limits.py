"""The relay at its limits: exactly at a size or a number; which way a request takes; what is counted."""

from __future__ import annotations

import pytest

from lonc.errors import CipherError
from lonc.relay import Client, Relay
from lonc.relay.dispatch import CLIENT_QUEUE_BYTES, CLIENT_QUEUE_REQUESTS
from lonc.relay.lane import LINK_HIGH_WATER, STALE, Lane, remembered
from lonc.wire.lines import LineBuffer
from lonc.wire.outbox import SHORT_RUN
from tests.unit.relay_stage import LIMIT, Stage

BIG = 200_000  # a limit that lets a line come in pieces


def by_the_short_way(stage: Stage, name: str = "z") -> bool:
    """Return whether a request of a new client takes the short way: there it is kept with its newline."""
    stage.says(name, b"short?\n")
    return stage.lane.in_flight[-1] == (stage.clients[name], stage.now, 0, b"short?\n")


# --- at the beginning --------------------------------------------------------------------------------


def test_a_new_client_is_owed_nothing_and_may_be_read() -> None:
    client = Client(LIMIT)
    assert (client.full, client.finishing, client.gone, client.dirty) == (False, False, False, False)
    assert (client.plain, client.waiting, client.bound, client.queued) == (True, 0, None, 0)
    for _ in range(SHORT_RUN):
        client.box.put(b"")
    assert len(client.box.batch()) == 1  # answers are never taken back, so they need not be told apart


def test_a_new_relay_waits_for_its_first_link_for_the_grace() -> None:
    stage = Stage(ready=False, grace=2.0)
    relay = stage.relay
    assert (relay.wake_at, relay.grace_until) == (stage.now + 2, stage.now + 2)
    assert (relay.pump_due, relay.close_asked, relay.asleep, relay.link_wanted) == (False, False, False, False)
    assert (relay.delayed_client.plain, relay.delayed_lane) == (False, None)
    assert (stage.lane.ready, stage.lane.head_since) == (False, 0.0)


def test_a_link_is_taken_up_after_20_ms_when_nothing_else_is_said() -> None:
    relay = Relay(
        pipeline=2, request_timeout_s=1.0, delayed_timeout_s=1.0, grace_s=1.0,
        max_line_bytes=LIMIT, client_buffer_bytes=1000, now=5.0,
    )  # fmt: skip
    relay.link_ready(relay.add_lane(), bytes, bytes, 5.0)
    relay.thaw(5.0)
    relay.client_data(Client(LIMIT), b"x\n", 5.0)
    assert relay.crowded_at() == 5.02


def test_without_a_link_nothing_is_encrypted_or_decrypted() -> None:
    stage = Stage()
    stage.lost()
    for use in (Lane(1).encrypt, Lane(1).decrypt, stage.lane.encrypt, stage.lane.decrypt):
        with pytest.raises(CipherError, match=r"^no link, no key$"):
            use(b"x")


def test_who_owns_the_socket_says_how_a_client_is_attended() -> None:
    with pytest.raises(NotImplementedError, match=r"^whoever owns the socket says how$"):
        Client(LIMIT).attend()


# --- answers and their turn --------------------------------------------------------------------------


def test_answers_out_of_turn_wait_for_all_before_them() -> None:
    client = Client(LIMIT)
    client.issued = 5
    assert client.settle(2, b"2")
    assert client.settle(4, b"4")
    assert client.plain is False
    assert [client.owed(number) for number in range(5)] == [True, True, False, True, False]
    assert not client.settle(2, b"again")
    assert client.settle(0, b"0")
    assert (client.turn, client.plain, client.box.first()) == (1, False, b"0\n")
    assert [client.owed(number) for number in range(3)] == [False, True, False]
    assert client.settle(1, b"1")
    assert (client.turn, client.plain) == (3, False)
    assert client.settle(3, b"3")
    assert (client.turn, client.plain, client.box.first()) == (5, True, b"0\n1\n2\n3\n4\n")


def test_who_is_gone_is_owed_nothing() -> None:
    client = Client(LIMIT)
    client.issued = 2
    client.settle(1, b"1")
    client.forget()
    assert (client.plain, client.early, client.owed(0), client.settle(0, b"0")) == (False, {}, False, False)


def test_encrypted_replies_keep_their_turn() -> None:
    stage = Stage()
    stage.says("a", b"one\ntwo\nthree\n")
    assert stage.link(b"enc:K1\nenc:K2\nenc:K3\n")
    assert stage.hears("a") == b"1\n2\n3\n"
    assert by_the_short_way(stage)


def test_who_asks_to_close_asks_nothing_more() -> None:
    stage = Stage()
    stage.says("a", b"close_connection_exit\nmore\n")
    assert stage.close_asked()
    assert stage.clients["a"].finishing is True
    assert stage.sent() == b""
    stage.says("a", b"more\n")
    assert stage.sent() == b""


# --- sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [False, True])
def test_a_line_of_exactly_the_limit_passes_and_one_byte_more_is_refused(pieces: bool) -> None:
    stage = Stage()
    for name, size in (("a", LIMIT), ("b", LIMIT + 1), ("c", LIMIT + 1)):
        data = b"x" * size + b"\n"
        for part in (data[:7], data[7:]) if pieces else (data,):
            stage.says(name, part)
    assert stage.sent() == b"x" * LIMIT + b"\n"
    assert stage.hears("b") == stage.hears("c") == b"error: request longer than 100 bytes\n"
    assert stage.clients["b"].finished
    assert stage.relay.counters.rejected == 2


def test_a_line_of_exactly_the_limit_takes_the_short_way() -> None:
    stage = Stage()
    stage.says("a", b"x" * LIMIT + b"\n")
    assert stage.lane.in_flight[0][3] == b"x" * LIMIT + b"\n"


def test_what_a_link_remembers_of_a_long_request() -> None:
    assert remembered(b"x" * 80) == b"x" * 80
    assert remembered([b"x" * 60, b"y" * 60]) == b"x" * 60 + b"yyyy"


def long_line(stage: Stage, name: str, count: int = 70_000) -> None:
    stage.says(name, b"x" * count)
    stage.says(name, b"y" * count + b"\n")


def test_a_long_line_that_waited_costs_its_client_no_room_any_more() -> None:
    stage = Stage(pipeline=1, limit=BIG)
    stage.says("a", b"a\n")
    long_line(stage, "b")
    assert stage.clients["b"].queued == 140_001
    stage.sent()
    stage.link(b"A\n")
    assert len(stage.sent()) == 140_001
    assert (stage.clients["b"].queued, stage.relay.dirty.count(stage.clients["b"])) == (0, 0)


def test_a_client_is_full_above_its_bytes_not_at_them() -> None:
    stage = Stage(ready=False, limit=2 * CLIENT_QUEUE_BYTES)
    stage.says("a", b"x" * (CLIENT_QUEUE_BYTES - 1) + b"\n")
    client = stage.clients["a"]
    assert (client.queued, client.full, stage.relay.wants_more(client)) == (CLIENT_QUEUE_BYTES, False, True)
    stage.says("a", b"\n")
    assert (client.full, client.dirty, stage.relay.wants_more(client)) == (True, True, False)


def test_a_client_is_full_above_its_requests_not_at_them() -> None:
    stage = Stage(pipeline=2)
    stage.says("a", b"before\n" * 600)
    for _ in range(600):
        stage.link(b"r\n")
    stage.sent()
    for number in range(CLIENT_QUEUE_REQUESTS):
        stage.says("a", b"%d\n" % number)
    client = stage.clients["a"]
    assert (client.waiting, client.full, stage.relay.wants_more(client)) == (CLIENT_QUEUE_REQUESTS, False, True)
    stage.says("a", b"one more\n")
    assert (client.full, stage.relay.wants_more(client)) == (True, False)
    stage.link(b"r\n")
    assert (client.full, stage.relay.wants_more(client)) == (False, True)


def test_what_is_in_flight_alone_keeps_nobody_from_asking() -> None:
    stage = Stage()
    client = Client(LIMIT)
    client.issued = CLIENT_QUEUE_REQUESTS + 1
    assert stage.relay.wants_more(client)
    client.queued = 1
    assert not stage.relay.wants_more(client)


def test_a_client_that_does_not_read_is_read_on_up_to_a_quarter_of_its_buffer() -> None:
    stage = Stage()  # 1000 bytes
    client = Client(LIMIT)
    client.box.put(b"x" * 300)
    assert stage.relay.wants_more(client)  # nothing is refused as yet
    client.box.took(51)
    assert (client.box.size, stage.relay.wants_more(client)) == (250, True)
    client.box.put(b"")
    assert (client.box.size, stage.relay.wants_more(client)) == (251, False)


@pytest.mark.parametrize("links", [1, 2])
def test_a_full_client_is_looked_at_when_its_requests_leave_and_stays_full_while_too_many_wait(links: int) -> None:
    stage = Stage(pipeline=1)
    for _ in range(links - 1):
        stage.another()
    stage.says("b", b"b\n" if links == 1 else b"b1\nb2\n")
    count = CLIENT_QUEUE_REQUESTS + (3 if links == 1 else 4)
    for _ in range(count):
        stage.says("a", b"x\n")
    client = stage.clients["a"]
    assert client.full is True
    seen = []
    for _ in range(4):
        stage.hears("a")
        lane = client.bound or stage.lane
        stage.sent(lane)
        assert stage.link(b"r\n", lane)
        seen.append((client.full, client.dirty))
    assert seen[0] == (True, True)
    assert seen[-1] == (False, True)
    assert stage.relay.wants_more(client)


def test_a_link_takes_no_more_when_exactly_as_much_as_may_is_refused() -> None:
    stage = Stage(limit=2 * LINK_HIGH_WATER)
    stage.says("a", b"x" * (LINK_HIGH_WATER - 1) + b"\n")
    stage.lane.box.took(0)
    assert (stage.lane.box.held, stage.lane.open) == (LINK_HIGH_WATER, False)
    stage.relay.log_transactions(True, stage.now)  # the short way asks the kernel only
    stage.says("b", b"next\n")
    stage.relay.pump(stage.now)
    assert len(stage.relay.queue) == 1
    stage.lane.box.took(1)
    stage.relay.pump(stage.now)
    assert len(stage.relay.queue) == 0


def test_long_replies_are_decoded_or_passed_on_as_short_ones_are() -> None:
    stage = Stage()
    stage.buffers[stage.lane] = LineBuffer(BIG)
    for text in (b"enc:K", b"enc:X", b"plain"):
        stage.says("a", b"ask\n")
        assert stage.link(text + b"x" * 70_000)
        assert stage.link(b"y" * 70_000 + b"\n")
        body = b"x" * 70_000 + b"y" * 70_000 + b"\n"
        heard = {b"enc:K": body, b"enc:X": b"con_lost\n", b"plain": b"plain" + body}[text]
        assert stage.hears("a") == heard


# --- ways --------------------------------------------------------------------------------------------


def test_the_short_way_is_open_while_one_link_has_room_and_nothing_waits() -> None:
    stage = Stage(pipeline=2)
    assert by_the_short_way(stage, "a")
    stage.says("b", b"b\n")
    stage.says("c", b"c\n")
    stage.link(b"A\nB\n")
    assert by_the_short_way(stage, "d")
    stage.relay.freeze()
    stage.relay.thaw(stage.now)
    stage.link(b"C\n")
    assert by_the_short_way(stage, "e")


def test_with_transactions_logged_a_request_leaves_at_once_all_the_same() -> None:
    stage = Stage()
    stage.relay.log_transactions(True, stage.now)
    client = Client(LIMIT)
    stage.relay.client_data(client, b"x\n", stage.now)
    assert stage.relay.pump_due is False
    assert stage.sent() == b"x\n"


def test_with_two_links_a_request_leaves_at_the_end_of_the_turn() -> None:
    stage = Stage()
    other = stage.another()
    client = Client(LIMIT)
    stage.relay.client_data(client, b"x\n", stage.now)
    assert (stage.relay.pump_due, stage.sent(), stage.sent(other)) == (True, b"", b"")
    stage.relay.pump(stage.now)
    assert (stage.relay.pump_due, stage.sent()) == (False, b"x\n")
    stage.relay.freeze()
    stage.relay.client_data(client, b"y\n", stage.now)
    assert stage.relay.pump_due is False


def test_switching_the_transactions_changes_nothing_for_requests_that_wait() -> None:
    stage = Stage()
    stage.relay.freeze()
    stage.relay.log_transactions(True, stage.now)
    stage.says("a", b"x\n")
    assert stage.sent() == b""
    other = stage.another()
    stage.relay.thaw(stage.now)
    stage.says("b", b"y\n")
    stage.relay.log_transactions(False, stage.now)
    assert (stage.sent(), stage.sent(other)) == (b"x\n", b"y\n")


def test_the_requests_of_one_turn_are_spread_evenly_from_the_emptier_link_on() -> None:
    stage = Stage(pipeline=8)
    other = stage.another()
    for name in ("a1", "a2", "a3"):
        stage.says(name, name.encode() + b"\n")
    stage.link(b"r\n", other)  # two to none
    for name in "bcdefgh":
        stage.relay.client_data(stage.clients.setdefault(name, Client(LIMIT)), name.encode() + b"\n", stage.now)
    stage.sent(), stage.sent(other)
    stage.relay.pump(stage.now)
    assert (stage.sent(), stage.sent(other)) == (b"d\nf\nh\n", b"b\nc\ne\ng\n")


def test_a_link_whose_oldest_waits_exactly_as_long_as_it_may_is_not_slow_yet() -> None:
    stage = Stage()
    stage.says("a", b"a\n")
    assert (stage.lane.load(stage.now), stage.lane.load(stage.now + 0.001)) == (1, 1 + STALE)


def test_an_idle_link_is_needed_from_the_moment_at_which_the_others_are_taken_up() -> None:
    stage = Stage(spread=0.5)
    other = stage.another()
    stage.says("a", b"a\n")
    assert stage.relay.spare(other, stage.now + 0.49)
    assert not stage.relay.spare(other, stage.now + 0.5)


def test_while_delayed_messages_go_another_link_would_serve_nobody() -> None:
    stage = Stage(pipeline=1)
    stage.says("a", b"a\n")
    assert stage.relay.crowded_at() == 0.0
    stage.relay.freeze()
    assert stage.relay.crowded_at() is None


def test_what_a_lost_link_was_working_on_binds_nobody_to_it() -> None:
    stage = Stage()
    other = stage.another()
    stage.says("a", b"one\n")
    stage.says("a", b"two\n")
    client = stage.clients["a"]
    assert (client.bound, stage.lane.ready) == (stage.lane, True)
    stage.lost()
    assert (client.bound, stage.lane.ready) == (None, False)
    assert stage.sent(other) == b"one\ntwo\n"


def test_what_was_not_sent_takes_its_clients_room_again() -> None:
    stage = Stage()
    stage.says("a", b"1234\n12345678\n")
    assert stage.clients["a"].queued == 0
    stage.lost()
    assert stage.clients["a"].queued == 5 + 9
    stage.ready()
    assert stage.clients["a"].queued == 0


# --- counts ------------------------------------------------------------------------------------------


def test_each_reply_and_each_cut_is_counted() -> None:
    stage = Stage()
    for _ in range(2):
        stage.says("a", b"x\n" * 5)
        stage.link(b"1\n2\n")
        stage.sent()
        stage.lost()
        stage.ready()
    counters = stage.relay.counters
    assert (counters.replies, counters.cut, counters.con_lost, stage.relay.requests) == (4, 6, 6, 10)


def test_a_latency_is_counted_in_microseconds() -> None:
    stage = Stage()
    stage.says("a", b"x\ny\n")
    stage.now += 1.048575  # just under 2**20
    stage.link(b"X\nY\n")
    assert stage.relay.counters.latency_us[20] == 2
    assert sum(stage.relay.counters.latency_us) == 2
