"""The opening dialogue byte for byte: what is sent, what each answer leads to, and what is out of step."""

from __future__ import annotations

import pytest

from lonc import __version__
from lonc.errors import LinkProtocolError
from lonc.wire.link import ANSWER_BYTES, LinkEvent, LinkState, Lost, LostReason, Note, Ready
from tests.unit.links import ANSWERS, BUILD_KEY, link_in, make_link, say, talk, without_moves

# --- the dialogue ---------------------------------------------------------------------------------------

# What lonc 1.53 sends, what lond answers, and loncnew's status word before and after each request is out.
GOLDEN = [
    (b"init\n", b"challenge 42\n", "Connected", "Initialized"),
    (b"challenge 42\n", b"ok\n", "ChallengeReceived", "ChallengeReplied"),
    (b"sethost:msul1\n", b"ok\n", "SetHost", "HostSet"),
    (b"version:lonc-1.0.0\n", b"version:1.42\n", "RequestingVersion", "ReadingVersionString"),
    (b"pong\n", b"msul1:ncsu1\n", "RequestingPong", "ReceivingPong"),
    (b"ekey\n", BUILD_KEY + b"\n", "RequestingKey", "ReceivingKey"),
]


@pytest.mark.parametrize("pong", [True, False])
@pytest.mark.parametrize("one_byte_at_a_time", [False, True])
def test_golden_transcript(pong: bool, one_byte_at_a_time: bool) -> None:
    link = make_link(pong=pong)
    assert link.step == "Disconnected"
    link.dial(0.0)
    assert link.step == "Connecting"
    events = link.connected(0.0)
    for request, answer, sending, waiting in GOLDEN:
        if request == b"pong\n" and not pong:
            continue
        assert link.step == sending
        assert link.outgoing() == request.replace(b"1.0.0", __version__.encode())
        assert link.outgoing() == b""
        link.sent(0.0)
        assert link.step == waiting
        pieces = [bytes([byte]) for byte in answer] if one_byte_at_a_time else [answer]
        for piece in pieces:
            events += link.receive(piece, 0.0)
    told: list[LinkEvent] = [Note("Pong reply: >msul1:ncsu1<")] if pong else []
    assert without_moves(events) == [*told, Note("Secure connection initialized"), Ready("1.42")]
    assert (link.step, link.outgoing(), link.next_deadline()) == ("Idle", b"", None)


@pytest.mark.parametrize("answer", [b"refused", b"bye"])
def test_a_peer_that_does_not_know_us(answer: bytes) -> None:
    events = talk(make_link(), answer)
    assert events[-1] == Lost(LostReason.REFUSED, f"Init reply: >{answer.decode()}<")


@pytest.mark.parametrize(
    "challenge",
    [b"", b"ok", b"refused ", b"con_lost", bytes(range(256)).replace(b"\n", b""), b"x" * ANSWER_BYTES],
)
def test_any_challenge_is_echoed_byte_for_byte(challenge: bytes) -> None:
    link = make_link()
    link.dial(0.0)
    link.connected(0.0)
    assert say(link) == b"init\n"
    for at in range(0, len(challenge), 50_000):
        assert link.receive(challenge[at : at + 50_000], 0.0) == []
    assert link.receive(b"\n", 0.0) == []
    assert link.outgoing() == challenge + b"\n"


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("known", range(6))
def test_an_answer_without_end_is_not_kept(known: int, end: bytes) -> None:
    link = make_link()
    talk(link, *ANSWERS[:known])
    events = link.receive(b"x" * (ANSWER_BYTES + 1) + end, 0.0)
    assert events[-1] == Lost(LostReason.TOO_LONG, "an answer of more than 65536 bytes")


@pytest.mark.parametrize("answer", [b"", b"OK", b"ok ", b"ok\r", b"refused", b"no\x1b\xff"])
def test_a_wrong_echo(answer: bytes) -> None:
    events = talk(make_link(), ANSWERS[0], answer)
    shown = answer.decode("utf-8", "backslashreplace")
    assert events[-1] == Lost(LostReason.INIT_FAILED, f"Init reply: >{shown}<")


@pytest.mark.parametrize(
    ("row", "answer", "note"),
    [
        (2, b"unknown_cmd", Note("Sethost reply: >unknown_cmd<", warning=True)),
        (2, b"", Note("Sethost reply: ><", warning=True)),
        (3, b"unknown_cmd", Note("Version reply: >unknown_cmd<", warning=True)),
        (3, b"version", Note("Version reply: >version<", warning=True)),
        (3, b"", Note("Version reply: ><", warning=True)),
        (4, b"msul1:con_lost", Note("Pong reply: >msul1:con_lost<")),
        (4, b"unknown_cmd", Note("Pong reply: >unknown_cmd<")),
        (4, b"", Note("Pong reply: ><")),
    ],
)
def test_answers_that_are_told_and_do_not_matter(row: int, answer: bytes, note: Note) -> None:
    link = make_link()
    events = talk(link, *ANSWERS[:row], answer, *ANSWERS[row + 1 :])
    assert note in events
    assert link.state is LinkState.READY


def test_a_text_of_the_peers_is_bounded_where_it_is_told() -> None:
    whole = talk(make_link(), ANSWERS[0], b"x" * 200)
    assert whole[-1] == Lost(LostReason.INIT_FAILED, f"Init reply: >{'x' * 200}<")
    for text in (b"x" * 5000, b"\xff" * 150):
        events = talk(make_link(), ANSWERS[0], text)
        assert isinstance(events[-1], Lost)
        assert len(events[-1].detail) == len("Init reply: ><") + 200 + 3
        assert events[-1].detail.endswith("...<")


@pytest.mark.parametrize(
    ("answer", "version", "remark"),
    [(b"version:", "", ""), (b"version:2.11", "2.11", ""), (b"version:a-1:tls=1:x", "a-1", "tls=1:x")],
)
def test_the_version_ends_at_the_next_colon(answer: bytes, version: str, remark: str) -> None:
    link = make_link()
    events = talk(link, *ANSWERS[:3], answer, *ANSWERS[4:])
    assert events[-1] == Ready(version)
    assert (link.peer_version, link.peer_remark) == (version, remark)


@pytest.mark.parametrize("answer", [b"", b"refused", b"unknown_cmd", b"error: no", b"01 23", b"\xb2", b"0123\r"])
def test_what_is_no_build_key_makes_no_link(answer: bytes) -> None:
    events = talk(make_link(), *ANSWERS[:5], answer)
    assert events[-1] == Lost(LostReason.NO_KEY, f"no build key, {len(answer)} bytes instead")


# --- out of step ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", range(6))
def test_two_answers_in_one_read_end_the_link(known: int) -> None:
    for extra in (b"\n", b"x\n", b"x"):
        link = make_link()
        talk(link, *ANSWERS[:known])
        events = link.receive(ANSWERS[known] + b"\n" + extra, 0.0)
        assert events[-1] == Lost(LostReason.OUT_OF_STEP, f"more than one answer ({GOLDEN[known][3]})")
        assert not any(isinstance(event, Ready) for event in events)


def test_refused_is_told_though_more_follows() -> None:
    events = talk(make_link(), b"refused\nbye")
    assert events[-1] == Lost(LostReason.REFUSED, "Init reply: >refused<")


@pytest.mark.parametrize("known", range(6))
@pytest.mark.parametrize("taken", [False, True])
def test_a_byte_before_the_request_is_out_ends_the_link(known: int, taken: bool) -> None:
    link = make_link()
    link.dial(0.0)
    link.connected(0.0)
    for answer in ANSWERS[:known]:
        say(link)
        link.receive(answer + b"\n", 0.0)
    if taken:
        link.outgoing()
    events = link.receive(b"o", 0.0)
    assert events[-1] == Lost(LostReason.OUT_OF_STEP, f"the peer spoke unasked ({GOLDEN[known][2]})")


@pytest.mark.parametrize("state", ["GREETING", "KEYING"])
def test_end_of_file_in_the_dialogue(state: str) -> None:
    link = link_in(state)
    step = link.step
    assert link.receive(b"", 0.0)[-1] == Lost(LostReason.EOF, f"connection closed by the peer ({step})")
    assert link.state is LinkState.DOWN


@pytest.mark.parametrize("state", ["DOWN", "CONNECTING", "READY"])
def test_dialogue_bytes_where_there_is_no_dialogue(state: str) -> None:
    link = link_in(state)
    with pytest.raises(LinkProtocolError, match=f"a {state} link has no dialogue"):
        link.receive(b"x\n", 0.0)
    assert link.state.name == state
