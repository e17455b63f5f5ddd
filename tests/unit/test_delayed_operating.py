"""Where an operator's messages come to lie: their names, their order, and for how long copies are kept."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from lonc.delayed import operating
from lonc.delayed.operating import KEEP_DROPPED_S, OperatingError
from lonc.delayed.sealing import sealed_size
from lonc.delayed.shelves import NotFoundError, Place, everything, which
from lonc.system.files import SystemFiles
from tests.unit.delayed_desk import Desk, broken, why
from tests.unit.delayed_ground import PEERS


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("name", "peer", "expected"),
    [
        ("5.6.7.put.p1", "p2", "5.6.7.put.p2"),
        ("5.6.7..a.b", "p2", "5.6.7..p2"),
        ("5.6.7.put.p1-2", "b", "5.6.7.put.b"),
        ("by-hand.p1", "p2", "90.0.0.moved.p2"),
        ("5.6.x.put.p1", "p2", "90.0.0.moved.p2"),
        ("5.6.7.put.unknown", "a.b", "5.6.7.put.a.b"),
    ],
)
def test_a_moved_message_keeps_its_place_in_the_order(desk: Desk, name: str, peer: str, expected: str) -> None:
    desk.found(name, b"put:x\n", "held")
    desk.put(f"held/{name}", b"put:x\n", age=desk.clock.now_wall - 90.5)
    one = desk.one(f"held/{name}")
    held = desk.operator.move(one, peer)
    assert (held.place, held.name, held.peer) == (Place.HELD, expected, peer)
    assert (desk.path / "held" / expected).read_bytes() == b"put:x\n"
    back = desk.operator.release(held)
    assert (back.place, back.name, back.peer, desk.names("held")) == (Place.DELAYED, expected, peer, [])
    for n in (1, 2):
        other = desk.found(name, b"put:y\n", "corrupt")
        desk.put(f"corrupt/{name}", b"put:y\n", age=desk.clock.now_wall - 90.5)
        moved = desk.operator.move(desk.one(f"corrupt/{other.name}"), peer)
        first, counter, pid, word, _ = expected.split(".", 4)
        assert moved.name == f"{first}.{counter}.{int(pid) + n}.{word}.{peer}"


def test_a_released_message_gets_its_own_name_or_that_without_its_number(desk: Desk) -> None:
    one = desk.found("5.6.7.put.p1-2", folder="rejected")
    desk.put("rejected/5.6.7.put.p1-2.reply", b"no\n")
    assert desk.operator.release(one).name == "5.6.7.put.p1"
    assert desk.names("rejected") == []
    again = desk.found("5.6.7.put.p1-3", folder="rejected")
    assert desk.operator.release(again).name == "5.6.8.put.p1"
    desk.found("by-hand.p1-2", folder="held")
    assert desk.operator.release(desk.one("held/by-hand.p1-2")).name == "by-hand.p1"


def test_names_that_are_taken_where_messages_are_put_aside(desk: Desk) -> None:
    names = []
    for _ in range(3):
        names.append(desk.operator.hold(desk.found("5.6.7.put.p1")).name)
    assert names == ["5.6.7.put.p1", "5.6.7.put.p1-2", "5.6.7.put.p1-3"]
    assert {one.peer for one in map(desk.one, (f"held/{name}" for name in names))} == {"p1"}
    assert desk.operator.drop(desk.one("held/5.6.7.put.p1-2")).name == "5.6.7.put.p1-2"
    assert desk.names("dropped") == ["5.6.7.put.p1-2"]


def test_a_stray_file_is_held_without_a_claim(desk: Desk) -> None:
    one = desk.found("stray")
    assert desk.operator.hold(one).name == "stray"
    assert sorted(os.listdir(desk.path)) == ["held"]


def test_the_reply_goes_along_to_the_dropped_and_nowhere_else(desk: Desk) -> None:
    for name in ("1.1.1.x.p1", "2.1.1.x.p1"):
        desk.found(name, folder="rejected")
        desk.put(f"rejected/{name}.reply", b"no\n")
    assert desk.operator.hold(desk.one("rejected/1.1.1.x.p1")).place is Place.HELD
    assert (desk.names("held"), desk.names("rejected")) == (["1.1.1.x.p1"], ["2.1.1.x.p1", "2.1.1.x.p1.reply"])
    desk.found("2.1.1.x.p1", folder="dropped")
    desk.operator.drop(desk.one("rejected/2.1.1.x.p1"))
    assert desk.names("dropped") == ["2.1.1.x.p1", "2.1.1.x.p1-2", "2.1.1.x.p1-2.reply"]
    desk.found("3.1.1.x.p1", folder="corrupt")
    desk.put("corrupt/3.1.1.x.p1.reason", b"why\n")
    desk.operator.drop(desk.one("corrupt/3.1.1.x.p1"))
    assert "3.1.1.x.p1.reason" in desk.names("dropped")
    assert desk.names("corrupt") == []
    assert desk.operator.notes == []


def test_a_companion_that_cannot_be_removed_is_no_error(desk: Desk) -> None:
    desk.found("1.1.1.x.p1", folder="rejected")
    desk.put("rejected/1.1.1.x.p1.reply", b"no\n")
    desk.files.before("unlink delayed/rejected/1.1.1.x.p1.reply", broken())
    assert desk.operator.hold(desk.one("rejected/1.1.1.x.p1")).place is Place.HELD
    assert desk.names("rejected") == ["1.1.1.x.p1.reply"]


def test_copies_are_kept_for_exactly_a_week(desk: Desk) -> None:
    dropped = desk.path / "dropped"
    dropped.mkdir()
    (dropped / "0-folder").mkdir()
    for name in ("1.1.1.x.p1", "2.1.1.x.p1"):
        desk.put(f"dropped/{name}")
    desk.put("dropped/9.1.1.x.p1")
    newest = max(path.stat().st_ctime for path in dropped.iterdir())
    os.utime(dropped / "9.1.1.x.p1", (newest + 9, newest + 9))  # as if it had come later
    one = desk.found("3.1.1.x.p1")
    desk.clock.now_wall = (
        min(path.stat().st_ctime for path in dropped.iterdir() if path.is_file()) + KEEP_DROPPED_S
    )
    desk.operator.drop(one)
    assert len(desk.names("dropped")) == 5
    desk.clock.now_wall = newest + KEEP_DROPPED_S + 1
    desk.files.before("unlink delayed/dropped/1.1.1.x.p1", broken(errno.EPERM))
    desk.operator.drop(desk.found("4.1.1.x.p1"))
    kept = {"0-folder", "1.1.1.x.p1", "9.1.1.x.p1", "4.1.1.x.p1"}
    assert {*desk.names("dropped")} - {"3.1.1.x.p1"} == kept
    assert KEEP_DROPPED_S == 7 * 86400


def test_another_operator_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) < 3:
            desk.files.before("flock delayed 6", broken(errno.EWOULDBLOCK))

    monkeypatch.setattr(time, "sleep", sleep)
    desk.files.before("flock delayed 6", broken(errno.EWOULDBLOCK))
    assert desk.operator.hold(desk.found("1.1.1.x.p1")).place is Place.HELD
    assert slept == [0.01] * 3
    monkeypatch.setattr(time, "monotonic", lambda: 100.0 + sum(slept))
    slept.clear()

    def sleep_on(seconds: float) -> None:
        slept.append(seconds)
        desk.files.before("flock delayed 6", broken(errno.EWOULDBLOCK))

    monkeypatch.setattr(time, "sleep", sleep_on)
    desk.files.before("flock delayed 6", broken(errno.EWOULDBLOCK))
    one = desk.found("1.1.1.x.p1")
    assert "another operator" in why(OperatingError, lambda: desk.operator.hold(one))
    assert sum(slept) == pytest.approx(operating._OTHERS_S, abs=0.015)
    assert operating._OTHERS_S == 10.0


def test_an_interrupted_replacement_of_a_sealed_message_leaves_no_rest(desk: Desk) -> None:
    desk.put("5.1.1.x.p1", desk.keys.seal(b"encrypt:x", "p1") + b"\n")
    for call in ("write", "fsync", "close"):
        one = next(found for found in map(desk.one, ["5.1.1"]))
        desk.files.before(f"{call} delayed/.new-5.1.1.x.b~", broken(errno.ENOSPC))
        assert why(OperatingError, lambda: desk.operator.move(one, "b")) == f"{desk.path}: No space left on device"  # noqa: B023 - called at once
        assert not [name for name in os.listdir(desk.path) if name.startswith(".new")]
        held = desk.one("held/5.1.1")
        (desk.path / "held" / held.name).rename(desk.path / "5.1.1.x.p1")
    assert desk.files.descriptors == []


def test_a_copy_that_goes_meanwhile_stops_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.files, "listdir", lambda path: sorted(os.listdir(path)))
    (desk.path / "dropped" / "1-folder").mkdir(parents=True)
    for name in ("2.1.1.x.p1", "3.1.1.x.p1"):
        desk.put(f"dropped/{name}")
    desk.files.before("lstat delayed/dropped/2.1.1.x.p1", (desk.path / "dropped" / "2.1.1.x.p1").unlink)
    one = desk.found("4.1.1.x.p1")
    desk.clock.now_wall = time.time() + KEEP_DROPPED_S + 60
    desk.operator.drop(one)
    assert desk.names("dropped") == ["1-folder", "4.1.1.x.p1"]


@pytest.mark.parametrize(("folder", "place"), [("", "delayed"), ("held", "held")])
def test_what_replaced_a_message_twice_under_an_operator_stays(desk: Desk, folder: str, place: str) -> None:
    name = "5.6.7.put.p1"
    one = desk.found(name, b"first\n", folder)
    src = f"delayed/{folder}/{name}".replace("//", "/")
    dst = f"delayed/dropped/{name}"

    def another(content: bytes) -> None:
        desk.put(".fresh", content, age=desk.clock.now_wall - 50).rename(desk.path / folder / name)

    desk.files.before(f"rename {src} {dst}", lambda: another(b"second\n"))
    desk.files.before(f"lstat {dst}", lambda: desk.files.before(f"lstat {dst}", lambda: another(b"third\n")))
    assert "another content" in why(OperatingError, lambda: desk.operator.drop(one))
    assert sorted(desk.names(folder or ".")) == sorted(["50.1.0.restored.p1", name] + ["dropped"] * (not folder))
    assert {one.place.value for one in map(desk.one, (f"{place}/{name}", f"{place}/50.1"))} == {place}


def test_the_longest_message_is_that_of_the_manual_when_nothing_else_is_said(desk: Desk) -> None:
    operator = operating.Operator(str(desk.path), PEERS, desk.keys, files=desk.files, clock=desk.clock)
    desk.found("5.6.7.put.p1", folder="corrupt")
    with (desk.path / "corrupt" / "5.6.7.put.p1").open("r+b") as file:
        file.truncate(sealed_size(16777216 + 8) + 1)
    told = why(OperatingError, lambda: operator.release(desk.one("corrupt/5.6.7")))
    assert told.endswith("bytes, more than the longest line of 16777216")


def test_messages_of_another_form_are_shown_before_counters_of_their_second(desk: Desk) -> None:
    for name in ("5.1.1.x.p1", "5.0.1.x.p1"):
        desk.found(name)
    desk.put("a.p1", age=desk.clock.now_wall - 5)
    names = [one.name for one in everything(SystemFiles(), str(desk.path), PEERS)]
    assert names == ["5.0.1.x.p1", "a.p1", "5.1.1.x.p1"]


def test_only_a_place_before_a_slash_is_one(desk: Desk) -> None:
    found = [desk.found("5.1.1.x.p1")]
    for said in ("held", "nowhere/5.1.1"):
        assert why(NotFoundError, lambda said=said: which(found, said)) == f"there is no message {said}"  # type: ignore[misc]  # bound at once
