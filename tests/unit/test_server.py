"""lond's side: greeting, dialogue rows in any order, requests in any split, and both sides back to back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lonc.errors import CipherError, LinkProtocolError
from lonc.wire.cipher import FrameCipher, session_key
from lonc.wire.link import Link, LinkState
from lonc.wire.server import (
    COMMAND_BYTES,
    AskPong,
    Closed,
    Request,
    Send,
    ServerEvent,
    ServerInput,
    ServerSession,
    ServerState,
)

MATRIX = """
       GREETED ECHOED REFUSED EXITED
INIT   ECHO    -      CLOSED  -
ECHO   -       OPEN   CLOSED  -
OPEN   -       -      -       CLOSED
CLOSED -       -      -       -
"""
ROWS = [line.split() for line in MATRIX.strip().splitlines()]
CELLS = [
    (row[0], what, new) for row in ROWS[1:] for what, new in zip(ROWS[0], row[1:], strict=True)
]
BUILD_KEY = b"0123456789ABCDEF0123"


def make_session(*, command_limit: int = 1000) -> ServerSession:
    return ServerSession(
        [b"msul1", b"msul2"],
        b"ncsu1",
        challenge=b"1047 99",
        build_key=BUILD_KEY,
        version=b"9.9",
        command_limit=command_limit,
    )


def open_session(*, command_limit: int = 1000) -> ServerSession:
    session = make_session(command_limit=command_limit)
    assert session.receive(b"init\n1047 99\n") == [Send(b"1047 99\n"), Send(b"ok\n")]
    return session


def cipher_for(peer: bytes) -> FrameCipher:
    return FrameCipher(session_key(peer, b"ncsu1", BUILD_KEY))


def test_the_words_of_states_and_the_greatest_command() -> None:
    assert all(one.value == one.name.lower() for one in (*ServerState, *ServerInput))
    assert COMMAND_BYTES == 16 << 20


def test_the_drawing_holds_every_state_and_input() -> None:
    assert {row[0] for row in ROWS[1:]} == {state.name for state in ServerState}
    assert set(ROWS[0]) == {what.name for what in ServerInput}


@pytest.mark.parametrize(("old", "what", "new"), CELLS)
def test_every_cell_of_the_matrix(old: str, what: str, new: str) -> None:
    session = make_session()
    session.state = ServerState[old]
    if new == "-":
        with pytest.raises(LinkProtocolError, match=f"^{what} is not possible on a session in {old}$"):
            session._enter(ServerInput[what])
    else:
        session._enter(ServerInput[what])
    assert session.state is ServerState[old if new == "-" else new]


# --- greeting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [b"init", b"in it\r", b"init:ssl:3", b"init:local:/tmp/x"])
def test_every_kind_of_init_is_a_plain_one(line: bytes) -> None:
    session = make_session()
    assert session.receive(line + b"\n") == [Send(b"1047 99\n")]
    assert session.state is ServerState.ECHO


@pytest.mark.parametrize(
    "lines",
    [b"", b"ping", b"INIT", b"initial", b"1047 99", b"init\n1047 9", b"init\n", b"init\ninit",
     b"x" * 5000, b"init\n" + b"x" * 5000],
)  # fmt: skip
def test_anything_else_is_refused_and_closed(lines: bytes) -> None:
    session = make_session()
    events = session.receive(lines + b"\nping\n")
    assert events[-2:] == [Send(b"refused\n"), Closed("refused")]
    assert session.state is ServerState.CLOSED
    assert session.receive(b"init\n1047 99\n") == []


def test_an_empty_challenge_is_not_echoed_by_a_line_too_long() -> None:
    session = ServerSession([b"a"], b"b", challenge=b"", build_key=b"1", version=b"", command_limit=10)
    assert session.receive(b"init\n" + b"x" * 100 + b"\n")[-1] == Closed("refused")


# --- rows 3 to 6 ----------------------------------------------------------------------------------------


def test_rows_in_any_order_missing_repeated_and_between_requests() -> None:
    session = open_session()
    assert session.receive(b"version:lonc-1\necho:a\nekey\nversion\npong\nsethost:msul2\n\nekey\n") == [
        Send(b"version:9.9\n"),
        Request(b"echo:a", encrypted=False),
        Send(BUILD_KEY + b"\n"),
        Send(b"version:9.9\n"),
        AskPong(),
        Send(b"ok\n"),
        Request(b"", encrypted=False),
        Send(BUILD_KEY + b"\n"),
    ]


def test_the_clients_version_is_kept() -> None:
    session = open_session()
    assert session.client_version == b""
    session.receive(b"version:$Revison$\n")
    assert session.client_version == b"$Revison$"
    session.receive(b"version\n")
    assert session.client_version == b""


def test_sethost_takes_our_own_ids_only_and_chooses_the_key() -> None:
    session = open_session()
    assert session.host_id == b"msul1"
    for name in (b"ncsu1", b"", b"msul", b"msul1 "):
        assert session.receive(b"sethost:" + name + b"\n") == [Send(b"unable_to_set\n")]
    session.receive(b"ekey\n")
    assert session.answer(b"x", encrypted=True) == cipher_for(b"msul1").encode(b"x") + b"\n"
    session.receive(b"sethost:msul2\nekey\n")
    assert session.host_id == b"msul2"
    assert session.answer(b"x", encrypted=True) == cipher_for(b"msul2").encode(b"x") + b"\n"


def test_pong_is_answered_with_what_the_way_back_brought() -> None:
    session = open_session()
    session.receive(b"sethost:msul2\npong\n")
    assert session.answer_pong(b"con_lost") == b"msul2:con_lost\n"


@pytest.mark.parametrize("line", [b"ekey:x", b"pong:x", b"exit:x", b"sethost", b"init", b"enc", b"versions:1"])
def test_what_only_looks_like_a_row_is_a_request(line: bytes) -> None:
    assert open_session().receive(line + b"\n") == [Request(line, encrypted=False)]


def test_exit() -> None:
    session = open_session()
    assert session.receive(b"ping\nexit\nping\n") == [
        Request(b"ping", encrypted=False),
        Send(b"bye\n"),
        Closed("exit"),
    ]
    assert session.receive(b"ping\n") == []


# --- frames ---------------------------------------------------------------------------------------------


def test_an_encrypted_request_and_its_replies() -> None:
    session = open_session()
    session.receive(b"ekey\n")
    cipher = cipher_for(b"msul1")
    frame = cipher.encode(b"auth:msu:albert:x")
    assert session.receive(frame + b"\n") == [Request(b"auth:msu:albert:x", encrypted=True)]
    assert session.answer(b"authorized") == b"authorized\n"
    assert cipher.decode(session.answer(b"value", encrypted=True)[:-1]) == b"value"
    # a word of the dialogue inside a frame is a request like any other
    assert session.receive(cipher.encode(b"exit") + b"\n") == [Request(b"exit", encrypted=True)]


@pytest.mark.parametrize("frame", [b"enc:", b"enc:1:0", b"enc:x:00", b"enc:9:0011223344556677", b"enc:-1:"])
def test_a_frame_that_cannot_be_decoded_has_its_place_and_kills_nothing(frame: bytes) -> None:
    session = open_session()
    session.receive(b"ekey\n")
    first, second = session.receive(frame + b"\nping\n")
    with pytest.raises(CipherError) as why:
        cipher_for(b"msul1").decode(frame)
    assert first == Send(b"error: %s\n" % str(why.value).encode())
    assert second == Request(b"ping", encrypted=False)


def test_frames_without_a_key() -> None:
    session = open_session()
    frame = cipher_for(b"msul1").encode(b"ping")
    assert session.receive(frame + b"\n") == [Send(b"error:no_key\n")]
    assert session.answer(b"value", encrypted=True) == b"error:no_key\n"


def test_a_command_above_the_limit_has_its_place() -> None:
    session = open_session(command_limit=20)
    session.receive(b"ekey\n")
    cipher = cipher_for(b"msul1")
    refused = Send(b"error: request longer than 20 bytes\n")
    fits, above = b"echo:" + b"x" * 15, b"echo:" + b"x" * 16
    assert session.receive(fits + b"\n" + cipher.encode(fits) + b"\n") == [
        Request(fits, encrypted=False),
        Request(fits, encrypted=True),
    ]
    assert session.receive(above + b"\n" + cipher.encode(above) + b"\n" + b"x" * 200 + b"\nping\n") == [
        refused,
        refused,
        refused,
        Request(b"ping", encrypted=False),
    ]


def test_a_reply_is_one_line() -> None:
    with pytest.raises(LinkProtocolError, match=r"^a reply is one line$"):
        open_session().answer(b"ok\nok")


def test_no_more_is_kept_of_a_line_than_the_longest_frame_needs() -> None:
    session = open_session(command_limit=20)
    session.receive(b"x" * (2 * 20 + 32))
    assert not session._buffer.overflow
    session.receive(b"x")
    assert session._buffer.overflow


@settings(max_examples=100, deadline=None)
@given(cuts=st.lists(st.integers(0, 120), max_size=12))
def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    stream = b"init\n1047 99\nsethost:msul2\necho:a\n\nekey\npong\nversion:1\nenc:1:00\nping\nexit\n"
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    session = make_session()
    events: list[ServerEvent] = []
    for at, start in enumerate(edges[:-1]):
        events += session.receive(stream[start : edges[at + 1]])
    assert events == make_session().receive(stream)


# --- both sides back to back ------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize("peer", [b"msul1", b"msul2", b"unknown"])
def test_link_and_session_agree(step: int, peer: bytes) -> None:
    link = Link(
        b"ncsu1", peer, b"lonc-1", init_timeout_s=1, connect_timeout_s=1, pong=True, pong_delay_s=0,
        reply_limit=1000,
    )  # fmt: skip
    session = make_session()
    link.dial(0.0)
    link.connected(0.0)
    for _ in range(10):
        if link.state is LinkState.READY:
            break
        request = link.outgoing()
        link.sent(0.0)
        answer = b""
        for at in range(0, len(request), step):
            for event in session.receive(request[at : at + step]):
                match event:
                    case Send(data):
                        answer += data
                    case AskPong():
                        answer += session.answer_pong(b"ncsu1")
        for at in range(0, len(answer), step):
            link.receive(answer[at : at + step], 0.0)
    assert (link.state, link.peer_version) == (LinkState.READY, "9.9")
    if peer in session.own_ids:
        assert session.host_id == peer
        (request_event,) = session.receive(link.encrypt(b"eget:x") + b"\n")
        assert request_event == Request(b"eget:x", encrypted=True)
        assert link.decrypt(session.answer(b"value", encrypted=True)[:-1]) == b"value"
