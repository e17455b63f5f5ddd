"""A delayed directory that is a link an administrator made; the numbers of delayed messages that are promised."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lonc.delayed import (
    Look,
    claim,
    leftovers,
    lock,
    moving,
    names,
    operating,
    queue,
    remover,
    sealing,
    shelves,
    store,
    survey,
)
from lonc.delayed.results import DoneKind, Identity, LockAnswer, Rejection
from lonc.delayed.shelves import Place
from lonc.delayed.watch import Ages, Watch
from tests.unit.delayed_desk import Desk
from tests.unit.delayed_ground import ready


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a desk whose directory has become a link to another place."""
    desk = Desk(tmp_path)
    desk.path.rename(tmp_path / "elsewhere")
    desk.path.symlink_to("elsewhere")
    return desk


def test_what_is_new_behind_a_link_is_seen(desk: Desk) -> None:
    queue = desk.queue()
    assert ready(desk.look(queue, force=False)) == []
    desk.clock.advance(60)
    names = [desk.name(n, age=1000) for n in range(2)]
    for n, name in enumerate(names):
        desk.put(name)
        os.utime(desk.base / "elsewhere", (n + 1, n + 1))
        assert ready(desk.look(queue, force=False)) == names[: n + 1]
    assert queue.try_lock()
    message = desk.message(queue, names[0])
    assert queue.sending(message)
    queue.done(message)
    queue.finish()
    assert desk.look(queue).problem is None


def test_the_mode_of_what_a_link_leads_to_is_told(desk: Desk) -> None:
    (desk.base / "elsewhere").chmod(0o700)
    queue = desk.queue("a.b")
    assert desk.look(queue).notes == ()
    (desk.base / "elsewhere").chmod(0o705)
    assert "0705" in desk.look(queue).notes[0]


def test_a_writer_and_an_operator_work_behind_a_link(desk: Desk) -> None:
    name = desk.store.put(b"a:b", "p1")
    assert desk.operator.hold(desk.one(name)).place is Place.HELD
    assert os.listdir(desk.base / "elsewhere" / "held") == [name]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_writes_behind_a_link_belongs_to_the_owner_of_the_place(desk: Desk) -> None:
    os.chown(desk.base / "elsewhere", 4711, 4712)
    name = desk.store.put(b"a:b", "p1")
    facts = (desk.base / "elsewhere" / name).stat()
    assert (facts.st_uid, facts.st_gid) == (4711, 4712)
    sealed = desk.keys.seal(b"encrypt:x", "p1")
    desk.put("5.1.1.x.p1", sealed + b"\n")
    moved = desk.operator.move(desk.one("5.1.1"), "p2")
    assert (desk.base / "elsewhere" / moved.name).stat().st_uid == 4711
    os.chown(desk.base / "elsewhere", 1, 0)
    assert (desk.base / "elsewhere" / desk.store.put(b"a:b", "p1")).stat().st_uid == 1


def test_messages_of_one_process_are_a_microsecond_apart_while_its_clock_stands(desk: Desk) -> None:
    desk.clock.now_wall = 7.25
    stamps = [desk.store.put(b"a:b", "p1").split(".")[:2] for _ in range(3)]
    assert stamps == [["7", "250000"], ["7", "250001"], ["7", "250002"]]


def test_the_numbers_that_are_promised() -> None:
    assert (claim.OTHERS_S, operating._OTHERS_S, sealing._LOCK_LIMIT_S) == (10.0, 10.0, 10.0)
    assert (claim.POLL_S, operating.REPLY_S, queue.PAUSE_S) == (0.01, 5.0, 1.0)
    assert (leftovers.OLD_S, sealing.KEEP_MIN_S, sealing._FRESH_S) == (3600.0, 3600.0, 3600.0)
    assert (sealing.KEEP_S, operating.KEEP_DROPPED_S) == (366 * 86400.0, 604800.0)
    assert (survey.PARK_AFTER, queue.TRIES, remover.SYNC_EVERY, queue.AHEAD_BYTES) == (3, 3, 64, 65536)
    assert (lock.NOTE_LIMIT, sealing._FILE_LIMIT, names.NAME_MAX) == (1048576, 1048576, 255)
    assert (moving.CHOICES, store._CHOICES, store.WORD_CHARACTERS) == (10_000, 1000, 16)
    assert (shelves.HEAD_BYTES, shelves.COMPANION_BYTES) == (64, 4096)
    assert {"rejected", "corrupt", "held", "dropped"} == names.PASSED_OVER
    assert [place.value for place in Place] == ["delayed", "held", "rejected", "corrupt", "dropped"]
    assert (Ages().young_s, Ages().empty_s) == (5.0, 60.0)


def test_what_holds_when_nothing_is_said() -> None:
    watch = Watch(Identity(0, 0, 0, 0), 0, 0.0, 0.0, 0.0)
    assert (watch.bare, watch.bad, watch.hold_until, watch.skip_until) == (False, "", 0.0, 0.0)
    assert (watch.unanswered, watch.answered, watch.reply) == (0, False, None)
    assert Look() == Look((), None, 0, None, (), (), (), (), None)
    assert LockAnswer(True) == LockAnswer(True, (), "")
    assert not LockAnswer(False)
    assert Rejection(DoneKind.GONE) == Rejection(DoneKind.GONE, "", False, "")
    assert moving.Shelved(DoneKind.GONE) == moving.Shelved(DoneKind.GONE, "", False)
