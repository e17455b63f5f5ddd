"""Delayed messages at their limits: exactly at an age, a size or a number, and each error of a call."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lonc.delayed import DelayedQueue, DoneKind, Entry, Gone, Young, reading
from lonc.delayed.leftovers import OLD_S, remove_leftovers
from lonc.delayed.listing import Listing
from lonc.delayed.names import Owner, companion, is_usual, numbered, standard_order
from lonc.delayed.results import Identity, identity_of, is_that
from lonc.delayed.sealing import sealed_size
from lonc.delayed.watch import Ages, Watch, first_seen
from lonc.system.files import SystemFiles
from tests.unit.delayed_calls import Recorder
from tests.unit.delayed_desk import broken
from tests.unit.delayed_ground import PEERS, Ground, ready

FILES = SystemFiles()


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


# --- names -------------------------------------------------------------------------------------------


def test_numbers_in_names_have_eighteen_digits_at_most() -> None:
    most = "9" * 18
    assert standard_order(f"{most}.{most}.1.x.p1") == (10**18 - 1, 10**18 - 1)
    for name in (f"9{most}.1.1.x.p1", f"1.9{most}.1.x.p1", "1.1..x.p1", "1.1.1.x-y.p1", "1.1.1.x.", "a1.1.1.x.p1"):
        assert standard_order(name) is None, name
    assert is_usual(f"{most}.{most}.1.a_Z9.p-1_x.Y")
    for name in ("1.1.1.x.p1\n", "1.1.1.x.p:1", f"9{most}.1.1.x.p1", "1.1.1.x.", " 1.1.1.x.p1"):
        assert not is_usual(name), name


def test_a_name_of_255_bytes_is_the_longest() -> None:
    assert companion("ä" * 124 + "x", ".reply") == "ä" * 124 + "x.reply"
    assert companion("ä" * 125, ".reply") is None
    assert [numbered("x", n) for n in (0, 1, 2)] == ["x", "x", "x-2"]
    assert numbered("x" * 253, 2) == "x" * 253 + "-2"
    assert numbered("x" * 254, 2) == "x" * 253 + "-2"
    assert numbered("ä" * 127, 2) == "ä" * 126 + "-2"


def test_whose_a_name_is_does_not_depend_on_the_table_alone() -> None:
    assert Owner("p9", []).mine("1.1.1.x.p9")
    assert Owner("p9", []).peer_of("x.y.p9") == "p9"
    assert Owner("b", ["a.b", "b"]).peer_of("x.a.b") == "a.b"
    assert Owner("b", ["a.b", "b"]).peer_of("x.a.c") is None
    assert Owner("b", ["b"]).peer_of(".x.b") is None


# --- a listing ---------------------------------------------------------------------------------------


def listing(ground: Ground, *, tells: bool = True) -> Listing:
    return Listing(str(ground.path), Owner("p1", PEERS), FILES, ground.clock, 2.0, tells=tells)


@pytest.mark.parametrize(("age", "settled"), [(0.5, 1.5), (2.0, 0.0), (9.0, 0.0), (-100.0, 2.0), (0.0, 2.0)])
def test_a_changed_directory_is_listed_until_its_change_is_two_seconds_old(
    ground: Ground, age: float, settled: float
) -> None:
    names = listing(ground)
    ground.date(ground.path, age)
    assert names.refresh(100.0, force=False)
    if settled:
        assert names.refresh(100.0 + settled - 0.01, force=False)
        assert names.refresh(100.0 + settled, force=False)
    assert not names.refresh(100.0 + settled + 0.01, force=False)
    assert names.refresh(100.0 + settled + 0.01, force=True)


def test_a_directory_that_goes_and_comes_is_listed_anew(ground: Ground) -> None:
    names, name = listing(ground), ground.name()
    ground.put(name)
    ground.date(ground.path, 100)
    assert names.refresh(1.0, force=False)
    assert names.mine == [name]
    ground.path.rename(ground.path.parent / "away")
    assert names.refresh(2.0, force=False)
    assert (names.mine, names.problem) == ([], None)
    assert names.refresh(3.0, force=False)
    (ground.path.parent / "away").rename(ground.path)
    assert names.refresh(4.0, force=False)
    assert (names.mine, names.problem) == ([name], None)
    assert not names.refresh(5.0, force=False)


def test_a_problem_ends_with_the_next_listing(ground: Ground) -> None:
    names = listing(ground)
    ground.path.rmdir()
    ground.path.touch()
    assert names.refresh(1.0, force=False)
    assert names.problem == f"{ground.path} cannot be read: Not a directory"
    ground.path.unlink()
    ground.path.mkdir(0o700)
    assert names.refresh(2.0, force=False)
    assert names.problem is None


def test_each_mode_that_lets_others_in_is_told_once(ground: Ground) -> None:
    names, quiet = listing(ground), listing(ground, tells=False)
    told = []
    for mode in (0o700, 0o701, 0o701, 0o702, 0o770, 0o702, 0o704):
        ground.path.chmod(mode)
        names.refresh(1.0, force=True)
        quiet.refresh(1.0, force=True)
        told.append(names.notes)
        names.notes = []
    wanted = [None, "0701", None, "0702", None, "0702", "0704"]
    assert told == [
        [f"{ground.path} can be entered by others (mode {mode}): it should be 0700"] if mode else []
        for mode in wanted
    ]
    assert quiet.notes == []


def test_old_leftovers_go_and_none_stops_the_others(tmp_path: Path, ground: Ground) -> None:
    files = Recorder(tmp_path)
    names = [".new-1~", ".new-2~", ".new-3~", ".new-4~", "x.new-5~", ".new-6~x"]
    for name in names:
        ground.put(name, age=OLD_S + 1)
    ground.put(".new-3~", age=OLD_S)
    for n in (1, 2):
        files.before(f"lstat delayed/.new-{n}~", broken())
        files.before(f"unlink delayed/.new-{n}~", broken(errno.EPERM))
    remove_leftovers(files, ground.clock, str(ground.path), r"\.new-.~")
    assert sorted(os.listdir(ground.path)) == sorted({*names} - {".new-4~"})
    for _ in range(2):
        remove_leftovers(files, ground.clock, str(ground.path), r"\.new-.~")
    assert sorted(os.listdir(ground.path)) == [".new-3~", ".new-6~x", "x.new-5~"]
    remove_leftovers(files, ground.clock, str(ground.path / "none"), r".*")


# --- ages --------------------------------------------------------------------------------------------


def facts_of(ground: Ground, *, age: float, size: int = 1) -> os.stat_result:
    return ground.put("file", b"x" * size, age=age).lstat()


@pytest.mark.parametrize(
    ("name_age", "mtime_age", "standard", "line", "bare", "empty"),
    [
        (3.0, 1.0, True, 3.0, 4.0, 59.0),
        (3.0, 1.0, False, 4.0, 4.0, 59.0),
        (6.0, 5.0, True, 0.0, 0.0, 55.0),
        (5.5, 0.0, True, 0.5, 5.0, 60.0),
        (0.0, 60.0, True, 0.0, 0.0, 0.0),
        (0.0, 61.0, False, 0.0, 0.0, 0.0),
        (-9.0, -9.0, True, 5.0, 5.0, 60.0),
    ],
)
def test_when_a_file_is_old_is_fixed_when_it_is_first_seen(
    ground: Ground, name_age: float, mtime_age: float, standard: bool, line: float, bare: float, empty: float
) -> None:
    wall = ground.clock.now_wall
    entry = Entry(wall - name_age, 0, "x")
    seen = first_seen(entry, standard, facts_of(ground, age=mtime_age), 100.0, wall, Ages())
    assert (seen.line_old_at, seen.bare_old_at, seen.empty_at) == (100.0 + line, 100.0 + bare, 100.0 + empty)
    assert seen.identity == identity_of((ground.path / "file").lstat())


def test_what_a_watch_says() -> None:
    identity = Identity(1, 2, 3, 4)
    watch = Watch(identity, stat.S_IFREG, 10.0, 20.0, 30.0)
    assert (watch.old_at, watch.link, watch.empty) == (10.0, False, False)
    assert (watch.ends_run_until(9.9), watch.ends_run_until(10.0)) == (10.0, None)
    watch.hold_until = 12.0
    assert (watch.ends_run_until(11.9), watch.ends_run_until(12.0)) == (12.0, None)
    watch.bare = True
    assert (watch.old_at, watch.ends_run_until(15.0)) == (20.0, 20.0)
    watch.answered = True
    assert watch.ends_run_until(15.0) is None
    assert Watch(identity, stat.S_IFREG, 10.0, 20.0, 30.0, bad="odd").old_at == 20.0
    assert Watch(identity, stat.S_IFREG, 10.0, 20.0, 30.0, bad="odd").ends_run_until(5.0) is None
    empty = Watch(Identity(1, 2, 0, 4), stat.S_IFREG, 10.0, 20.0, 30.0)
    assert (empty.empty, empty.old_at, empty.ends_run_until(19.0)) == (True, 20.0, 20.0)
    link = Watch(Identity(1, 2, 0, 4), stat.S_IFLNK, 10.0, 20.0, 30.0)
    assert (link.link, link.empty, link.ends_run_until(5.0)) == (True, False, None)


def test_another_file_and_other_content_have_another_identity(ground: Ground) -> None:
    facts = facts_of(ground, age=5)
    identity = identity_of(facts)
    assert is_that(facts, identity)
    for n in range(4):
        assert not is_that(facts, Identity(*(value + (place == n) for place, value in enumerate(identity))))


def test_exactly_at_its_time_a_file_is_done_with(ground: Ground) -> None:
    queue, empty, bad = ground.queue(), ground.name(1), ground.name(2)
    ground.put(empty, b"", age=0)
    ground.put(bad, b"a\nb\n", age=0)
    ground.look(queue)
    assert ground.read(queue, bad) == Gone("more than one line")
    ground.clock.advance(4.999)
    assert ground.look(queue).set_aside == ()
    ground.clock.advance(0.001)
    assert ground.look(queue).set_aside == ((bad, "more than one line"),)
    ground.clock.advance(54.999)
    assert (ground.look(queue).set_aside, ground.read(queue, empty)) == ((), Gone("empty"))
    ground.clock.advance(0.001)
    assert ground.look(queue).set_aside == ((empty, "empty"),)


def test_the_limits_are_those_of_the_manual_when_nothing_else_is_said(ground: Ground) -> None:
    queue = DelayedQueue(str(ground.path), "a.b", PEERS, files=FILES, clock=ground.clock)
    big, name = ground.name(1, peer="a.b"), ground.name(2, age=0, peer="a.b")
    with (ground.path / big).open("wb") as file:
        file.truncate(sealed_size(16777216 + 8) + 2)
    ground.date(ground.path / big, 1000)
    ground.put(name, b"")
    ground.date(ground.path / name, 0)
    look = ground.look(queue)
    assert look.young_until == ground.clock.mono + 5
    assert str(ground.read(queue, big)) == (
        f"SetAside(reason='{sealed_size(16777224) + 2} bytes, more than the longest line of 16777216')"
    )
    ground.clock.advance(60)
    assert ground.look(queue).set_aside == ((name, "empty"),)
    ground.put(name)
    for _ in range(3):
        queue.unanswered(ground.message(queue, name))
    ground.clock.advance(359.9)
    assert ready(ground.look(queue)) == []
    ground.clock.advance(0.1)
    assert ready(ground.look(queue)) == [name]


@pytest.mark.parametrize(
    ("peer", "peers", "tells"),
    [("a", ["a", "b"], True), ("b", ["a", "b"], False), ("a", ["b"], True), ("z", [], True)],
)
def test_the_first_of_the_table_tells_what_concerns_nobody(
    ground: Ground, peer: str, peers: list[str], tells: bool
) -> None:
    ground.put("stray")
    for given, expected in ((None, tells), (True, True), (False, False)):
        queue = DelayedQueue(str(ground.path), peer, peers, files=FILES, clock=ground.clock, tells=given)
        assert ground.look(queue).foreign == (("stray",) if expected else ())


# --- reading -----------------------------------------------------------------------------------------


def read_after(ground: Ground, line: str, action: Callable[[], None]) -> reading.Found:
    """Read a file when something is done before the call written as `line`."""
    files = Recorder(ground.path)
    facts = ground.put("f", b"ping\n").lstat()
    files.before(line, action)
    found = reading.read(files, str(ground.path / "f"), Entry(0, 0, "f"), identity_of(facts), 100, bytes)
    assert files.descriptors == []
    return found


@pytest.mark.parametrize("call", ["open f NONBLOCK", "fstat f", "read f 5", "close f"])
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.EACCES, reading.Bad("cannot be read: Permission denied")),
        (errno.EPERM, reading.Bad("cannot be read: Operation not permitted")),
        (errno.EMFILE, reading.Unreadable("cannot be read: Too many open files", True)),
        (errno.ENFILE, reading.Unreadable("cannot be read: Too many open files in system", True)),
        (errno.ENOMEM, reading.Unreadable("cannot be read: Cannot allocate memory", True)),
        (errno.EAGAIN, reading.Unreadable("cannot be read: Resource temporarily unavailable", True)),
        (errno.EINTR, reading.Unreadable("cannot be read: Interrupted system call", True)),
        (errno.EIO, reading.Unreadable("cannot be read: Input/output error", False)),
    ],
)
def test_what_an_error_at_reading_means(ground: Ground, call: str, code: int, expected: reading.Found) -> None:
    assert read_after(ground, call, broken(code)) == expected


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.ENXIO])
def test_what_is_no_file_any_more_has_changed(ground: Ground, code: int) -> None:
    assert read_after(ground, "open f NONBLOCK", broken(code)) == reading.Changed()


def test_a_file_cut_while_it_is_read_has_changed(ground: Ground) -> None:
    path = ground.path / "f"
    files = Recorder(ground.path)
    identity = identity_of(ground.put("f", b"ping\n").lstat())
    files.before("read f 5", lambda: files.before("fstat f", lambda: os.utime(path, (5, 5))))
    assert reading.read(files, str(path), Entry(0, 0, "f"), identity, 100, bytes) == reading.Changed()
    assert read_after(ground, "read f 5", lambda: os.truncate(path, 2)) == reading.Changed()
    assert read_after(ground, "open f NONBLOCK", lambda: os.truncate(path, 2)) == reading.Changed()


def test_what_can_be_a_message_by_its_kind_and_size() -> None:
    most = sealed_size(108) + 1
    assert reading.why_bad(stat.S_IFREG, most, 100) == ""
    assert reading.why_bad(stat.S_IFREG, most + 1, 100) == f"{most + 1} bytes, more than the longest line of 100"
    assert reading.why_bad(stat.S_IFDIR, 0, 100) == "not a file but a directory"


def test_what_is_unsealed_is_one_line_within_the_limit(ground: Ground) -> None:
    lines = {
        b"sealed:a": b"x" * 100,
        b"sealed:b": b"x" * 101,
        b"sealed:c": b"a\nb",
        b"sealed:d": b"encrypt:" + b"x" * 100,
    }

    def read(data: bytes) -> object:
        facts = ground.put("f", data).lstat()
        return reading.read(
            FILES, str(ground.path / "f"), Entry(0, 0, "f"), identity_of(facts), 100, lines.__getitem__
        )  # fmt: skip

    found = read(b"sealed:a\n")
    assert isinstance(found, reading.Content)
    assert (found.message.line, found.bare) == (b"x" * 100, False)
    found = read(b"sealed:d")
    assert isinstance(found, reading.Content)
    assert (len(found.message.line), found.bare) == (108, True)
    assert read(b"sealed:b") == reading.Bad("a line of 101 bytes, more than the longest of 100")
    assert read(b"sealed:c") == reading.Bad("more than one line")


def test_a_file_is_tried_three_times(ground: Ground, tmp_path: Path) -> None:
    files, name = Recorder(tmp_path), ground.name()
    queue = ground.queue(files=files)
    ground.put(name)
    for n in range(3):
        files.before(f"read delayed/{name} 5", lambda n=n: ground.replace_in_place(name, b"ping\n", age=900 - n))  # type: ignore[misc]  # bound at once
    assert ground.read(queue, name) == Young(ground.clock.mono + 1)
    ground.clock.advance(1)
    for n in range(2):
        files.before(f"read delayed/{name} 5", lambda n=n: ground.replace_in_place(name, b"ping\n", age=800 - n))  # type: ignore[misc]  # bound at once
    assert ground.message(queue, name).line == b"ping"


# --- deletions and their sync ------------------------------------------------------------------------


def test_a_sync_that_fails_is_told_and_tried_again(ground: Ground, tmp_path: Path) -> None:
    files = Recorder(tmp_path)
    queue = ground.queue(files=files)
    names = [ground.name(n) for n in range(66)]
    for name in names:
        ground.put(name)
    files.before("fsync delayed", broken())
    for name in names[:65]:
        queue.done(ground.message(queue, name))
    assert files.taken().count("fsync delayed") == 2  # at the 64th, and again at the 65th
    queue.done(ground.message(queue, names[65]))
    files.before("open delayed DIRECTORY", broken(errno.EMFILE))
    queue.finish()
    told = "deletions are not on the disk yet: [Errno 24] Too many open files"
    assert ground.look(queue).problem == told
    queue.finish()
    assert "fsync delayed" in files.taken()


def test_what_is_wrong_is_told_with_the_next_look(ground: Ground, tmp_path: Path) -> None:
    files, name, bad = Recorder(tmp_path), ground.name(1), ground.name(2)
    queue = ground.queue(files=files)
    ground.put(name)
    ground.put(bad, b"a\nb\n")
    message = ground.message(queue, name)
    files.before("lstat delayed/.move-p1~", broken(errno.EACCES))
    assert not queue.sending(message)
    told = "it cannot be seen whether messages are being moved"
    assert ground.look(queue).problem == f"[Errno 13] Permission denied: {told}"
    (ground.path / "corrupt").touch()
    assert ground.read(queue, bad) == Gone("more than one line")
    corrupt = f"[Errno 20] not a directory but a regular file: '{ground.path}/corrupt'"
    assert ground.look(queue).problem == f"{corrupt}: a file that can be no message stays"
    (ground.path / bad).unlink()
    files.before(f"lstat delayed/{name}", broken())
    assert queue.done(message).detail == "[Errno 5] Input/output error"
    files.before(f"lstat delayed/{name}", lambda: files.before(f"lstat delayed/{name}", broken()))
    assert ground.look(queue).problem == "[Errno 5] Input/output error: an answered message stays"
    look = ground.look(queue)
    assert look.notes == (f"Delayed file {name}, answered earlier, is out of the queue now",)
    assert queue.done(message).kind is DoneKind.GONE
