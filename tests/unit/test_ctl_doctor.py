"""What the answers of a peer mean to `loncctl doctor`, and that nothing of it waits longer than its limit."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from lonc.cli.ctl.doctor import names, verdicts, web
from lonc.cli.ctl.doctor.aside import Aside
from lonc.cli.ctl.doctor.steps import Report, Step, Verdict, quoted, reason
from lonc.cli.ctl.doctor.talk import NAMES, Heard
from lonc.cli.ctl.doctor.verdicts import Ends
from lonc.config import Host
from lonc.wire.link import DIALOGUE, Lost, LostReason

ENDS = Ends("msul1", "own1", "10.0.0.1", 15.0)
HOST = Host("msul1", "msu", "library", "peer.example", "")


def test_every_row_of_the_dialogue_has_its_words() -> None:
    assert len(NAMES) == len(DIALOGUE)
    reasons = [value for name, value in vars(LostReason).items() if name.isupper()]
    for name in NAMES:
        for why in (*reasons, "socket_error", "something new"):
            step = verdicts.judge(Heard(name, 0.1, b"x", Lost(why, "the detail")), ENDS)
            assert step.verdict is Verdict.BAD
            assert step.text
            assert step.remedy


def test_a_slow_step_is_a_warning_and_pong_has_a_reason_of_its_own() -> None:
    slow = verdicts.judge(Heard("version", 3.0, b"version:1", None), ENDS)
    assert slow.verdict is Verdict.WARNING
    assert "but slowly" in slow.text
    assert "asks back" in verdicts.judge(Heard("pong", 3.0, b"msul1:own1", None), ENDS).remedy


@pytest.mark.parametrize(
    ("answers", "verdict", "said"),
    [
        ([b"msul1:own1"], Verdict.OK, "open"),
        ([b"msul1:con_lost", b"msul1:own1"], Verdict.OK, "open"),
        ([b"msul1:con_lost"], Verdict.BAD, "has no link to us (con_lost):"),
        ([b"msul1:con_lost", b"msul1:con_lost"], Verdict.BAD, "also when asked again"),
        ([b"msul1:"], Verdict.BAD, "got nothing"),
        ([b"msul1:no_such_host"], Verdict.BAD, "got 'no_such_host'"),
        ([b"msul1:error: x"], Verdict.BAD, "got 'error: x'"),
        ([b"msul1:refused"], Verdict.BAD, "got 'refused'"),
        ([b"msul1:own2"], Verdict.WARNING, "which is not our id own1"),
        ([b"unknown_cmd"], Verdict.WARNING, "it does not tell"),
        ([b"msul10:own1"], Verdict.WARNING, "it does not tell"),
        ([b""], Verdict.WARNING, "it does not tell: nothing"),
    ],
)
def test_each_answer_to_pong_is_explained(answers: list[bytes], verdict: Verdict, said: str) -> None:
    step = verdicts.way_back_step(answers, ENDS)
    assert (step.verdict, said in step.text) == (verdict, True), step
    assert bool(step.remedy) == (verdict is not Verdict.OK)


@pytest.mark.parametrize(
    ("own", "verdict", "said"),
    [("own1", Verdict.OK, "23 of its"), ("o" * 26, Verdict.OK, "1 of its"), ("o" * 27, Verdict.WARNING, "same")],
)
def test_ids_of_32_characters_make_the_key_constant(own: str, verdict: Verdict, said: str) -> None:
    step = verdicts.key_step("msul1", own)
    assert step.verdict is verdict
    assert said in step.text
    assert "hides nothing" in step.text


@pytest.mark.parametrize(
    ("page", "known", "verdict", "said"),
    [
        (web.Page(200, "own1", "", None), True, Verdict.OK, "ok:"),
        (web.Page(200, " own1 \r", "", None), True, Verdict.OK, "ok:"),
        (web.Page(200, "con_lost", "", None), True, Verdict.BAD, "no link to own1"),
        (web.Page(200, "no_such_host", "", None), True, Verdict.BAD, "nobody knows own1"),
        (web.Page(200, "remote_unknown", "", None), False, Verdict.BAD, "nobody knows own1"),
        (web.Page(200, "", "", None), True, Verdict.WARNING, "empty"),
        (web.Page(200, "<!DOCTYPE html>", "", None), True, Verdict.WARNING, "HTML"),
        (web.Page(200, "\x1b[2Jx", "", None), True, Verdict.WARNING, "\\x1b[2Jx"),
        (web.Page(302, "", "https://x", None), True, Verdict.WARNING, "https://x"),
        (web.Page(500, "", "", None), True, Verdict.WARNING, "500 Internal Server Error"),
        (web.Page(599, "", "", None), True, Verdict.WARNING, "599"),
    ],
)
def test_each_answer_of_the_ping_page_is_explained(
    page: web.Page, known: bool, verdict: Verdict, said: str
) -> None:
    found, text, remedy = web.explain(page, HOST, "own1", known=known)
    assert (found, said in text) == (verdict, True), text
    assert bool(remedy) == (verdict is not Verdict.OK)


@pytest.mark.parametrize(
    ("ahead_s", "verdict", "said"),
    [
        (None, Verdict.SKIPPED, "cannot be known"),
        (0.4, Verdict.OK, "agrees"),
        (-30.0, Verdict.OK, "30 s behind"),
        (90.0, Verdict.WARNING, "90 s ahead of"),
    ],
)
def test_the_clock_as_far_as_it_can_be_known(ahead_s: float | None, verdict: Verdict, said: str) -> None:
    step = web.clock_step(ahead_s, 0.1)
    assert step.verdict is verdict
    assert said in step.text


@pytest.mark.parametrize("stamp", ["", "yesterday", "Mon, 99 Foo 2000", "Sat, 01 Jan 999999 00:00:00 GMT"])
def test_a_date_that_is_none_is_no_time(stamp: str) -> None:
    assert web.ahead(stamp, 0.0) is None


def test_the_lines_of_one_id(tmp_path: Path) -> None:
    path = tmp_path / "hosts.tab"
    path.write_bytes(
        b"# msul1:x:library:a:1.2.3.4\nmsul1:msu:library:a:1.2.3.4\r\nmsul10:msu:library:a:1.1.1.1\n"
        b"msul1:msu:library:a\nmsul1:msu:library:a:\n msul1:msu:library:a:[::1] \nmsul1:msu:library:a:http:x\n"
    )
    assert names.lines_of(str(path), "msul1") == [(2, "1.2.3.4"), (6, "::1"), (7, "http")]


def test_a_call_that_hangs_is_not_waited_for() -> None:
    release = threading.Event()
    aside = Aside(lambda: release.wait(60))
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        aside.result(0.05)
    assert aside.seconds >= 0.05
    release.set()
    assert aside.result(60)


def test_the_error_of_a_call_is_that_of_who_asks() -> None:
    def fail() -> None:
        raise ValueError("the program's own")

    with pytest.raises(ValueError, match="the program's own"):
        Aside(fail).result(10)


def test_reasons_are_without_numbers() -> None:
    assert reason(socket.gaierror(-2, "Name or service not known")) == "Name or service not known"
    assert reason(ConnectionRefusedError(111, "Connection refused")) == "Connection refused"
    assert reason(TimeoutError("no answer within 1 s")) == "no answer within 1 s"
    assert reason(OSError()) == "OSError"


def test_what_the_peer_said_is_shown_printable_and_short() -> None:
    assert quoted(b"") == "nothing"
    assert quoted(b"\x1b]0;x\x07\xff") == "'\\x1b]0;x\\x07\\xff'"
    assert len(quoted(b"x" * 1000)) < 70


def test_the_last_sentence_is_about_the_first_of_the_worst() -> None:
    told: list[Step] = []
    report = Report("msul1", told.append)
    assert report.advice() == "All is well with msul1: nothing to do."
    for step in (
        Step("a", Verdict.SKIPPED, "left out"), Step("b", Verdict.WARNING, "odd", "look"),
        Step("c", Verdict.BAD, "broken", "mend it"), Step("d", Verdict.BAD, "so too", "mend that"),
    ):  # fmt: skip
        report.add(step)
    assert told == report.steps
    assert report.verdict is Verdict.BAD
    assert report.advice() == "msul1 does not work (c: broken); do: mend it."
