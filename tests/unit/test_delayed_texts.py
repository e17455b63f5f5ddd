"""What is said of delayed messages that cannot be moved, sealed, locked or named: the whole text each time."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from lonc.delayed import Done, DoneKind, LockAnswer, Rejection, claim, moving, operating, sealing
from lonc.delayed.claim import claim_path, claimed
from lonc.delayed.moving import Shelf, put_back
from lonc.delayed.names import Owner
from lonc.delayed.operating import OperatingError
from lonc.delayed.results import identity_of
from lonc.delayed.shelves import NotFoundError, Place, everything, ids_of, which
from lonc.delayed.store import MessageStore, NotKeptError
from lonc.system.files import SystemFiles
from lonc.system.shown import printable
from tests.unit.delayed_desk import Desk, broken, why
from tests.unit.delayed_ground import PEERS

FILES = SystemFiles()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# --- an operator -------------------------------------------------------------------------------------


def test_what_an_operator_is_told_of_messages_that_are_not_where_he_wants_them(desk: Desk) -> None:
    operator, name = desk.operator, "100.1.7.authSecret.p1"
    label = "delayed/100.1.7.*.p1"
    one = desk.found(name)
    assert why(OperatingError, lambda: operator.release(one)) == f"{label} is in the queue already"
    assert why(OperatingError, lambda: operator.move(one, "p1")) == f"{label} is for p1 already"
    assert why(OperatingError, lambda: operator.move(one, "p9")) == "p9 is not in the table of hosts"
    held = operator.hold(one)
    assert why(OperatingError, lambda: operator.hold(held)) == "held/100.1.7.*.p1 lies there already"
    gone = f"{label} is not there any more: it was sent, or somebody moved it"
    assert why(OperatingError, lambda: operator.hold(one)) == gone
    again = desk.found(name)
    desk.replace_in_place(name, b"another\n")
    changed = f"{label} has another content by now: look at it again"
    assert why(OperatingError, lambda: operator.hold(again)) == changed
    (desk.path / "200.1.7.x.p1").mkdir()
    directory = desk.one("200.1.7.x.p1")
    assert why(OperatingError, lambda: operator.drop(directory)) == (
        "delayed/200.1.7.*.p1 is a directory, not a message"
    )
    assert (
        why(OperatingError, lambda: operator.read(directory)) == "delayed/200.1.7.*.p1 is no file but a directory"
    )
    assert desk.files.descriptors == []


def test_what_an_operator_is_told_of_files_that_are_no_messages(desk: Desk) -> None:
    operator = desk.operator
    limit = sealing.sealed_size(108)
    for content, reason in (
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"a\nb\n", "it has more than one line"),
        (b"a\n\n", "it has more than one line"),
        (b"x" * (limit + 1), f"it has {limit + 1} bytes, more than the longest line of 100"),
    ):
        one = desk.found("5.1.1.x.p1", content, "corrupt")
        assert why(OperatingError, lambda one=one: operator.release(one)) == (  # type: ignore[misc]  # bound at once
            f"corrupt/5.1.1.*.p1 can be no message: {reason}"
        )
    assert operator.release(desk.found("5.1.1.x.p1", b"x" * limit + b"\n", "corrupt")).size == limit + 1
    nobodys = desk.found("5.2.1.x.p7", folder="corrupt")
    assert why(OperatingError, lambda: operator.release(nobodys)) == (
        "corrupt/5.2.1.*.p7 is for a host that is not in the table: `move` it to one that is"
    )


def test_what_an_operator_is_told_when_the_disk_refuses(desk: Desk) -> None:
    operator, one = desk.operator, desk.found("100.1.7.x.p1")
    place = "delayed/100.1.7.x.p1"
    desk.files.before(f"open {place} NONBLOCK", broken(errno.EACCES))
    assert (
        why(OperatingError, lambda: operator.read(one)) == "delayed/100.1.7.*.p1 cannot be read: Permission denied"
    )
    desk.files.before("open delayed DIRECTORY", broken())
    assert why(OperatingError, lambda: operator.hold(one)) == f"{desk.path}: Input/output error"
    desk.files.before(f"rename {place} delayed/held/100.1.7.x.p1", broken())
    assert why(OperatingError, lambda: operator.hold(one)) == f"{desk.path}: Input/output error"
    (desk.path / "held").rmdir()
    (desk.path / "held").touch()
    assert why(OperatingError, lambda: operator.hold(one)) == (
        f"{desk.path}/held: not a directory but a regular file"
    )
    assert desk.files.descriptors == []


def test_an_operator_waits_for_another_one_only_so_long(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operating, "_OTHERS_S", 0.0)
    one = desk.found("100.1.7.x.p1")
    fd = os.open(desk.path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    told = why(OperatingError, lambda: desk.operator.hold(one))
    assert told == "another operator is moving messages: try again"
    os.close(fd)
    assert desk.operator.hold(one).place is Place.HELD


def test_an_operator_is_told_of_a_message_that_is_on_its_way(desk: Desk) -> None:
    one = desk.found("100.1.7.x.p1")
    queue = desk.queue()
    assert queue.try_lock()
    message = desk.message(queue, one.name)
    assert queue.sending(message)
    assert why(OperatingError, lambda: desk.operator.hold(one)) == (
        "delayed/100.1.7.*.p1 is in flight: p1 has it and has not answered; try again later"
    )
    os.close(queue.lock_fd)
    desk.operator.hold(one)
    assert desk.operator.notes == [
        "delayed/100.1.7.*.p1 may have been sent already, before its child was killed",
    ]  # fmt: skip


def test_an_operator_is_told_of_a_reply_that_is_lost(desk: Desk) -> None:
    one = desk.found("100.1.7.x.p1", folder="rejected")
    desk.put("rejected/100.1.7.x.p1.reply", b"no\n")
    reply = "rejected/100.1.7.x.p1.reply delayed/dropped/100.1.7.x.p1.reply"
    desk.files.before(f"rename delayed/{reply}", broken(errno.ENOSPC))
    desk.operator.drop(one)
    assert desk.operator.notes == ["reply of rejected/100.1.7.*.p1 is lost: No space left on device"]
    assert desk.names("rejected") == []


def test_what_an_operator_is_told_of_sealed_messages(desk: Desk) -> None:
    operator = desk.operator
    sealed = desk.keys.seal(b"encrypt:x", "p2")
    assert operator.unsealed(sealed, "p1") == (b"encrypt:x", "p2")
    assert operator.unsealed(sealed, "p9") == (b"encrypt:x", "p2")
    foreign = desk.keys.seal(b"encrypt:x", "p9")
    key = sealing.key_of(foreign)
    assert why(OperatingError, lambda: operator.unsealed(foreign, "p1")) == (
        f"it cannot be unsealed: sealed with the key {key}, but changed since, or not sealed for p1: "
        "if there is a copy of it, move that into delayed"
    )
    one = desk.found("5.1.1.x.p1", sealed + b"\n", "held")
    moved = operator.move(one, "p2")
    assert (desk.path / "held" / moved.name).read_bytes() == sealed + b"\n"  # it was sealed for him
    stray = desk.found("5.2.1.x.p9", desk.keys.seal(b"encrypt:x", "p1") + b"\n", "corrupt")
    assert desk.keys.unseal(operator.read(operator.move(stray, "a.b")), "a.b") == b"encrypt:x"
    path = desk.base / "lonc.keys"
    one = desk.found("5.3.1.x.p1", desk.keys.seal(b"encrypt:x", "p1") + b"\n", "held")
    with path.open("a") as file:
        file.write("damaged\n")
    assert why(OperatingError, lambda: operator.move(one, "b")) == (
        f"held/5.3.1.*.p1 cannot be sealed for b: {path}: line 2 is no key: restore it from a backup"
    )
    path.chmod(0o640)
    assert why(OperatingError, lambda: operator.unsealed(sealed, "p2")) == (
        f"it cannot be unsealed: {path}: others can use the key file (mode 0640): make it 0600"
    )


# --- which one is meant ------------------------------------------------------------------------------


def test_what_is_said_when_no_message_or_more_than_one_is_meant(desk: Desk) -> None:
    for n in range(7):
        desk.found(f"10{n}.1.7.authSecret.p1")
    found = everything(FILES, str(desk.path), PEERS)
    labels = [f"delayed/10{n}.1.7.*.p1" for n in range(7)]
    assert why(NotFoundError, lambda: which(found, "10")) == (
        f"10 is not one message: {', '.join(labels[:5])} and 2 more"
    )
    assert why(NotFoundError, lambda: which(found[:5], "10")) == f"10 is not one message: {', '.join(labels[:5])}"
    assert why(NotFoundError, lambda: which(found[:6], "10")).endswith(", delayed/104.1.7.*.p1 and 1 more")
    assert why(NotFoundError, lambda: which(found, "9.9.9.Secret.p1")) == "there is no message 9.9.9.*.p1"
    assert why(NotFoundError, lambda: which(found, "delayed/")) == "no message is named"
    assert why(NotFoundError, lambda: which(found, "held/100")) == "there is no message 100"
    long = "x" * 300
    assert why(NotFoundError, lambda: which(found, long)) == f"there is no message {printable(long, 200)}"
    assert which(iter(found), "103") == found[3]
    assert ids_of(iter(found[:1])) == {(Place.DELAYED, "100.1.7.authSecret.p1"): "100.1.7"}


# --- claims and locks --------------------------------------------------------------------------------


def test_a_claim_says_who_is_in_its_way(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "OTHERS_S", 0.0)
    owner = Owner("p1", PEERS)

    def enter() -> None:
        with claimed(FILES, str(desk.path), "p1", owner):
            pass

    with claimed(FILES, str(desk.path), "p1", owner):
        path = claim_path(str(desk.path), "p1")
        busy = f"[Errno {errno.EBUSY}] another operator is moving messages of this peer: '{path}'"
        assert why(OSError, enter) == busy
    assert os.listdir(desk.path) == [".lock-p1"]
    (desk.path / ".lock-p1").unlink()
    (desk.path / ".lock-p1").mkdir()
    with pytest.raises(OSError, match="Is a directory") as caught:
        enter()
    assert caught.value.errno == errno.EACCES
    assert os.listdir(desk.path) == [".lock-p1"]


def test_a_lock_that_cannot_be_had_says_why(desk: Desk) -> None:
    files = desk.files
    queue = desk.queue(files=files)
    lock = desk.path / ".lock-p1"

    def replace() -> None:
        lock.unlink()
        lock.touch()

    files.before("lstat delayed/.lock-p1", replace)
    answer = queue.try_lock()
    assert (answer.taken, answer.detail) == (
        False, f"[Errno {errno.ESTALE}] the lock file was replaced: '{lock}'",
    )  # fmt: skip
    assert files.descriptors == []
    holder = desk.queue()
    assert holder.try_lock()
    answer = queue.try_lock()
    assert (answer.taken, answer.detail, answer.possibly_double) == (False, "", ())
    os.close(holder.lock_fd)
    files.before("open delayed/.lock-p1 RDWR|CREAT|NONBLOCK 600", broken())
    assert queue.try_lock() == LockAnswer(False, (), f"[Errno {errno.EIO}] Input/output error")
    files.before("lstat delayed/.move-p1~", broken(errno.EACCES))
    answer = queue.try_lock()
    assert answer == LockAnswer(False, (), f"[Errno {errno.EACCES}] Permission denied")


# --- names that are taken, shelves --------------------------------------------------------------------


def test_without_a_free_name_a_file_stays(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "CHOICES", 3)
    monkeypatch.setattr(operating, "CHOICES", 3)
    path = desk.put("stray", age=desk.clock.now_wall - 50)
    for n in range(3):
        wanted = str(desk.path / f"5.0.0.x{n}.p1")
        assert (
            put_back(FILES, desk.put("stray", age=desk.clock.now_wall - 50).as_posix(), wanted, "p1")
            == f"5.0.0.x{n}.p1"
        )
    names = []
    for _ in range(2):
        stray = desk.put("stray", age=desk.clock.now_wall - 50)
        names.append(put_back(FILES, str(stray), wanted, "p1"))
    assert names == ["50.1.0.restored.p1", "50.2.0.restored.p1"]
    desk.put("stray", age=desk.clock.now_wall - 50)
    full = f"[Errno {errno.EEXIST}] no free name to put it back: '{path}'"
    assert why(OSError, lambda: put_back(FILES, str(path), wanted, "p1")) == full
    shelf = Shelf(FILES, str(desk.path), "rejected", ".reply", "p1")
    where = []
    for _ in range(2):
        facts = desk.put("9.0.0.x.p1").lstat()
        where.append(shelf.put("9.0.0.x.p1", identity_of(facts), b"no\n").where)
    assert where == ["rejected/9.0.0.x.p1", "rejected/9.0.0.x.p1-2"]
    facts = desk.put("9.0.0.x.p1").lstat()
    full = f"[Errno {errno.EEXIST}] no free name: '{desk.path}/rejected/9.0.0.x.p1'"
    assert why(OSError, lambda: shelf.put("9.0.0.x.p1", identity_of(facts), b"no\n")) == full
    for n in (3, 4, 5):
        desk.put(f"7.1.{n}.x.p1")
    held = desk.found("7.1.3.x.p1", folder="held")
    assert why(OperatingError, lambda: desk.operator.release(held)) == f"{desk.path}: no free name"
    (desk.path / "7.1.5.x.p1").unlink()
    assert desk.operator.release(held).name == "7.1.5.x.p1"


def test_a_shelf_that_is_no_directory_is_named(desk: Desk) -> None:
    desk.put("rejected")
    shelf = Shelf(FILES, str(desk.path), "rejected", ".reply", "p1")
    facts = desk.put("9.0.0.x.p1").lstat()
    assert why(NotADirectoryError, lambda: shelf.put("9.0.0.x.p1", identity_of(facts), b"no\n")) == (
        f"[Errno {errno.ENOTDIR}] not a directory but a regular file: '{desk.path}/rejected'"
    )


def test_where_a_rejected_message_went_in_words() -> None:
    assert str(Rejection(DoneKind.MOVED, "rejected/x", True)) == "rejected/x"
    assert str(Rejection(DoneKind.GONE)) == "nowhere (gone)"
    assert str(Rejection(DoneKind.REPLACED)) == "nowhere (replaced)"
    assert Done(DoneKind.GONE).detail == ""
    assert str(Rejection(DoneKind.FAILED, detail="full")) == "nowhere (failed: full)"
    assert (Rejection(DoneKind.GONE).with_reply, Rejection(DoneKind.GONE).detail) == (False, "")


# --- a writer ----------------------------------------------------------------------------------------


def test_what_a_writer_is_told(desk: Desk) -> None:
    one_line = "a message is one line without its newline, for an id that can be a host's"
    assert why(ValueError, lambda: desk.store.put(b"a\nb", "p1")) == one_line
    assert why(ValueError, lambda: desk.store.put(b"a", "../p1")) == one_line
    assert (
        why(NotKeptError, lambda: desk.store.put(b"x" * 101, "p1")) == "longer than the longest line of 100 bytes"
    )
    usual = MessageStore(str(desk.path), desk.keys, files=desk.files, clock=desk.clock)
    long = "longer than the longest line of 16777216 bytes"
    assert why(NotKeptError, lambda: usual.put(b"x" * 16777217, "p1")) == long
    (desk.base / "lonc.keys").write_text("")
    (desk.base / "lonc.keys").chmod(0o600)
    assert why(NotKeptError, lambda: desk.store.put(b"encrypt:x", "p1")) == (
        f"it cannot be sealed: {desk.base}/lonc.keys: it holds no key"
    )
