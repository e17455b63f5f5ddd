"""The check of a history: a good one passes, and for each rule a spoiled one is found."""

from __future__ import annotations

import pytest

from tests.history.checker import Checker
from tests.history.model import (
    Asked,
    Closed,
    Executed,
    Fault,
    Got,
    Left,
    Passed,
    Record,
    Stored,
    Unsent,
    Where,
)  # fmt: skip

A, B = Where("a", 1, "p1"), Where("b", 1, "p1")
FAR = Where("c", 1, "p2")


def messages(*numbers: int, link: str = "1.1", peer: str = "p1") -> list[Record]:
    """Return executions of messages of these numbers."""
    return [Executed(1.0, peer, f"m.{peer}.{number}", link) for number in numbers]


def stored(count: int, peer: str = "p1") -> list[Record]:
    """Return so many stored messages."""
    return [Stored(peer, f"m.{peer}.{number}") for number in range(count)]


def asked(where: Where, token: str, reply: str | None = None) -> list[Record]:
    """Return a request that was executed and answered; reply: what came instead of its own token."""
    done = Executed(1.0, where.peer, token, "1.1")
    return [Asked(1.0, where, token), done, Got(2.0, where, token if reply is None else reply)]


KILL = Fault(5.0, "child", ("p1",))
GOOD: list[Record] = [
    *stored(3), *messages(0), KILL, *messages(0, 1, link="1.2"), *messages(2, link="1.2"),
    *stored(1, "p2"), *messages(0, peer="p2"), *asked(A, "t1"), *asked(B, "t2"), *asked(A, "t3", "con_lost"),
    Asked(3.0, A, "t4"), Asked(3.0, A, "t5"), Got(4.0, A, "t4"), Executed(3.5, "p1", "t4", "1.2"), Unsent(A, "t5"),
    Asked(4.5, A, "t6"), KILL, Closed(6.0, A), Asked(7.0, FAR, "t7"), Left(FAR), Asked(8.0, B, "t8"),
    Got(8.5, B, "con_lost"), Closed(9.0, B),
]  # fmt: skip


def check(records: list[Record]) -> list[str]:
    """Return the violations of a whole history."""
    checker = Checker()
    checker.feed(records)
    return checker.finish()


def test_a_good_history_passes() -> None:
    checker = Checker()
    checker.feed(GOOD)
    assert checker.finish() == []
    assert (checker.count, checker.waiting, checker.doubles, checker.faults) == (0, 0, 1, 2)
    assert str(checker) == (
        "4 messages, 0 waiting, 1 twice; 8 requests, 3 answered, 2 con_lost, 1 closed; 0 violations"
    )


SPOILED: dict[str, tuple[list[Record], str]] = {
    "lost": ([*stored(2), *messages(0)], "message m.p1.1 was stored and never executed"),
    "lost, the last of a peer": (stored(1), "message m.p1.0 was stored and never executed"),
    "twice without a fault": ([*stored(1), *messages(0, 0)], "message m.p1.0 came twice: 1 doubles, 0 faults"),
    "twice on one link": ([*stored(1), KILL, *messages(0, 0)], "m.p1.0 came again on link 1.1"),
    "twice on the next link": (
        [*stored(1), KILL, KILL, *messages(0), *messages(0, 0, link="1.2")], "m.p1.0 came again on link 1.2"),
    "three times for one kill": ([*stored(1), KILL, *messages(0, 0, 0)], "2 doubles, 1 faults"),
    "twice for a fault of another": (
        [*stored(1), Fault(1.0, "lond", ("p2",)), *messages(0, 0)], "message m.p1.0 came twice"),
    "out of order": ([*stored(2), *messages(1, 0)], "message m.p1.1 was executed before m.p1.0"),
    "an old one again": ([*stored(2), KILL, *messages(0, 1, 0)], "m.p1.0 came again after m.p1.1"),
    "two senders": (
        [*stored(3), *messages(0), *messages(1, link="1.2"), *messages(2)],
        "message m.p1.2 came on link 1.1 after 1.2 had taken over"),
    "never stored": ([*stored(1), *messages(0, 1)], "executed message m.p1.1, which was never stored"),
    "at the wrong peer": (
        [*stored(1), *messages(0), Executed(1.0, "p2", "m.p1.0", "1.1")], "p2: executed message m.p1.0"),
    "garbled": (
        [*stored(1), *messages(0), Executed(1.0, "p1", "m.p1.x", "1.1")], "m.p1.x, which was never stored"),
    "never asked for": ([Executed(1.0, "p1", "t9", "1.1")], "'t9' was executed, which nobody asked for"),
    "executed twice": ([*asked(A, "t1"), Executed(2.0, "p1", "t1", "1.1")], "request t1 was executed twice"),
    "executed by another peer": (
        [Asked(1.0, A, "t1"), Executed(1.0, "p2", "t1", "1.1"), Got(2.0, A, "con_lost")], "t1 was executed by p2"),
    "answered and not executed": ([Asked(1.0, A, "t1"), Got(1.0, A, "t1")], "t1 was answered and never executed"),
    "no reply": ([Asked(1.0, A, "t1")], "request t1 was never answered"),
    "no reply to the second": ([*asked(A, "t1"), Asked(1.0, A, "t2")], "request t2 was never answered"),
    "a reply too many": ([*asked(A, "t1"), Got(3.0, A, "t1")], "a line that nobody asked for: 't1'"),
    "con_lost besides": ([*asked(A, "t1"), Got(3.0, A, "con_lost")], "a line that nobody asked for: 'con_lost'"),
    "another client's reply": (
        [Asked(1.0, B, "t2"), *asked(A, "t1", "t2"), Got(2.0, B, "con_lost")],
        f"the reply to t1 was t2, that of {B} to another request"),
    "an earlier client's reply": (
        [*asked(B, "t2"), *asked(A, "t1", "t2")], f"the reply to t1 was t2, that of {B} to another request"),
    "its replies in the wrong order": (
        [Asked(1.0, A, "t1"), Asked(1.0, A, "t2"), Got(2.0, A, "t2")],
        "the reply to t1 was t2, its own to another"),
    "garbage": (asked(A, "t1", "t"), "'t' in reply to t1, which nobody asked for"),
    "closed for nothing": (
        [KILL, Asked(11.0, A, "t1"), Closed(12.5, A)],
        "closed 1.5 s after t1 was asked, without a reply and a reason"),
    "closed by a fault that closes nothing": (
        [Asked(1.0, A, "t1"), Fault(1.0, "link", ("p1",)), Closed(2.0, A)], "without a reply and a reason"),
    "twice for a fault that doubles nothing": (
        [*stored(1), Fault(1.0, "table", ("p1",)), *messages(0, 0)], "message m.p1.0 came twice"),
    "closed by a fault elsewhere": (
        [Asked(1.0, A, "t1"), Fault(1.0, "child", ("p2",)), Closed(2.0, A)], "without a reply and a reason"),
    "a token twice": ([*asked(A, "t1"), *asked(B, "t1")], "token t1 was used twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(SPOILED))
def test_a_spoiled_history_is_found(name: str) -> None:
    records, said = SPOILED[name]
    found = check(records)
    assert any(said in sentence for sentence in found), found


@pytest.mark.parametrize("name", list(SPOILED))
def test_it_is_found_among_much_that_is_right(name: str) -> None:
    """What is right before and behind it, for other peers and clients, hides nothing."""
    records, said = SPOILED[name]
    far = [*stored(2, "p8"), *messages(0, 1, peer="p8"), *asked(Where("z", 1, "p8"), "z1")]
    behind = asked(Where("z", 2, "p8"), "z2")
    found = check([*far, *records, *behind])
    assert any(said in sentence for sentence in found), found


def test_a_message_that_was_passed_over_may_come_later_and_once_more() -> None:
    kills = [KILL] * 3
    assert check([*stored(3), Passed("p1", "m.p1.0"), *messages(1, 2, 0)]) == []
    thrice = [*messages(0), *messages(0, link="1.2"), *messages(0, link="1.3")]
    behind = [*messages(1, 0, link="1.4")]
    assert check([*stored(2), *kills, *thrice, Passed("p1", "m.p1.0"), *behind]) == []
    assert check([*stored(2), Passed("p1", "m.p1.0"), *messages(1)]) == [
        "p1: message m.p1.0 was stored and never executed"
    ]
    assert "came twice" in check([*stored(2), Passed("p1", "m.p1.0"), *messages(1, 0, 0)])[0]


def test_a_client_that_left_or_could_not_write_is_owed_nothing() -> None:
    assert check([Asked(1.0, A, "t1"), Left(A)]) == []
    assert check([Asked(1.0, A, "t1"), Unsent(A, "t1")]) == []
    assert check([Left(A), Unsent(A, "t1"), Closed(1.0, A)]) == []
    # an execution behind that is known all the same
    assert check([Asked(1.0, A, "t1"), Left(A), Executed(2.0, "p1", "t1", "1.1")]) == []


def test_memory_is_bounded_and_nothing_is_forgotten_that_is_still_open() -> None:
    checker = Checker(remember=100)
    checker.feed([Asked(0.0, B, "first")])
    for number in range(5000):
        checker.feed([*asked(A, f"t{number}"), Stored("p1", f"m.p1.{number}"), *messages(number)])
    assert checker.requests.remembered <= 101
    assert checker.requests.owed == 1
    checker.feed([Executed(1.0, "p1", "first", "1.1"), Got(1.0, B, "first")])
    assert checker.finish() == []


def test_violations_are_counted_beyond_those_that_are_kept() -> None:
    checker = Checker()
    checker.feed(Got(1.0, A, str(number)) for number in range(200))
    assert (checker.count, len(checker.finish())) == (200, 50)
    assert "200 violations" in str(checker)


def test_the_token_of_the_next_message() -> None:
    checker = Checker()
    assert checker.messages("p1").next == "m.p1.0"
    checker.feed(stored(1))
    assert checker.messages("p1").next == "m.p1.1"
