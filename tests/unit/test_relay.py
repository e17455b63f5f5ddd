"""The relay as a playbook: what clients say and what the link brings, and who hears what."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lonc.errors import CipherError
from lonc.relay import Client, Relay
from lonc.relay.relay import CLIENT_QUEUE_BYTES, CLIENT_QUEUE_REQUESTS
from lonc.wire.lines import LineBuffer

LIMIT = 100  # bytes of a request


def cipher(prefix: bytes) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """Return a readable stand-in for a link's key: what matters here is which key was used, and when."""

    def encrypt(command: bytes) -> bytes:
        return b"enc:" + prefix + command

    def decrypt(frame: bytes) -> bytes:
        if not frame.startswith(b"enc:" + prefix):
            raise CipherError("foreign key")
        return frame[4 + len(prefix) :]

    return encrypt, decrypt


class Stage:
    """A relay with named clients and a link that is a list of lines."""

    def __init__(self, *, pipeline: int = 8, ready: bool = True, limit: int = LIMIT, **limits: float) -> None:
        self.limit = limit
        self.now = 1000.0
        self.relay = Relay(
            pipeline=pipeline,
            request_timeout_s=limits.get("request", 300.0),
            delayed_timeout_s=limits.get("delayed", 60.0),
            grace_s=limits.get("grace", 2.0),
            max_line_bytes=limit,
            client_buffer_bytes=1000,
            now=self.now,
        )
        self.clients: dict[str, Client] = {}
        self.buffer = LineBuffer(1000)
        if ready:
            self.ready()

    def ready(self, key: bytes = b"K", *, thaw: bool = True) -> None:
        self.relay.link_ready(*cipher(key))
        if thaw:
            self.relay.thaw(self.now)

    def says(self, name: str, data: bytes) -> None:
        client = self.clients.setdefault(name, Client(self.limit))
        self.relay.client_data(client, data, self.now)

    def sent(self) -> bytes:
        """Take what goes to the link, as a kernel that takes everything."""
        out = b""
        while chunks := self.relay.lane.box.batch():
            data = b"".join(chunks)
            self.relay.lane.box.took(len(data))
            out += data
        return out

    def link(self, data: bytes) -> bool:
        lines = self.buffer.feed(data)
        return self.relay.replies(lines, self.now) if lines else True

    def hears(self, name: str) -> bytes:
        box = self.clients[name].box
        data = b"".join(box.batch())
        box.took(len(data))
        return data

    def later(self, seconds: float) -> object:
        self.now += seconds
        return self.relay.tick(self.now)


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
    stage.relay.link_lost(stage.now)
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
    stage.relay.lane.box.took(3)
    stage.relay.link_lost(stage.now)
    stage.ready()
    assert stage.hears("a") == b"con_lost\n"
    assert stage.sent() == b"kept\n"


def test_an_unsent_encrypted_request_is_encrypted_anew_for_the_next_link() -> None:
    stage = Stage()
    stage.says("a", b"encrypt:secret\n")
    assert bytes(stage.relay.lane.box.first()) == b"enc:Ksecret\n"
    stage.relay.link_lost(stage.now)
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
    stage.relay.link_lost(stage.now)
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
    assert stage.later(9.9) is None
    late = stage.later(0.2)
    assert late is not None
    assert late.line == b"next\n"  # type: ignore[attr-defined]


def test_who_has_waited_twice_the_limit_hears_con_lost_and_the_link_goes_on() -> None:
    stage = Stage(request=10.0, pipeline=2)
    for name in "abcd":
        stage.says(name, name.encode() + b"\n")
    stage.sent()
    stage.later(9.0)
    stage.link(b"A\n")  # b is first now, c is sent
    stage.later(9.0)
    stage.link(b"B\n")
    assert stage.later(2.5) is None  # c is first since 2.5 s, but was asked 20.5 s ago
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
    stage.relay.lane.head_since = stage.now  # as if one before it had just been answered
    stage.later(9.0)
    stage.says("d", b"last\n")
    stage.relay.lane.head_since = stage.now
    assert stage.later(2.5) is None
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
    stage.relay.link_lost(stage.now)
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
    stage.says("a", b"ok\n" + b"x" * (LIMIT + 1))
    client = stage.clients["a"]
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
    assert not stage.relay.close_asked
    stage.says("b", b"close_connection_exit\n")
    assert stage.relay.close_asked
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
        assert not stage.relay.quiet
        stage.says("b", b"two\n")
        stage.link(b"1\n")
        assert stage.hears("a") == b"1\n"
        assert stage.relay.quiet
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
        assert stage.later(59) is None
        assert stage.later(2) is not None

    def test_a_lost_link_loses_no_client_for_a_delayed_message(self) -> None:
        stage = Stage()
        stage.relay.send_delayed(b"sent", stage.now)
        stage.sent()
        stage.relay.send_delayed(b"unsent", stage.now)
        stage.relay.link_lost(stage.now)
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
    stage.relay.link_lost(stage.now)
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
    relay = Stage(ready=False).relay
    with pytest.raises(CipherError):
        relay.encrypt(b"x")


def test_whoever_owns_the_socket_must_say_how_a_client_is_attended() -> None:
    with pytest.raises(NotImplementedError):
        Client(LIMIT).attend()
