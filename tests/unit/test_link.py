"""The link: its whole matrix of states, time limits, READY, and every way it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lonc.errors import CipherError, LinkProtocolError
from lonc.wire.cipher import FrameCipher, session_key
from lonc.wire.dialogue import Talk
from lonc.wire.drawing import state_diagram
from lonc.wire.link import (
    ANSWER_BYTES,
    TRANSITIONS,
    Farewell,
    Link,
    LinkEvent,
    LinkInput,
    LinkState,
    Lost,
    LostReason,
    Moved,
    Note,
)
from tests.unit.links import ANSWERS, BUILD_KEY, link_in, make_link, say, talk

# The matrix as a drawing, written without looking at the table; "-" must raise and leave the state alone.
MATRIX = """
           DIAL       CONNECTED GREETED KEYED CLOSE   LOST
DOWN       CONNECTING -         -       -     -       -
CONNECTING -          GREETING  -       -     -       DOWN
GREETING   -          -         KEYING  -     -       DOWN
KEYING     -          -         -       READY -       DOWN
READY      -          -         -       -     CLOSING DOWN
CLOSING    -          -         -       -     -       DOWN
"""
ROWS = [line.split() for line in MATRIX.strip().splitlines()]
CELLS = [
    (row[0], what, new) for row in ROWS[1:] for what, new in zip(ROWS[0], row[1:], strict=True)
]


# --- states -------------------------------------------------------------------------------------------


def test_the_drawing_holds_every_state_and_input() -> None:
    assert {row[0] for row in ROWS[1:]} == {state.name for state in LinkState}
    assert set(ROWS[0]) == {what.name for what in LinkInput}


@pytest.mark.parametrize(("old", "what", "new"), CELLS)
def test_every_cell_of_the_matrix(old: str, what: str, new: str) -> None:
    link = link_in(old)
    if new == "-":
        with pytest.raises(LinkProtocolError, match=f"{what} is not possible on a {old} link"):
            link._enter(LinkInput[what])
        assert link.state is LinkState[old]
    else:
        assert link._enter(LinkInput[what]) == Moved(LinkState[old], LinkState[new])
        assert link.state is LinkState[new]


CALLS: dict[str, Callable[[Link], object]] = {
    "DIAL": lambda link: link.dial(0.0),
    "CONNECTED": lambda link: link.connected(0.0),
    "CLOSE": lambda link: link.close(0.0),
    "LOST": lambda link: link.lost("reset", "", 0.0),
}


@pytest.mark.parametrize(("old", "what", "new"), [cell for cell in CELLS if cell[1] in CALLS])
def test_every_call_in_every_state(old: str, what: str, new: str) -> None:
    link = link_in(old)
    before = (link.step, link.next_deadline(), link._due, link.peer_version)
    if new == "-":
        with pytest.raises(LinkProtocolError):
            CALLS[what](link)
        assert (link.step, link.next_deadline(), link._due, link.peer_version) == before
    else:
        CALLS[what](link)
    assert link.state.name == (old if new == "-" else new)


def test_the_whole_way_is_told() -> None:
    link = make_link()
    events = link.dial(0.0) + link.connected(0.0)
    for answer in ANSWERS:
        say(link)
        events += link.receive(answer + b"\n", 0.0)
    events += link.close(0.0)
    events += link.receive(b"bye\n", 0.0)
    path = [event.new.name for event in events if isinstance(event, Moved)]
    assert path == ["CONNECTING", "GREETING", "KEYING", "READY", "CLOSING", "DOWN"]


def test_the_diagram_is_the_table() -> None:
    text = state_diagram(TRANSITIONS, LinkState.DOWN)
    assert text.startswith("stateDiagram-v2\n    [*] --> DOWN\n    DOWN --> CONNECTING: DIAL\n")
    drawn = {line.strip() for line in text.splitlines()[2:]}
    assert drawn == {f"{old} --> {new}: {what}" for old, what, new in CELLS if new != "-"}


def test_the_words_of_states_and_reasons() -> None:
    assert all(one.value == one.name.lower() for one in (*LinkState, *LinkInput))
    reasons = {name: word for name, word in vars(LostReason).items() if name.isupper()}
    assert reasons == {name: name.lower() for name in reasons}
    assert len(reasons) == 7


def test_nothing_is_known_of_the_peer_at_first() -> None:
    assert Talk(b"a", b"b", b"c") == Talk(b"a", b"b", b"c", b"", b"", "", "")
    assert make_link().peer_remark == ""
    assert Note("text") == Note("text", warning=False)


def test_arrows_between_the_same_states_share_a_line() -> None:
    table = {
        (LinkState.DOWN, LinkInput.DIAL): LinkState.READY,
        (LinkState.DOWN, LinkInput.KEYED): LinkState.READY,
    }
    assert "    DOWN --> READY: DIAL, KEYED\n" in state_diagram(table, LinkState.DOWN)


# --- time -----------------------------------------------------------------------------------------------


def test_the_connect_has_its_own_limit() -> None:
    link = make_link()
    link.dial(100.0)
    assert link.next_deadline() == 105.0
    assert link.tick(104.9) == []
    assert link.tick(105.0)[-1] == Lost(LostReason.TIMEOUT, "no connection within 5 s")
    assert link.next_deadline() is None
    assert link.tick(1000.0) == []


@pytest.mark.parametrize("known", range(6))
def test_each_request_has_a_limit_to_be_sent_and_one_to_be_answered(known: int) -> None:
    for is_sent in (False, True):
        link = make_link()
        link.dial(0.0)
        link.connected(7.0)
        for answer in ANSWERS[:known]:
            say(link, 7.0)
            link.receive(answer + b"\n", 7.0)
        assert link.next_deadline() == 67.0
        link.outgoing()
        assert link.next_deadline() == 67.0
        if is_sent:
            link.sent(50.0)
            link.sent(60.0)  # saying it again gives the peer no more time
            assert link.receive(b"x", 100.0) == []  # nor does a slow drip
        limit = 110.0 if is_sent else 67.0
        step = link.step
        assert link.next_deadline() == limit
        assert link.tick(limit - 0.1) == []
        assert link.tick(limit)[-1] == Lost(LostReason.TIMEOUT, f"Timed out during init ({step})")


def test_sent_means_nothing_before_anything_was_taken() -> None:
    link = make_link()
    link.dial(0.0)
    link.connected(0.0)
    link.sent(5.0)
    assert (link.step, link.next_deadline()) == ("Connected", 60.0)


@pytest.mark.parametrize("state", ["DOWN", "CONNECTING", "READY"])
def test_sent_means_nothing_where_nothing_is_to_be_sent(state: str) -> None:
    link = link_in(state)
    before = link.next_deadline()
    link.sent(5.0)
    assert link.next_deadline() == before
    if state != "DOWN":
        link.lost("reset", "", 6.0)
    link.sent(7.0)
    assert link.next_deadline() is None


def test_a_short_pause_is_a_pause() -> None:
    link = make_link(pong_delay_s=0.5)
    talk(link, *ANSWERS[:4])
    assert (link.outgoing(), link.next_deadline()) == (b"", 0.5)
    link.tick(0.5)
    assert say(link, 1.0) == b"pong\n"
    assert isinstance(link.tick(61.0)[-1], Lost)  # there is but one pause


def test_the_pause_before_pong() -> None:
    link = make_link(pong_delay_s=5.0)
    talk(link, *ANSWERS[:4])
    assert link.outgoing() == b""
    assert link.next_deadline() == 5.0
    assert link.tick(4.9) == []
    assert link.outgoing() == b""
    assert link.tick(5.0) == []
    assert link.next_deadline() == 65.0
    assert say(link, 6.0) == b"pong\n"
    link.receive(b"msul1:ncsu1\n", 7.0)
    assert say(link, 7.0) == b"ekey\n"


def test_a_byte_during_the_pause_ends_the_link() -> None:
    link = make_link(pong_delay_s=5.0)
    talk(link, *ANSWERS[:4])
    assert isinstance(link.receive(b"\n", 1.0)[-1], Lost)


# --- READY ----------------------------------------------------------------------------------------------


def test_replies_come_out_whole_and_one_too_long_is_none() -> None:
    link = make_link(reply_limit=4)
    talk(link, *ANSWERS)
    assert link.replies(b"ok\n") == [b"ok"]
    assert link.replies(b"a\nb") == [b"a"]
    assert link.reply_buffer.size == 1
    assert link.replies(b"\nlonger\nc\n") == [b"b", None, b"c"]


def test_frames_use_the_key_of_this_connection() -> None:
    link = make_link()
    talk(link, *ANSWERS)
    cipher = FrameCipher(session_key(b"msul1", b"ncsu1", BUILD_KEY))
    assert link.encrypt(b"auth:msu:albert:x") == cipher.encode(b"auth:msu:albert:x")
    assert link.decrypt(cipher.encode(b"authorized")) == b"authorized"
    with pytest.raises(CipherError):
        link.decrypt(b"enc:1:zz")
    link.lost("reset", "", 0.0)
    talk(link, *ANSWERS[:5], b"ABCDEF")
    other = FrameCipher(session_key(b"msul1", b"ncsu1", b"ABCDEF"))
    assert link.encrypt(b"x") == other.encode(b"x")


def test_the_build_key_is_not_kept_longer_than_it_is_needed() -> None:
    assert link_in("KEYING")._talk.build_key == link_in("READY")._talk.build_key == b""


@pytest.mark.parametrize("state", ["DOWN", "CONNECTING", "GREETING", "KEYING", "CLOSING"])
def test_replies_are_for_a_ready_link(state: str) -> None:
    with pytest.raises(LinkProtocolError, match=r"^replies are read on a READY link only$"):
        link_in(state).replies(b"ok\n")


@pytest.mark.parametrize("state", ["DOWN", "CONNECTING", "GREETING", "KEYING"])
def test_nothing_of_ready_before_ready(state: str) -> None:
    link = link_in(state)
    with pytest.raises(LinkProtocolError, match=r"^there is no key before the link is READY$"):
        link.encrypt(b"x")
    with pytest.raises(LinkProtocolError):
        link.decrypt(b"enc:0:")


def test_a_lost_link_can_be_dialed_again_and_remembers_nothing() -> None:
    link = make_link()
    talk(link, *ANSWERS)
    link.replies(b"half a rep")
    assert link.lost("reset", "Connection reset by peer", 0.0) == [
        Moved(LinkState.READY, LinkState.DOWN),
        Lost("reset", "Connection reset by peer"),
    ]
    assert (link.peer_version, link.outgoing(), link.next_deadline()) == ("", b"", None)
    with pytest.raises(LinkProtocolError):
        link.replies(b"ly\n")
    talk(link, *ANSWERS)
    assert link.replies(b"ok\n") == [b"ok"]


# --- the end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "text"),
    [(b"bye\n", "bye"), (b"\n", ""), (b"ok\nbye\nx", "ok"), (b"x" * (ANSWER_BYTES + 1), ""),
     (b"x" * (ANSWER_BYTES + 1) + b"\n", "")],
)  # fmt: skip
def test_exit_and_its_answer(answer: bytes, text: str) -> None:
    link = link_in("READY")
    link.close(10.0)
    assert (link.step, link.next_deadline()) == ("Closing", 70.0)
    assert say(link, 11.0) == b"exit\n"
    assert link.next_deadline() == 71.0
    assert link.receive(answer, 12.0) == [Moved(LinkState.CLOSING, LinkState.DOWN), Farewell(text)]


def test_the_answer_to_exit_may_come_in_pieces() -> None:
    link = link_in("CLOSING")
    assert link.receive(b"by", 0.0) == []
    assert link.receive(b"e\n", 0.0)[-1] == Farewell("bye")


def test_a_closing_link_that_is_lost_or_late_has_said_its_farewell() -> None:
    ends: list[Callable[[Link], list[LinkEvent]]] = [
        lambda link: link.receive(b"", 0.0),
        lambda link: link.lost("reset", "", 0.0),
        lambda link: link.tick(60.0),
    ]
    for end in ends:
        link = link_in("CLOSING")
        assert end(link) == [Moved(LinkState.CLOSING, LinkState.DOWN), Farewell("")]


def test_half_a_reply_is_not_taken_for_the_answer_to_exit() -> None:
    link = link_in("READY")
    link.replies(b"half")
    link.close(0.0)
    assert link.receive(b"bye\n", 0.0)[-1] == Farewell("bye")
