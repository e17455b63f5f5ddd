"""The relay's playbook, third act: several links, and none because nobody asked."""

from __future__ import annotations

from lonc.relay.dispatch import CLIENT_QUEUE_REQUESTS
from tests.unit.relay_stage import Stage


def test_a_request_goes_to_the_link_with_the_fewest_in_flight() -> None:
    stage = Stage()
    other = stage.another()
    for name in "abc":
        stage.says(name, name.encode() + b"\n")
    assert (stage.sent(), stage.sent(other)) == (b"a\nc\n", b"b\n")
    stage.link(b"A\nC\n")
    stage.says("d", b"d\n")
    assert (stage.sent(), stage.sent(other)) == (b"d\n", b"")
    stage.link(b"B\n", other)
    stage.link(b"D\n")
    assert [stage.hears(name) for name in "abcd"] == [b"A\n", b"B\n", b"C\n", b"D\n"]


def test_nothing_is_put_behind_a_slow_request_while_another_link_will_do() -> None:
    stage = Stage(spread=0.02)
    stage.says("slow", b"sleep\n")
    stage.now += 0.03
    other = stage.another()
    for name in "abcd":
        stage.says(name, name.encode() + b"\n")
    assert (stage.sent(), stage.sent(other)) == (b"sleep\n", b"a\nb\nc\nd\n")
    stage.now += 0.03  # now both are slow, and the fewest in flight decide
    stage.says("e", b"e\n")
    assert (stage.sent(), stage.sent(other)) == (b"e\n", b"")


def test_the_requests_of_one_client_follow_each_other_on_one_link() -> None:
    stage = Stage()
    stage.says("a", b"one\n")
    other = stage.another()
    stage.says("a", b"two\n")  # the first went out when there was only one link
    stage.says("a", b"three\n")
    assert (stage.sent(), stage.sent(other)) == (b"one\ntwo\nthree\n", b"")
    stage.link(b"1\n2\n3\n")
    stage.says("b", b"b\n")
    stage.says("a", b"four\n")
    assert (stage.sent(), stage.sent(other)) == (b"b\n", b"four\n")


def test_who_waits_for_a_full_link_holds_nobody_else_back() -> None:
    stage = Stage(pipeline=2)
    other = stage.another()
    stage.says("a", b"a1\na2\na3\na4\n")
    assert (stage.sent(), stage.sent(other)) == (b"a1\na2\n", b"")
    stage.says("b", b"b1\n")
    assert stage.sent(other) == b"b1\n"
    stage.link(b"A1\n")
    assert stage.sent() == b"a3\n"
    stage.link(b"A2\nA3\n")
    assert stage.sent() == b"a4\n"


def test_however_many_wait_for_a_full_link_others_go_by() -> None:
    stage = Stage(pipeline=1)
    other = stage.another()
    stage.says("a", b"0\n" + b"".join(b"%d\n" % number for number in range(1, 600)))
    stage.says("b", b"b\n")
    assert (stage.sent(), stage.sent(other)) == (b"0\n", b"b\n")
    assert (stage.relay.waiting, len(stage.relay.queue)) == (599, 0)
    for number in range(1, 600):
        stage.link(b"ok\n")
        assert stage.sent() == b"%d\n" % number
    assert stage.relay.waiting == 0


def test_who_is_gone_waits_for_no_link_any_more() -> None:
    stage = Stage(pipeline=1)
    other = stage.another()
    stage.says("a", b"one\ntwo\nthree\n")
    stage.relay.client_gone(stage.clients["a"])
    assert stage.sent() == b"one\n"
    stage.link(b"1\n")
    assert (stage.relay.waiting, stage.clients["a"].queued) == (0, 0)
    assert (stage.sent(), stage.sent(other)) == (b"", b"")


def test_what_waits_for_a_link_that_is_lost_goes_elsewhere_in_its_order() -> None:
    stage = Stage(pipeline=1)
    other = stage.another()
    stage.says("a", b"one\ntwo\nthree\n")
    stage.says("b", b"b\n")
    assert (stage.sent(), stage.sent(other)) == (b"one\n", b"b\n")
    stage.lost()
    stage.says("c", b"c\n")
    assert stage.hears("a") == b"con_lost\n"
    for expected in (b"two\n", b"three\n", b"c\n"):
        stage.link(b"ok\n", other)
        assert stage.sent(other) == expected
    stage.link(b"ok\n", other)
    assert [stage.hears(name) for name in "abc"] == [b"ok\nok\n", b"ok\n", b"ok\n"]


def test_what_waits_for_the_link_that_is_left_stays_before_newer_requests() -> None:
    stage = Stage(pipeline=1)
    other = stage.another()
    stage.says("a", b"one\ntwo\n")
    stage.lost(other)
    stage.says("c", b"c\n")
    assert stage.sent() == b"one\n"
    for expected in (b"two\n", b"c\n"):
        stage.link(b"ok\n")
        assert stage.sent() == expected


def test_what_waits_for_one_link_has_its_time_limit_and_its_end() -> None:
    stage = Stage(pipeline=1, request=10.0)
    stage.another()
    stage.says("a", b"one\ntwo\n")
    stage.now += 19
    stage.relay.tick(stage.now)
    assert (stage.hears("a"), stage.relay.wake_at) == (b"", stage.lane.head_since + 10)
    stage.now += 1
    stage.relay.tick(stage.now)
    assert (stage.hears("a"), stage.relay.waiting) == (b"con_lost\ncon_lost\n", 0)
    stage.says("b", b"one\ntwo\nthree\nfour\n")
    assert stage.relay.waiting > 1
    stage.relay.quit_waiting()
    assert stage.relay.waiting == 0


def test_what_waits_for_one_link_waits_for_delayed_messages_as_well() -> None:
    stage = Stage(pipeline=1)
    stage.another()
    stage.says("a", b"one\n")
    stage.now += 1
    stage.says("a", b"two\n")
    stage.relay.freeze()
    stage.sent()
    stage.link(b"1\n")
    assert stage.sent() == b""
    stage.relay.thaw(stage.now, hold_from=stage.now)
    assert stage.sent() == b""
    stage.relay.thaw(stage.now)
    assert stage.sent() == b"two\n"


def test_a_lost_link_costs_its_own_requests_and_the_unsent_go_elsewhere() -> None:
    stage = Stage()
    other = stage.another()
    stage.says("a", b"a\n")
    stage.says("b", b"b\n")
    stage.sent()
    stage.sent(other)
    stage.says("c", b"encrypt:c\n")
    assert stage.lane.box.first() == b"enc:Kc\n"
    stage.lost()
    assert stage.relay.grace_until is None
    assert [stage.hears(name) for name in "abc"] == [b"con_lost\n", b"", b""]
    assert stage.sent(other) == b"enc:Lc\n"
    stage.link(b"B\nenc:LC\n", other)
    assert [stage.hears(name) for name in "bc"] == [b"B\n", b"C\n"]
    stage.lost(other)
    assert stage.relay.grace_until is not None


def test_what_comes_back_from_a_lost_link_keeps_the_order_of_asking() -> None:
    stage = Stage(pipeline=1)
    other = stage.another()
    for name in "ab":
        stage.says(name, name.encode() + b"\n")
        stage.now += 1
    stage.says("a", b"a2\n")
    stage.now += 1
    stage.says("c", b"c\n")
    assert stage.sent() == b"a\n"
    stage.lost(other)  # b was not sent
    assert [line for _, _, _, line in stage.relay.queue] == [b"b", b"a2", b"c"]


def test_the_limit_runs_on_each_link() -> None:
    stage = Stage(request=10.0)
    other = stage.another()
    stage.says("a", b"a\n")
    stage.later(6.0)
    stage.says("b", b"b\n")
    assert stage.later(5.0) == [b"a"]
    assert stage.relay.wake_at <= stage.now
    stage.lost()
    assert stage.later(5.1) == [b"b"]
    stage.lost(other)


def test_all_links_are_taken_up_when_the_oldest_waits_or_the_window_is_full() -> None:
    stage = Stage(spread=0.5, pipeline=2, ready=False)
    assert stage.relay.crowded_at() is None
    stage.ready(thaw=False)
    assert stage.relay.crowded_at() is None  # delayed messages first
    stage.relay.thaw(stage.now)
    assert stage.relay.crowded_at() is None
    stage.says("a", b"a\n")
    assert stage.relay.crowded_at() == stage.now + 0.5
    stage.says("b", b"b\n")
    assert stage.relay.crowded_at() == 0.0
    other = stage.another()
    assert stage.relay.crowded_at() is None
    stage.now += 0.2
    stage.says("c", b"c\n")
    assert stage.relay.crowded_at() == stage.now + 0.5
    stage.sent(other)


def test_delayed_messages_keep_to_one_link_and_wait_for_all_to_be_quiet() -> None:
    stage = Stage()
    other = stage.another()
    stage.says("a", b"a\n")
    stage.says("b", b"b\n")
    stage.relay.freeze()
    stage.sent()
    stage.link(b"A\n")
    assert not stage.quiet()
    stage.link(b"B\n", other)
    assert stage.quiet()
    for text in (b"one", b"two"):
        stage.relay.send_delayed(text, stage.now)
    used = [stage.relay.delayed_lane]
    stage.lost()
    used.append(stage.relay.delayed_lane)
    assert used == [stage.lane, None]
    stage.relay.send_delayed(b"one", stage.now)
    assert stage.sent(other).endswith(b"one\n")


def test_a_young_message_holds_back_who_came_later_on_every_link() -> None:
    stage = Stage()
    other = stage.another()
    stage.relay.freeze()
    stage.says("a", b"a\n")
    stage.now += 1
    stage.says("b", b"b\n")
    stage.relay.thaw(stage.now, hold_from=stage.now)
    assert (stage.sent(), stage.sent(other)) == (b"a\n", b"")
    stage.relay.thaw(stage.now)
    assert stage.sent(other) == b"b\n"


def test_who_asks_while_the_links_sleep_has_the_peer_dialed_and_waits_for_the_grace() -> None:
    stage = Stage(grace=2.0)
    stage.lost()
    stage.relay.sleep()
    assert stage.later(5.0) == []
    wanted = [stage.relay.link_wanted]
    stage.says("a", b"a\n")
    wanted.append(stage.relay.link_wanted)
    assert wanted == [False, True]
    assert not stage.relay.asleep
    assert stage.hears("a") == b""
    stage.ready()
    assert stage.sent() == b"a\n"
    stage.lost()
    stage.relay.sleep()
    stage.says("b", b"ping\n")
    stage.says("c", b"c\n")
    assert stage.hears("b") == b"con_lost\n"
    stage.later(2.1)
    assert stage.hears("c") == b"con_lost\n"


def test_a_full_window_lets_single_lines_wait_in_order() -> None:
    stage = Stage(pipeline=1)
    for name in "abc":
        stage.says(name, name.encode() + b"\n")
    assert stage.clients["b"].queued == 2
    stage.relay.client_gone(stage.clients["b"])
    stage.link(b"A\n")
    assert stage.sent() == b"a\nc\n"
    assert stage.clients["b"].queued == stage.clients["c"].queued == 0


def test_a_client_that_asks_too_much_at_once_is_read_again_when_its_requests_have_gone() -> None:
    stage = Stage(pipeline=1)
    for _ in range(CLIENT_QUEUE_REQUESTS + 2):
        stage.says("a", b"x\n")
    client = stage.clients["a"]
    assert client.full
    assert not stage.relay.wants_more(client)
    stage.relay.dirty.clear()
    client.dirty = False
    while stage.sent():
        stage.link(b"r\n")
    assert stage.relay.wants_more(client)
    assert client in stage.relay.dirty


def test_an_idle_link_is_spare_unless_all_others_are_taken_up() -> None:
    stage = Stage(spread=0.02)
    assert stage.relay.spare(stage.lane, stage.now)  # the only one
    other = stage.another()
    assert stage.relay.spare(other, stage.now)  # the first has nothing to do
    stage.says("a", b"a\n")
    assert stage.relay.spare(other, stage.now)  # nothing that takes long, as yet
    stage.now += 0.03
    assert not stage.relay.spare(other, stage.now)
    third = stage.another()
    assert stage.relay.spare(other, stage.now)
    assert stage.relay.spare(third, stage.now)


def test_a_line_in_pieces_goes_to_the_link_that_is_free() -> None:
    stage = Stage(limit=200_000)
    other = stage.another()
    stage.says("a", b"a\n")
    stage.says("b", b"x" * 70_000)
    stage.says("b", b"y" * 70_000 + b"\n")
    assert (stage.sent(), len(stage.sent(other))) == (b"a\n", 140_001)
    assert stage.clients["b"].queued == 0
