"""What an operator does with single messages: every verb, and no message lost or doubled by a kill at any call."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lonc.delayed import DelayedQueue, Message
from lonc.delayed.claim import claim_path, claimed, is_claimed
from lonc.delayed.names import Owner
from lonc.delayed.operating import OperatingError, Operator
from lonc.delayed.sealing import Keys
from lonc.delayed.shelves import Found, NotFoundError, Place, everything, ids_of, which, word_of
from lonc.system.files import Files, SystemFiles
from tests.unit.delayed_ground import PEERS, Crash, FaultyFiles, Ground

FILES = SystemFiles()
PLACES = ("", "held", "rejected", "corrupt", "dropped")


class Desk(Ground):
    """A delayed directory with an operator at it."""

    def keys(self, files: Files = FILES) -> Keys:
        return Keys(str(self.path.parent / "lonc.keys"), files=files, clock=self.clock)

    def operator(self, files: Files = FILES) -> Operator:
        return Operator(
            str(self.path), PEERS, self.keys(files), files=files, clock=self.clock, reply_s=0.05
        )  # fmt: skip

    def all(self) -> list[Found]:
        return everything(FILES, str(self.path), PEERS)

    def one(self, said: str) -> Found:
        return which(self.all(), said)

    def contents(self) -> list[bytes]:
        """Return the content of every message anywhere."""
        found = []
        for place in PLACES:
            folder = self.path / place
            names = [name for name in os.listdir(folder) if not name.startswith(".")] if folder.is_dir() else []
            files = [folder / name for name in names if not name.endswith((".reply", ".reason"))]
            found += [path.read_bytes() for path in files if path.is_file()]
        return sorted(found)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_ids_hold_no_request_text_and_each_means_one_message(desk: Desk) -> None:
    desk.put("100.1.7.authmsuuserSecr.p1")
    desk.put("100.1.7.authmsuuserSecr.p2")
    desk.put("100.1.77.put.p1")
    (desk.path / "held").mkdir()
    desk.put("held/100.1.7.authmsuuserSecr.p1")
    desk.put("by.hand.p1")
    found = desk.all()
    ids = ids_of(found)
    assert sorted(ids.values()) == [
        "100.1.7.*.p2", "100.1.77", "by.hand.p1", "delayed/100.1.7.*.p1", "held/100.1.7.*.p1",
    ]  # fmt: skip
    assert {which(found, text) for text in ids.values()} == set(found)
    assert not any("Secr" in one.label for one in found)
    for said in ("100.1.7", "100", "nothing", "", "held/100.1.77", "100.1.7.*.p1"):
        with pytest.raises(NotFoundError):
            which(found, said)
    assert which(found, "100.1.7.authmsuuserSecr.p2").peer == "p2"
    assert which(found, "held/100").place is Place.HELD


def test_words_are_masked(desk: Desk) -> None:
    for name, content, word in (
        ("1.1.1.put.p1", b"put:msu:Secret\n", "put"),
        ("1.2.1.x.p1", b"sealed:1:abc:Secret\n", "sealed"),
        ("1.3.1.x.p1", b"encrypt:auth:Secret\n", "encrypt:auth"),
        ("1.4.1.x.p1", b"", "?"),
    ):
        desk.put(name, content)
        assert word_of(FILES, str(desk.path), desk.one(name)) == word


def test_hold_release_retry_and_drop_take_companions_along(desk: Desk) -> None:
    name = desk.name(1)
    desk.put(name, b"put:1\n")
    operator = desk.operator()
    held = operator.hold(desk.one(name))
    assert (held.place, held.name, desk.names()) == (Place.HELD, name, ["held"])
    with pytest.raises(OperatingError, match="there already"):
        operator.hold(held)
    assert operator.release(held).place is Place.DELAYED
    (desk.path / "rejected").mkdir()
    desk.put(f"rejected/{name}-2", b"put:2\n")
    desk.put(f"rejected/{name}-2.reply", b"refused\n")
    back = operator.release(desk.one("rejected/" + name))
    assert (back.peer, back.place) == ("p1", Place.DELAYED)
    assert desk.names("rejected") == []
    assert len([one for one in desk.all() if one.place is Place.DELAYED]) == 2
    desk.put(f"rejected/{name}", b"put:3\n")
    desk.put(f"rejected/{name}.reply", b"refused\n")
    operator.drop(desk.one(f"rejected/{name}"))
    assert desk.names("dropped") == [name, f"{name}.reply"]
    assert desk.contents() == [b"put:1\n", b"put:2\n", b"put:3\n"]


def test_copies_of_dropped_messages_go_after_a_week(desk: Desk) -> None:
    first, second = desk.name(1), desk.name(2)
    desk.put(first)
    desk.put(second)
    desk.operator().drop(desk.one(first))
    desk.clock.now_wall = time.time() + 6.9 * 86400
    desk.operator().drop(desk.one(second))
    assert desk.names("dropped") == sorted([first, second])
    desk.clock.now_wall = time.time() + 7.1 * 86400
    third = desk.name(3)
    desk.put(third)
    desk.operator().drop(desk.one(third))
    assert desk.names("dropped") == [third]


def test_what_can_be_no_message_is_not_sent(desk: Desk) -> None:
    (desk.path / "corrupt").mkdir()
    for name, content in (("1.1.1.a.p1", b"two\nlines\n"), ("1.2.1.a.p1", b""), ("1.3.1.a.elsewhere", b"ping\n")):
        desk.put(f"corrupt/{name}", content)
        with pytest.raises(OperatingError):
            desk.operator().release(desk.one(name))
    os.symlink("/etc/passwd", desk.path / "corrupt" / "1.4.1.a.p1")
    with pytest.raises(OperatingError, match="symbolic link"):
        desk.operator().release(desk.one("1.4.1"))
    assert desk.operator().move(desk.one("1.3.1"), "p2").name == "1.3.1.a.p2"


def test_a_sealed_message_is_sealed_for_its_new_peer(desk: Desk) -> None:
    sealed = desk.keys().seal(b"encrypt:auth:Secret", "p1")
    desk.put(desk.name(1), sealed + b"\n")
    moved = desk.operator().move(desk.one(desk.name(1)), "p2")
    assert moved.peer == "p2"
    line = desk.operator().read(moved)
    assert desk.keys().unseal(line, "p2") == b"encrypt:auth:Secret"
    message = desk.message(desk.queue("p2", keys_path=desk.keys().path), moved.name)
    assert message.line == b"encrypt:auth:Secret"
    with pytest.raises(OperatingError, match="already"):
        desk.operator().move(moved, "p2")
    with pytest.raises(OperatingError, match="not in the table"):
        desk.operator().move(moved, "nobody")


VERBS: dict[str, Callable[[Operator, Found], Found]] = {
    "hold": lambda operator, one: operator.hold(one),
    "drop": lambda operator, one: operator.drop(one),
    "move": lambda operator, one: operator.move(one, "p2"),
    "release": lambda operator, one: operator.release(one),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", [Crash(), OSError(28, "No space left on device")], ids=["kill", "error"])
def test_whatever_fails_there_is_exactly_one_of_it_and_the_next_attempt_works(
    tmp_path: Path, verb: str, fault: BaseException
) -> None:
    n = 0
    while True:
        (tmp_path / str(n)).mkdir()
        desk = Desk(tmp_path / str(n))
        name = desk.name(1)
        place = "held" if verb == "release" else ""
        (desk.path / "held").mkdir()
        desk.put(os.path.join(place, name), b"put:1\n")

        def fail(error: BaseException = fault) -> None:
            raise error

        files = FaultyFiles(n, fail)
        try:
            VERBS[verb](desk.operator(files), desk.one(name))
        except (Crash, OperatingError, OSError):
            assert files.hit, "an error without a fault"
        assert desk.contents() == [b"put:1\n"], files.calls
        (left,) = desk.all()
        with claimed(FILES, str(desk.path), "p1", Owner("p1", PEERS)):
            pass  # nothing is left locked
        if verb != "move" or left.peer == "p1":
            desk.operator().move(left, "p2")
        assert desk.contents() == [b"put:1\n"]
        if not files.hit:
            break
        n += 1
    assert n > 10


@pytest.mark.parametrize("fault", [Crash(), OSError(28, "No space left on device")], ids=["kill", "error"])
def test_a_sealed_message_is_never_lost_either(tmp_path: Path, fault: BaseException) -> None:
    n = 0
    while True:
        (tmp_path / str(n)).mkdir()
        desk = Desk(tmp_path / str(n))
        desk.put(desk.name(1), desk.keys().seal(b"encrypt:auth:Secret", "p1") + b"\n")

        def fail(error: BaseException = fault) -> None:
            raise error

        files = FaultyFiles(n, fail)
        try:
            desk.operator(files).move(desk.one(desk.name(1)), "p2")
        except (Crash, OperatingError, OSError):
            assert files.hit
        (left,) = desk.all()
        line = desk.operator().read(left)
        assert desk.operator().unsealed(line, left.peer)[0] == b"encrypt:auth:Secret"
        if not files.hit:
            assert desk.keys().unseal(line, "p2") == b"encrypt:auth:Secret"
            break
        n += 1
    assert n > 20


# --- beside a child that sends --------------------------------------------------------------------------


def _sent(desk: Desk, queue: DelayedQueue, name: str) -> Message:
    assert queue.try_lock()
    message = desk.message(queue, name)
    assert queue.sending(message)
    return message


def test_a_message_on_its_way_is_left_alone_and_others_are_not(desk: Desk) -> None:
    first, second = desk.name(1), desk.name(2)
    desk.put(first, b"put:1\n")
    desk.put(second, b"put:2\n")
    queue = desk.queue()
    message = _sent(desk, queue, first)
    with pytest.raises(OperatingError, match="in flight"):
        desk.operator().hold(desk.one(first))
    assert desk.operator().hold(desk.one(second)).place is Place.HELD
    queue.done(message)
    queue.finish()
    assert desk.names() == ["held"]


def test_a_child_sends_nothing_while_an_operator_is_there_and_goes_on_afterwards(desk: Desk) -> None:
    name = desk.name(1)
    desk.put(name)
    queue = desk.queue()
    assert queue.try_lock()
    message = desk.message(queue, name)
    with claimed(FILES, str(desk.path), "p1", Owner("p1", PEERS)):
        assert not queue.sending(message)
        queue.finish()
        assert not queue.try_lock()
    assert queue.try_lock()
    assert queue.sending(message)


def test_what_a_killed_operator_left_holds_nobody_back(desk: Desk) -> None:
    path = claim_path(str(desk.path), "p1")
    Path(path).write_bytes(b"")
    assert not is_claimed(FILES, path)
    assert not os.path.exists(path)


def test_a_message_that_may_have_been_sent_is_told(desk: Desk) -> None:
    name = desk.name(1)
    desk.put(name)
    files = FaultyFiles(-1, lambda: None)
    _sent(desk, desk.queue(files=files), name)
    files.die()
    operator = desk.operator()
    operator.hold(desk.one(name))
    assert "may have been sent" in operator.notes[0]


def test_a_file_that_was_replaced_meanwhile_is_not_moved(desk: Desk) -> None:
    name = desk.name(1)
    desk.put(name, b"put:1\n")
    one = desk.one(name)
    desk.replace_in_place(name, b"another\n")
    with pytest.raises(OperatingError, match="another content"):
        desk.operator().hold(one)
    (desk.path / name).unlink()
    with pytest.raises(OperatingError, match="not there"):
        desk.operator().hold(one)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    word=st.sampled_from([b"put", b"auth", b"encrypt:passwd", b"e"]),
    secret=st.from_regex(rb"[A-Z]{6,12}", fullmatch=True), place=st.sampled_from(PLACES),
)  # fmt: skip
def test_nothing_of_a_message_is_shown_but_its_word(desk: Desk, word: bytes, secret: bytes, place: str) -> None:
    """Also not through the name that the originals give it: the first characters of the command."""
    line = word + b":m:" + secret + b":" + secret
    name = f"{desk.past}.1.7.{re.sub(rb'[^A-Za-z0-9_]', b'', line)[:16].decode()}.p1"
    (desk.path / place).mkdir(exist_ok=True)
    path = desk.put(os.path.join(place, name), line + b"\n")
    (one,) = desk.all()
    (shown,) = ids_of([one]).values()
    told = [shown, one.label, one.masked, one.short, word_of(FILES, str(desk.path), one)]
    try:
        which(desk.all(), "other")
    except NotFoundError as error:
        told.append(str(error))
    path.unlink()
    assert not [text for text in told if secret.decode()[:3] in text]
