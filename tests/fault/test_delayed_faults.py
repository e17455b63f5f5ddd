"""Delayed messages under faults: stopped at every system call, failing calls, full disks, racing processes.

A sender (what a child does) flushes one directory; `lond` below writes down what it was sent and answers by the
message. Promises P1, P2, P3, P7; fault rows 1, 6, 15.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lonc.delayed import DelayedQueue, Message, Young
from lonc.system.files import Files
from tests.proof.tally import Tally
from tests.unit.delayed_ground import Crash, FaultyFiles, Ground

GOOD = [b"first", b"second", b"third"]
REFUSED = b"refuse me"
BAD = b"two\nlines\n"


class Lond:
    """The peer's side: what it was sent, in order, and by whom it was told to be perhaps double."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.names: list[str] = []
        self.told_double: list[str] = []

    def answer(self, message: Message) -> bytes:
        self.sent.append(message.line)
        self.names.append(message.name)
        return b"refused" if message.line == REFUSED else b"ok"


def flush(queue: DelayedQueue, lond: Lond, now: float) -> bool:
    """Do one flush as a child does it; return whether the lock was had."""
    answer = queue.try_lock()
    lond.told_double.extend(answer.possibly_double)
    if not answer.taken:
        return False
    entries = queue.look(now, force=True).ready
    for entry, following in itertools.zip_longest(entries, entries[1:]):
        message = queue.read(entry, now)
        if isinstance(message, Young):
            break
        if isinstance(message, Message):
            queue.sending(message)
            if following is not None:
                queue.read_ahead(following)
            reply = lond.answer(message)
            if reply == b"ok":
                queue.done(message)
            else:
                queue.reject(message, reply, now)
    queue.finish()
    return True


def flush_until_empty(ground: Ground, queue: DelayedQueue, lond: Lond) -> None:
    for _ in range(8):
        flush(queue, lond, ground.clock.mono)
        ground.clock.advance(400)  # longer than anything is passed over
    look = ground.look(queue)
    assert (look.ready, look.waiting, look.young_until) == ((), 0, None)


def prepare(ground: Ground, goods: list[bytes] = GOOD, *, bad: bool = True) -> None:
    for n, line in enumerate(goods):
        ground.put(ground.name(n), line + b"\n")
    ground.put(ground.name(8), REFUSED + b"\n")
    if bad:
        ground.put(ground.name(9), BAD)


def contents(ground: Ground, folder: str) -> Counter[bytes]:
    """Return what lies in a directory of files set aside, without companions."""
    path = ground.path / folder
    if not path.is_dir():
        return Counter()
    return Counter(p.read_bytes() for p in path.iterdir() if p.suffix not in (".reply", ".reason"))


def check_all_arrived(ground: Ground, lond: Lond, goods: list[bytes] = GOOD, *, bad: bool = True) -> None:
    """Assert that nothing was lost and nothing is left lying about."""
    assert set(lond.sent) == {*goods, REFUSED}
    assert list(dict.fromkeys(lond.sent)) == [*goods, REFUSED]  # first deliveries are in order
    assert contents(ground, "rejected") == Counter([REFUSED + b"\n"])
    assert contents(ground, "corrupt") == Counter([BAD] if bad else [])
    assert set(os.listdir(ground.path)) <= {".lock-p1", "rejected", "corrupt"}


def crash() -> None:
    raise Crash


def run_until_crash(ground: Ground, lond: Lond, n: int) -> bool:
    """Flush with a kill before the n-th call; return whether it came so far."""
    files = FaultyFiles(n, crash)
    try:
        flush(ground.queue(files=files), lond, ground.clock.mono)
    except Crash:
        return True
    finally:
        files.die()
    return False


def each_call(tmp_path: Path, body: Callable[[Ground, int], bool], limit: int = 400) -> int:
    """Run body with n = 0, 1, ... on fresh ground until it says that the n-th call was not reached."""
    for n in range(limit):
        place = tmp_path / str(n)
        place.mkdir()
        if not body(Ground(place), n):
            return n
    raise AssertionError("never reached the end")


def test_a_kill_at_any_call_loses_nothing_and_doubles_one_at_most(tmp_path: Path, tally: Tally) -> None:
    def body(ground: Ground, n: int) -> bool:
        prepare(ground)
        lond = Lond()
        crashed = run_until_crash(ground, lond, n)
        before = len(lond.sent)
        flush_until_empty(ground, ground.queue(), lond)
        check_all_arrived(ground, lond)
        doubles = [line for line, times in Counter(lond.sent).items() if times > 1]
        assert len(lond.sent) <= len(GOOD) + 2
        assert len(doubles) <= 1
        if doubles:  # it was told, by its name
            assert lond.told_double == [lond.names[lond.sent.index(doubles[0])]]
        assert len(lond.told_double) <= 1
        assert crashed or before == len(GOOD) + 1
        tally.add(inputs=len(GOOD) + 2, faults=crashed)
        return crashed

    assert each_call(tmp_path, body) > 50


@pytest.mark.slow
def test_a_second_kill_at_any_call_of_the_repair_loses_nothing(tmp_path: Path, tally: Tally) -> None:
    goods = [b"only"]

    def first(ground: Ground, n: int) -> bool:
        reached = False

        def second(inner: Ground, m: int) -> bool:
            nonlocal reached
            prepare(inner, goods, bad=False)
            lond = Lond()
            reached = run_until_crash(inner, lond, n)
            again = run_until_crash(inner, lond, m)
            flush_until_empty(inner, inner.queue(), lond)
            check_all_arrived(inner, lond, goods, bad=False)
            assert len(lond.sent) <= 2 + 2  # one double for each kill
            tally.add(inputs=2, faults=reached + again)
            return again

        each_call(ground.path, second)
        return reached

    assert each_call(tmp_path, first) > 25


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EACCES])
def test_any_failing_call_costs_no_message_and_no_double(tmp_path: Path, tally: Tally, code: int) -> None:
    def fail() -> None:
        raise OSError(code, os.strerror(code))

    def body(ground: Ground, n: int) -> bool:
        prepare(ground)
        lond = Lond()
        files = FaultyFiles(n, fail)
        flush_until_empty(ground, ground.queue(files=files), lond)
        if code == errno.EACCES and contents(ground, "corrupt") != Counter([BAD]):
            # one that may not be opened counts as bad: it is in corrupt/, and told
            kept = [line + b"\n" for line in (*GOOD, REFUSED) if line not in lond.sent]
            assert len(kept) == 1
            assert contents(ground, "corrupt") == Counter([BAD, *kept])
        else:
            assert Counter(lond.sent) == Counter([*GOOD, REFUSED])
            assert contents(ground, "rejected") == Counter([REFUSED + b"\n"])
            assert contents(ground, "corrupt") == Counter([BAD])
            assert set(os.listdir(ground.path)) <= {".lock-p1", "rejected", "corrupt"}
        files.die()
        tally.add(inputs=len(GOOD) + 2, faults=bool(files.hit))
        return bool(files.hit)

    assert each_call(tmp_path, body) > 90


class FullDisk(FaultyFiles):
    """Nothing new can be written, old names can be moved and removed (fault row 6)."""

    def __init__(self) -> None:
        super().__init__(-1, crash)
        self.full = True

    def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
        if self.full and flags & os.O_CREAT and not os.path.exists(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().open(path, flags, mode, dir_fd)

    def write(self, fd: int, data: bytes) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(fd, data)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().pwrite(fd, data, offset)

    def mkdir(self, path: str, mode: int) -> None:
        if self.full and not os.path.exists(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        super().mkdir(path, mode)


@pytest.mark.parametrize("folders", [False, True])
def test_a_full_disk_stops_no_message(tmp_path: Path, folders: bool) -> None:
    ground, lond, files = Ground(tmp_path), Lond(), FullDisk()
    prepare(ground)
    (ground.path / ".lock-p1").touch()
    for folder in ("rejected", "corrupt") if folders else ():
        (ground.path / folder).mkdir(mode=0o700)
    queue = ground.queue(files=files)
    for _ in range(5):
        flush(queue, lond, ground.clock.mono)
        ground.clock.advance(400)
    assert lond.sent == [*GOOD, REFUSED]  # the refused one only once, wherever it lies
    if not folders:
        stayed = [(ground.path / name).read_bytes() for name in ground.names()]
        assert stayed == [REFUSED + b"\n", BAD]
        files.full = False
    ground.look(queue)
    check_all_arrived(ground, lond)
    assert (ground.path / "rejected").exists()
    files.die()


def test_without_an_inode_for_the_lock_nothing_is_sent(tmp_path: Path) -> None:
    ground, lond, files = Ground(tmp_path), Lond(), FullDisk()
    prepare(ground)
    answer = ground.queue(files=files).try_lock()
    assert not answer.taken
    assert "No space" in answer.detail
    assert len(ground.names()) == len(GOOD) + 2
    assert lond.sent == []


@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize("first", [True, False])
def test_a_replacement_at_any_call_is_sent_too(tmp_path: Path, kill: bool, first: bool) -> None:
    """The old content may be gone (its writer replaced it) or sent; the new one is sent, once unless killed.

    Not the first: it is read while the one before it is on its way.
    """
    seen_old: set[bool] = set()

    def body(ground: Ground, n: int) -> bool:
        if not first:
            ground.put(ground.name(0), b"before\n")
        name = ground.name(1)
        ground.put(name, b"old\n")
        lond = Lond()
        files = FaultyFiles(n, lambda: ground.replace(name, b"new\n"))
        queue = ground.queue(files=files)
        flush(queue, lond, ground.clock.mono)
        if kill:
            files.die()
            queue = ground.queue()
        flush_until_empty(ground, queue, lond)
        if files.hit:
            assert lond.sent.count(b"new") == 1, (n, files.hit, lond.sent)
            assert lond.sent.count(b"old") <= 1
            seen_old.add(b"old" in lond.sent)
        files.die()
        assert set(os.listdir(ground.path)) == {".lock-p1"}
        return n < (30 if first else 45)

    each_call(tmp_path, body)
    assert seen_old == {False, True}


def test_a_kill_between_a_replacement_and_its_return_loses_nothing(tmp_path: Path) -> None:
    """The replacement comes in the moment of deletion, the kill at any call after it."""

    def body(ground: Ground, n: int) -> bool:
        name = ground.name()
        ground.put(name, b"old\n")
        lond = Lond()
        files: FaultyFiles

        def fault() -> None:
            if files.calls[-1] == "rename" and not replaced:
                replaced.append(True)
                ground.replace(name, b"new\n")
                at = len(files.calls) + n
                object.__setattr__(files, "_n", at)
                object.__setattr__(files, "_fault", crash)
            else:
                object.__setattr__(files, "_n", len(files.calls))

        replaced: list[bool] = []
        files = FaultyFiles(0, fault)
        try:
            flush(ground.queue(files=files), lond, ground.clock.mono)
            crashed = False
        except Crash:
            crashed = True
        files.die()
        assert replaced
        flush_until_empty(ground, ground.queue(), lond)
        assert lond.sent == [b"old", b"new"]
        assert set(os.listdir(ground.path)) == {".lock-p1"}
        return crashed

    assert each_call(tmp_path, body) >= 4


NOTES = [b"", b"\n", b"garbage", b"a\tb\n", b"\xff\x00" * 500, b"x\t1:2:3:4\n\n", b"../x.p1\t1:2:3:4\n"]


@pytest.mark.parametrize("note", NOTES)
def test_what_lies_half_deleted_without_a_note_is_sent_again(tmp_path: Path, note: bytes) -> None:
    ground, lond = Ground(tmp_path), Lond()
    ground.put(".sent-p1~", b"unknown\n")
    (ground.path / ".lock-p1").write_bytes(note)
    flush_until_empty(ground, ground.queue(), lond)
    assert lond.sent == [b"unknown"]
    assert set(os.listdir(ground.path)) == {".lock-p1"}


@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_a_lock_that_is_no_file_is_not_taken(tmp_path: Path, kind: str) -> None:
    ground = Ground(tmp_path)
    path = ground.path / ".lock-p1"
    target = tmp_path / "target"
    target.write_text("precious")
    if kind == "link":
        path.symlink_to(target)
    elif kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    answer = ground.queue().try_lock()
    assert not answer.taken
    assert answer.detail
    assert target.read_text() == "precious"


def test_only_one_queue_has_the_lock_until_its_end(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    first, second = ground.queue(), ground.queue()
    assert first.try_lock().taken
    assert first.try_lock().taken
    answer = second.try_lock()
    assert (answer.taken, answer.detail) == (False, "")
    assert ground.queue("p2").try_lock().taken
    os.close(first.lock_fd)
    assert second.try_lock().taken
    assert (ground.path / ".lock-p1").stat().st_mode & 0o777 == 0o600


def test_a_lock_file_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    class Replaced(FaultyFiles):
        def flock(self, fd: int, operation: int) -> None:
            super().flock(fd, operation)
            (ground.path / ".lock-p1").unlink()

    files: Files = Replaced(-1, crash)
    assert not ground.queue(files=files).try_lock().taken
    assert ground.queue().try_lock().taken
