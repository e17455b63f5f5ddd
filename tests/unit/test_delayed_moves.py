"""How messages leave their names: claims, the note, what goes back, shelves, and what an operator sees."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lonc.delayed import DoneKind, Entry, LockAnswer, Message, claim
from lonc.delayed import lock as lock_module
from lonc.delayed.claim import Claim, claim_path, claimed, is_claimed
from lonc.delayed.lock import FlushLock
from lonc.delayed.moving import Shelf, Shelved, facts_of, put_back, take
from lonc.delayed.names import Owner
from lonc.delayed.results import Identity, identity_of
from lonc.delayed.shelves import Place, companion_of, everything, ids_of, which, word_of
from lonc.system.files import SystemFiles
from lonc.system.shown import printable
from tests.unit.delayed_desk import Desk, Time, broken
from tests.unit.delayed_ground import PEERS

FILES = SystemFiles()
MOVE = "delayed/.move-p1~"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# --- claims ------------------------------------------------------------------------------------------

LOOKED = [f"lstat {MOVE}", f"open {MOVE} NONBLOCK", f"fstat {MOVE}", f"flock {MOVE} 6"]


def test_whether_an_operator_is_there_is_one_look_when_none_is(desk: Desk) -> None:
    path, files = claim_path(str(desk.path), "p1"), desk.files
    assert not is_claimed(files, path)
    assert files.taken() == [f"lstat {MOVE}"]
    Path(path).touch()
    assert is_claimed(files, path) is False  # left by one who was killed
    removed = [f"fstat {MOVE}", f"lstat {MOVE}", f"unlink {MOVE}", f"close {MOVE}"]
    assert files.taken() == [*LOOKED, *removed]
    with claimed(FILES, str(desk.path), "p1", Owner("p1", PEERS)):
        assert is_claimed(files, path) is True
    assert files.taken() == [*LOOKED, f"close {MOVE}"]
    assert not os.path.lexists(path)


def test_an_operator_who_comes_or_goes_in_that_moment(desk: Desk) -> None:
    path, files = Path(claim_path(str(desk.path), "p1")), desk.files
    path.touch()
    files.before(f"open {MOVE} NONBLOCK", path.unlink)
    assert is_claimed(files, str(path)) is False
    path.touch()

    def another() -> None:
        path.unlink()
        path.touch()

    files.before(f"flock {MOVE} 6", another)
    assert is_claimed(files, str(path)) is True
    assert path.exists()
    files.before(f"flock {MOVE} 6", broken())
    with pytest.raises(OSError, match="Input/output"):
        is_claimed(files, str(path))
    files.before(f"flock {MOVE} 6", path.unlink)
    assert is_claimed(files, str(path)) is True  # it cannot be known who comes next
    assert files.descriptors == []


def test_a_claim_is_tried_again_when_another_was_there(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time()
    monkeypatch.setattr(claim, "time", clock)
    path, files = Path(claim_path(str(desk.path), "p1")), desk.files
    files.before(f"flock {MOVE} 6", path.unlink)
    with claimed(files, str(desk.path), "p1", Owner("p1", PEERS)) as one:
        assert one.possibly_double == ()
        assert files.descriptors == ["delayed/.lock-p1", MOVE]
        assert clock.slept == [0.01]
        with (
            pytest.raises(OSError, match="another operator"),
            claimed(files, str(desk.path), "p1", Owner("p1", [])),
        ):
            pass
    assert sum(clock.slept) == pytest.approx(10.01, abs=0.015)
    files.before(f"flock {MOVE} 6", broken(errno.ENOLCK))
    with pytest.raises(OSError, match="No locks"), claimed(files, str(desk.path), "p1", Owner("p1", PEERS)):
        pass
    assert files.descriptors == []


def test_a_claim_ends_whatever_fails_at_its_end(desk: Desk) -> None:
    files, path = desk.files, claim_path(str(desk.path), "p1")
    for call in ("close delayed/.lock-p1", f"unlink {MOVE}", f"close {MOVE}"):
        with claimed(files, str(desk.path), "p1", Owner("p1", PEERS)):
            files.before(call, broken())
        assert files.descriptors == []
        assert os.path.lexists(path) == call.startswith("unlink")
        assert is_claimed(FILES, path) is False


def test_how_long_an_operator_waits_for_a_reply(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time()
    monkeypatch.setattr(claim, "time", clock)
    child, operators = (FlushLock(FILES, str(desk.path), "p1", Owner("p1", PEERS)) for _ in range(2))
    assert child.take().taken
    identity = identity_of(desk.put("1.1.1.x.p1").lstat())
    child.note([Message(Entry(1, 1, "1.1.1.x.p1"), b"", identity)])
    one = Claim(operators, ())
    assert one.in_flight("1.1.1.x.p1", identity, 0.05) is True
    assert sum(clock.slept) == pytest.approx(0.05)
    assert set(clock.slept) == {0.01}
    other = identity._replace(size=1)
    assert one.in_flight("1.1.1.x.p1", other, 0.05) is False
    assert one.in_flight("1.1.1.y.p1", identity, 0.05) is False
    assert len(clock.slept) == 5 + 2
    texts = iter([b"x", b"y", b"y"])
    real, seen = operators.noted, []

    def changing() -> list[tuple[str, Identity]]:
        seen.append(next(texts))
        return real() if seen[-1] == b"x" else []

    monkeypatch.setattr(operators, "noted", changing)
    assert one.in_flight("1.1.1.x.p1", identity, 0.05) is False  # read anew until it is twice alike
    assert len(seen) == 3
    os.close(child.fd)
    assert operators.take().taken
    assert one.in_flight("1.1.1.x.p1", identity, 9.0) is False
    assert len(clock.slept) == 9


# --- the note ----------------------------------------------------------------------------------------


def flush_lock(desk: Desk) -> FlushLock:
    return FlushLock(desk.files, str(desk.path), "p1", Owner("p1", PEERS))


def test_what_stands_in_a_note(desk: Desk) -> None:
    lock, path = flush_lock(desk), desk.path / ".lock-p1"
    assert lock.noted() == []
    lock.note([])
    assert (lock.fd, os.listdir(desk.path)) == (-1, [])
    assert lock.take() == LockAnswer(True)
    messages = [Message(Entry(n, 1, f"{n}.1.1.\udcff.p1"), b"", Identity(n, 2, 3, 4)) for n in (10, 20)]
    lock.note(messages)
    assert path.read_bytes() == b"10.1.1.\xff.p1\t10:2:3:4\n20.1.1.\xff.p1\t20:2:3:4\n\n"
    assert lock.noted() == [(message.name, message.identity) for message in messages]
    desk.files.before("pwrite delayed/.lock-p1 @0", broken(errno.ENOSPC))
    lock.note(messages[:1])
    assert len(lock.noted()) == 2
    assert lock.take() == LockAnswer(True)
    lock.close()
    lock.close()
    assert (lock.fd, desk.files.descriptors) == (-1, [])


def test_a_note_is_cut_where_it_is_read_to(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "NOTE_LIMIT", 8)
    lock = flush_lock(desk)
    assert lock.take()
    lock.note([Message(Entry(1, 1, "1.1.1.x.p1"), b"", Identity(1, 2, 3, 4))])
    assert (desk.path / ".lock-p1").read_bytes() == b"1.1.1.x."
    assert desk.files.taken()[-1] == "pwrite delayed/.lock-p1 @0"


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (b"1.1.1.x.p1\t1:2:3:4", True),
        (b"by-hand.p1\t1:2:3:4", True),
        (b"1.1.1.x.p1\t1:2:3", False),
        (b"1.1.1.x.p1\t1:2:3:4:5", False),
        (b"1.1.1.x.p1\t1:2:3:-4", False),
        ("1.1.1.x.p1\t1:2:3:²".encode(), False),
        ("1.1.1.x.p1\t1:2:3:٣".encode(), False),
        (b"1.1.1.x.p1\t1:2:3:", False),
        (b"1.1.1.x.p1 1:2:3:4", False),
        (b"1.1.1.x.p2\t1:2:3:4", False),
        (b"../1.1.1.x.p1\t1:2:3:4", False),
        (b"a/1.1.1.x.p1\t1:2:3:4", False),
        (b"\t1:2:3:4", False),
        (b"by\0hand.p1\t1:2:3:4", False),
    ],
)
def test_which_lines_of_a_note_count(desk: Desk, line: bytes, counts: bool) -> None:
    (desk.path / ".lock-p1").write_bytes(b"bad\n" + line + b"\n2.1.1.x.p1\t5:6:7:8\n\n3.1.1.x.p1\t5:6:7:8\n")
    first = [(line.split(b"\t")[0].decode(), Identity(1, 2, 3, 4))] if counts else []
    assert flush_lock(desk).noted() == [*first, ("2.1.1.x.p1", Identity(5, 6, 7, 8))]


def test_what_may_be_double_is_what_still_lies_there_as_it_was(desk: Desk) -> None:
    names = [f"{n}.1.1.x.p1" for n in range(1, 4)]
    noted = [(name, identity_of(desk.put(name).lstat())) for name in names]
    lines = [f"{name}\t{':'.join(map(str, identity))}\n" for name, identity in noted]
    (desk.path / ".lock-p1").write_text("".join(lines))
    (desk.path / names[1]).unlink()
    desk.put(names[2], b"another\n")
    assert flush_lock(desk).take() == LockAnswer(True, (names[0],))


@pytest.mark.parametrize(
    ("noted", "wanted"), [([], "70.0.0.restored.p1"), (["5.5.5.x.p1", "6.6.6.x.p1"], "5.5.5.x.p1")]
)
def test_what_was_being_deleted_and_is_not_named_goes_back(desk: Desk, noted: list[str], wanted: str) -> None:
    sent = desk.put(".sent-p1~", b"text\n", age=desk.clock.now_wall - 70)
    (desk.path / ".lock-p1").write_text("".join(f"{name}\t1:2:3:4\n" for name in noted))
    assert flush_lock(desk).take() == LockAnswer(True)
    assert not sent.exists()
    assert (desk.path / wanted).read_bytes() == b"text\n"


def test_what_goes_back_and_finds_its_name_taken_gets_one_of_its_peer(desk: Desk) -> None:
    desk.put("5.5.5.x.p1")
    desk.put(".sent-p1~", age=desk.clock.now_wall - 70)
    (desk.path / ".lock-p1").write_text("5.5.5.x.p1\t1:2:3:4\n")
    assert flush_lock(desk).take() == LockAnswer(True)
    assert desk.names() == ["5.5.5.x.p1", "70.1.0.restored.p1"]


def test_what_was_being_deleted_and_is_named_is_deleted(desk: Desk) -> None:
    identity = identity_of(desk.put(".sent-p1~").lstat())
    numbers = ":".join(map(str, identity))
    (desk.path / ".lock-p1").write_text(f"1.1.1.x.p1\t1:2:3:4\n2.1.1.x.p1\t{numbers}\n\n")
    assert flush_lock(desk).take() == LockAnswer(True)
    assert os.listdir(desk.path) == [".lock-p1"]


# --- one file ----------------------------------------------------------------------------------------


def test_what_became_of_a_file_that_was_to_be_taken(desk: Desk) -> None:
    path, files = desk.path / "f", desk.files
    src, dst = str(path), str(desk.path / "g")
    identity = identity_of(desk.put("f").lstat())
    assert take(files, src + "x", dst, identity, "p1") is DoneKind.GONE
    assert take(files, src, dst, identity._replace(mtime_ns=5), "p1") is DoneKind.REPLACED
    assert files.taken() == ["lstat delayed/fx", "lstat delayed/f"]
    files.before("rename delayed/f delayed/g", path.unlink)
    assert take(files, src, dst, identity, "p1") is DoneKind.GONE
    path.mkdir()
    identity = identity_of(path.lstat())
    os.utime(path, (5, 5))
    assert take(files, src, dst, identity, "p1") is DoneKind.MOVED  # of a directory the inode counts
    assert take(files, dst, src, identity._replace(inode=5), "p1") is DoneKind.REPLACED
    assert take(files, dst, src, identity._replace(device=5), "p1") is DoneKind.REPLACED
    assert facts_of(FILES, os.path.join(dst, "none")) is None
    identity = identity_of(desk.put("plain").lstat())
    assert facts_of(FILES, str(desk.path / "plain" / "below")) is None
    files.before("rename delayed/plain delayed/f", lambda: desk.replace("plain", b"new\n"))
    assert take(files, str(desk.path / "plain"), src, identity, "p1") is DoneKind.REPLACED
    assert (desk.path / "plain").read_bytes() == b"new\n"


def test_what_goes_back_keeps_about_its_place(desk: Desk) -> None:
    for expected in ("9.9.9.x.p1", "50.1.0.restored.p1", "50.2.0.restored.p1"):
        desk.put(".x~", age=desk.clock.now_wall - 50.5)
        assert put_back(FILES, str(desk.path / ".x~"), str(desk.path / "9.9.9.x.p1"), "p1") == expected
        assert (desk.path / expected).exists()


@pytest.mark.parametrize(
    ("call", "code", "kept"),
    [
        ("open delayed/rejected/f.reply WRONLY|CREAT|EXCL 600", errno.ENOSPC, False),
        ("write delayed/rejected/f.reply", errno.ENOSPC, False),
        ("close delayed/rejected/f.reply", errno.EIO, False),
    ],
)
def test_a_shelf_does_without_a_companion_that_cannot_be_written(
    desk: Desk, call: str, code: int, kept: bool
) -> None:
    shelf = Shelf(desk.files, str(desk.path), "rejected", ".reply", "p1")
    identity = identity_of(desk.put("f").lstat())
    desk.files.before(call, broken(code))
    assert shelf.put("f", identity, b"no\n") == Shelved(DoneKind.MOVED, "rejected/f", False)
    assert os.listdir(desk.path / "rejected") == ["f"]
    assert desk.files.descriptors == []


def test_a_shelf_leaves_no_companion_without_its_file(desk: Desk) -> None:
    shelf = Shelf(desk.files, str(desk.path), "rejected", ".reply", "p1")
    identity = identity_of(desk.put("f").lstat())
    assert shelf.put("f", identity._replace(size=9), b"no\n") == Shelved(DoneKind.REPLACED, "", False)
    assert shelf.put("none", identity, b"no\n") == Shelved(DoneKind.GONE)
    desk.files.before("rename delayed/f delayed/rejected/f", broken())
    with pytest.raises(OSError, match="Input/output"):
        shelf.put("f", identity, b"no\n")
    assert os.listdir(desk.path / "rejected") == []
    desk.files.before("unlink delayed/rejected/f.reply", broken())
    assert shelf.put("f", identity._replace(size=9), b"no\n").kind is DoneKind.REPLACED
    assert os.listdir(desk.path / "rejected") == ["f.reply"]  # harmless, and its name is not taken again
    assert shelf.put("f", identity, b"no\n") == Shelved(DoneKind.MOVED, "rejected/f-2", True)
    assert (desk.path / "rejected" / "f-2.reply").read_bytes() == b"no\n"


# --- what an operator sees ---------------------------------------------------------------------------


def test_what_is_known_of_a_message_where_it_lies(desk: Desk) -> None:
    one = desk.found("100.2.7.authSecret.a.b-12", b"no\n", "rejected")
    assert (one.peer, one.place.folder, one.size, one.regular) == ("a.b", "rejected", 3, True)
    assert (one.short, one.masked, one.label) == ("100.2.7", "100.2.7.*.a.b-12", "rejected/100.2.7.*.a.b-12")
    assert (one.written, one.put) == (100.0, (desk.path / "rejected" / one.name).stat().st_ctime)
    by_hand = desk.found("by-hand.p1")
    assert (by_hand.short, by_hand.masked, by_hand.peer) == ("by-hand.p1", "by-hand.p1", "p1")
    assert by_hand.written == desk.clock.now_wall - 1000
    assert desk.found("1.1.1.x.p1-1234567").peer == ""
    long = desk.found("x" * 200 + "\n" + "y" * 40 + ".p1")
    assert "\n" not in long.label
    odd = desk.found("xx" + "\x01" * 120 + ".p1")  # cut between two escapes at 400 and no sooner
    assert odd.label == printable(f"delayed/{odd.name}", 400)
    os.mkfifo(desk.path / "1.1.1.fifo.p1")
    assert desk.one("1.1.1.fifo.p1").regular is False


def test_messages_are_shown_place_by_place_in_their_order(desk: Desk) -> None:
    names = ["5.10.1.x.p1", "5.9.1.x.p1", "10.1.1.a.p1", "10.1.1.b.p1"]
    for folder in ("", "held", "dropped"):
        for name in names:
            desk.found(name, folder=folder)
    for folder in ("", "rejected", "corrupt", "held", "dropped"):
        (desk.path / folder).mkdir(exist_ok=True)
        desk.put(os.path.join(folder, ".hidden.p1"))
        for ending in (".reply", ".reason"):
            desk.put(os.path.join(folder, f"10.1.1.b.p1{ending}"))
    desk.put("held/rejected")
    found = [(one.place.value, one.name) for one in everything(FILES, str(desk.path), PEERS)]
    order = ["5.9.1.x.p1", "5.10.1.x.p1", "10.1.1.a.p1", "10.1.1.b.p1"]
    both = ["10.1.1.b.p1.reason", "10.1.1.b.p1.reply"]
    assert found == [
        *(("delayed", name) for name in [*order, *both]),
        *(("held", name) for name in [*order, *both, "rejected"]),
        *(("rejected", name) for name in both), *(("corrupt", name) for name in both),
        *(("dropped", name) for name in order),
    ]  # fmt: skip
    assert everything(FILES, str(desk.path / "none"), PEERS) == []


def test_of_a_message_its_word_is_shown(desk: Desk) -> None:
    directory = str(desk.path)
    for content, word in (
        (b"put:a:b\n", "put"), (b"put:a (b) (c)\n", "put"), (b"ping\nput:x\n", "ping"),
        (b"encrypt:auth:x\n", "encrypt:auth"), (b"sealed:1:a:b\n", "sealed"), (b"\n", "?"),
        (b"p" * 200 + b"\n", "p" * 16),
    ):  # fmt: skip
        shown = word_of(FILES, directory, desk.found("1.1.1.x.p1", content, "held"))
        assert shown == word or (word.startswith("pp") and "p" * 65 not in shown), content
    one = desk.one("1.1.1")
    desk.files.before("open delayed/held/1.1.1.x.p1 NONBLOCK", broken())
    assert word_of(desk.files, directory, one) == "?"
    desk.files.before("read delayed/held/1.1.1.x.p1 64", broken())
    assert word_of(desk.files, directory, one) == "?"
    assert desk.files.descriptors == []
    (desk.path / "2.1.1.x.p1").mkdir()
    assert word_of(FILES, directory, desk.one("2.1.1")) == "?"


def test_the_first_line_beside_a_message_says_why_it_lies_there(desk: Desk) -> None:
    directory = str(desk.path)
    for folder, ending in (("rejected", ".reply"), ("corrupt", ".reason"), ("dropped", ".reason")):
        one = desk.found("1.1.1.x.p1", folder=folder)
        assert companion_of(FILES, directory, one) == ("", b"")
        desk.put(f"{folder}/1.1.1.x.p1{ending}", b"first\nsecond\n")
        assert companion_of(FILES, directory, one) == (f"1.1.1.x.p1{ending}", b"first")
    desk.put("dropped/1.1.1.x.p1.reply", b"x" * 5000)
    assert companion_of(FILES, directory, one) == ("1.1.1.x.p1.reply", b"x" * 4096)
    desk.files.before("read delayed/dropped/1.1.1.x.p1.reply 4096", broken())
    assert companion_of(desk.files, directory, one) == ("1.1.1.x.p1.reason", b"first")
    assert desk.files.descriptors == []
    held = desk.found("1.1.1.x.p1", folder="held")
    desk.put("held/1.1.1.x.p1.reply")
    assert companion_of(FILES, directory, held) == ("", b"")


def test_each_way_to_name_a_message_is_tried_before_the_next(desk: Desk) -> None:
    for name in ("1.1.1.x.p1", "1.1.1.x.p10", "1.1.1.y.p2", "1.1.10.x.p1", "2.1.1.x.p1"):
        desk.found(name)
    found = everything(FILES, str(desk.path), PEERS)
    for said, name in (
        ("1.1.1.x.p1", "1.1.1.x.p1"), ("1.1.1.*.p2", "1.1.1.y.p2"), ("1.1.10", "1.1.10.x.p1"), ("2", "2.1.1.x.p1"),
        ("delayed/2.1.1.*", "2.1.1.x.p1"),
    ):  # fmt: skip
        assert which(found, said).name == name
    desk.found("2.1.1.x.p1", folder="held")
    ids = ids_of(everything(FILES, str(desk.path), PEERS))
    assert ids[Place.HELD, "2.1.1.x.p1"] == "held/2.1.1.*.p1"
    assert ids[Place.DELAYED, "1.1.1.x.p1"] == "1.1.1.*.p1"
    assert ids[Place.DELAYED, "1.1.10.x.p1"] == "1.1.10"
