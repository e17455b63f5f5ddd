"""What a queue remembers of single files, and forgets: answered, unanswered, passed over, on their way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lonc.delayed import DelayedQueue, DoneKind, Entry, Gone
from lonc.delayed.lock import FlushLock
from lonc.delayed.names import Owner
from lonc.system.files import SystemFiles
from tests.unit.delayed_calls import Recorder
from tests.unit.delayed_desk import broken
from tests.unit.delayed_ground import PEERS, Ground, ready


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def on_their_way(ground: Ground) -> list[str]:
    lock = FlushLock(SystemFiles(), str(ground.path), "p1", Owner("p1", PEERS))
    return [name for name, _ in lock.noted()]


def test_an_answered_message_is_not_sent_again_after_an_error_that_says_nothing(
    ground: Ground, files: Recorder
) -> None:
    queue, name = ground.queue(files=files), ground.name()
    ground.put(name)
    message = ground.message(queue, name)
    files.before(f"rename delayed/{name} delayed/.sent-p1~", broken())
    assert queue.done(message).kind is DoneKind.FAILED
    files.before(f"lstat delayed/{name}", broken())
    assert ready(ground.look(queue)) == []
    assert ground.names() == [name]
    assert ground.read(queue, name) == Gone("answered already")
    ground.clock.advance(361)
    look = ground.look(queue)
    assert (ready(look), look.waiting, ground.names()) == ([], 0, [])


def test_a_message_that_cannot_be_looked_at_keeps_its_three_links(ground: Ground, files: Recorder) -> None:
    queue, name = ground.queue(files=files), ground.name()
    ground.put(name)
    for _ in range(2):
        queue.unanswered(ground.message(queue, name))
    files.before(f"lstat delayed/{name}", broken())
    assert ground.read(queue, name) == Gone("[Errno 5] Input/output error")
    ground.clock.advance(361)
    assert queue.unanswered(ground.message(queue, name)) == 3


def test_a_message_without_a_reply_is_on_its_way_no_more(ground: Ground, files: Recorder) -> None:
    queue = ground.queue(files=files)
    names = [ground.name(n) for n in range(4)]
    for name in names:
        ground.put(name)
    assert queue.try_lock()
    first, second, third, fourth = (ground.message(queue, name) for name in names)
    assert queue.sending(first)
    assert queue.sending(second)
    assert on_their_way(ground) == names[:2]
    queue.unanswered(first)
    assert queue.sending(third)
    assert on_their_way(ground) == names[1:3]
    queue.done(second)
    queue.reject(third, b"no", 0)
    assert queue.sending(fourth)
    assert on_their_way(ground) == names[3:]
    (ground.path / ".move-p1~").mkdir()
    assert not queue.sending(second)
    (ground.path / ".move-p1~").rmdir()
    assert queue.sending(first)
    assert on_their_way(ground) == [names[3], names[0]]
    queue.finish()
    assert on_their_way(ground) == []


def test_a_file_passed_over_is_tried_again_exactly_at_its_time(ground: Ground, files: Recorder) -> None:
    queue, name = ground.queue(files=files, retry_max_s=100.0), ground.name()
    ground.put(name)
    files.before(f"open delayed/{name} NONBLOCK", broken())
    assert ground.read(queue, name) == Gone("cannot be read: Input/output error")
    look = ground.look(queue)
    assert (ready(look), look.waiting, look.oldest_wall) == ([], 1, ground.past)
    ground.clock.advance(99.99)
    assert ready(ground.look(queue)) == []
    ground.clock.advance(0.01)
    assert ready(ground.look(queue)) == [name]
    assert ground.message(queue, name).line == b"ping"


def test_a_rejected_message_that_stays_is_moved_with_its_reply_when_that_is_possible(
    ground: Ground, files: Recorder
) -> None:
    queue, name = ground.queue(files=files), ground.name()
    ground.put(name)
    message = ground.message(queue, name)
    rename = f"rename delayed/{name} delayed/rejected/{name}"
    files.before(rename, broken())
    rejection = queue.reject(message, b"no", 0)
    assert (rejection.kind, rejection.detail) == (DoneKind.FAILED, "[Errno 5] Input/output error")
    files.before(rename, broken(errno.EROFS))
    look = ground.look(queue)
    assert (ready(look), look.notes) == ([], ())
    assert look.problem == "[Errno 30] Read-only file system: an answered message stays"
    look = ground.look(queue)
    assert look.notes == (f"Delayed file {name}, answered earlier, is out of the queue now",)
    assert (ground.path / "rejected" / f"{name}.reply").read_bytes() == b"no\n"
    assert ground.look(queue).notes == ()


def test_the_lock_taken_to_set_a_file_aside_tells_what_may_be_double(ground: Ground) -> None:
    first, bad = ground.name(1), ground.name(2)
    ground.put(first)
    ground.put(bad, b"a\nb\n")
    files = Recorder(ground.path.parent)
    killed: DelayedQueue = ground.queue(files=files)
    assert killed.try_lock()
    assert killed.sending(ground.message(killed, first))
    files.close(killed.lock_fd)
    queue = ground.queue()
    assert str(ground.read(queue, bad)) == "SetAside(reason='more than one line')"
    assert queue.lock_fd >= 0
    answer = queue.try_lock()
    assert (answer.taken, answer.possibly_double) == (True, (first,))
    assert queue.try_lock().possibly_double == ()


def test_links_are_told_once_while_they_are_there(ground: Ground) -> None:
    queue, names = ground.queue(), [ground.name(n) for n in (1, 2)]
    for name in names:
        (ground.path / name).symlink_to("nowhere")
        ground.read(queue, name)
    assert ground.look(queue).links == tuple(names)
    (ground.path / names[0]).unlink()
    assert ground.look(queue).links == ()
    (ground.path / names[0]).symlink_to("nowhere")
    for name in names:
        ground.read(queue, name)
    assert ground.look(queue).links == (names[0],)


def test_what_is_no_more_is_forgotten(ground: Ground) -> None:
    queue, name = ground.queue(), ground.name()
    ground.put(name)
    for _ in range(2):
        queue.unanswered(ground.message(queue, name))
    path = ground.path / name
    kept = path.rename(ground.path / ".kept")
    ground.look(queue)
    kept.rename(path)
    assert queue.unanswered(ground.message(queue, name)) == 1


def test_files_of_another_form_keep_their_place_while_they_cannot_be_looked_at(
    ground: Ground, files: Recorder
) -> None:
    queue = ground.queue(files=files)
    ground.put("b.p1", age=500)
    ground.put("a.p1", age=400)
    assert ready(ground.look(queue)) == ["b.p1", "a.p1"]
    files.before("lstat delayed/b.p1", broken())
    look = ground.look(queue)
    assert (ready(look), look.waiting) == (["a.p1"], 2)
    assert look.problem == "[Errno 5] Input/output error"
    ground.clock.advance(360)
    assert ready(ground.look(queue)) == ["b.p1", "a.p1"]


def test_what_was_sent_once_after_three_links_comes_after_the_others_and_never_before_a_young_one(
    ground: Ground,
) -> None:
    queue, late, other = ground.queue(), ground.name(1), ground.name(2)
    ground.put(late)
    for _ in range(3):
        queue.unanswered(ground.message(queue, late))
    ground.put(other)
    ground.clock.advance(360)
    assert ready(ground.look(queue)) == [other, late]
    young = ground.name(3, age=0)
    ground.put(young, age=0)
    look = ground.look(queue)
    assert (ready(look), look.young_until) == ([other], ground.clock.mono + 5)
    ground.clock.advance(5)
    assert ready(ground.look(queue)) == [other, young, late]


@pytest.mark.parametrize(
    ("age", "content", "opens"),
    [(6.0, b"ping\n", 1), (5.99, b"ping\n", 0), (7.0, b"\n", 1), (7.0, b"", 0)],
)
def test_what_is_ordinary_is_read_ahead(
    ground: Ground, files: Recorder, age: float, content: bytes, opens: int
) -> None:
    queue, name = ground.queue(files=files), ground.name()
    ground.put(name, content)
    queue.read_ahead(Entry(ground.clock.wall() - age, 0, name))
    assert files.taken().count(f"open delayed/{name} NONBLOCK") == opens


@pytest.mark.parametrize(("number", "counts"), [("9" * 20, True), ("9" * 21, False), ("9" * 5000, False)])
def test_a_number_in_a_note_has_twenty_digits_at_most(ground: Ground, number: str, counts: bool) -> None:
    (ground.path / ".lock-p1").write_text(f"1.1.1.x.p1\t{number}:2:3:4\n")
    assert len(on_their_way(ground)) == int(counts)


def test_what_replaced_a_rejected_message_twice_goes_back_under_a_name_of_its_peer(
    ground: Ground, files: Recorder
) -> None:
    queue, name = ground.queue(files=files), ground.name()
    ground.put(name)
    message = ground.message(queue, name)
    moved = f"delayed/rejected/{name}"
    files.before(f"rename delayed/{name} {moved}", lambda: ground.replace(name, b"second\n"))
    files.before(
        f"lstat {moved}", lambda: files.before(f"lstat {moved}", lambda: ground.replace(name, b"third\n"))
    )
    assert queue.reject(message, b"no", 0).kind is DoneKind.REPLACED
    again = [ground.message(queue, one).line for one in ready(ground.look(queue))]
    assert sorted(again) == [b"second", b"third"]
    assert f"{ground.past}.1.0.restored.p1" in ground.names()


def test_what_the_end_of_a_flush_could_not_do_is_told(ground: Ground, files: Recorder) -> None:
    queue, names = ground.queue(files=files), [ground.name(n) for n in (1, 2)]
    for name in names:
        ground.put(name)
    queue.finish()
    assert ground.look(queue).problem is None
    queue.done(ground.message(queue, names[0]))
    queue.finish()
    assert ground.look(queue).problem is None
    files.before("unlink delayed/.sent-p1~", broken())
    assert queue.done(ground.message(queue, names[1])).kind is DoneKind.FAILED
    files.before("lstat delayed/.sent-p1~", broken(errno.EROFS))
    queue.finish()
    assert ground.look(queue).problem == "[Errno 30] Read-only file system"
    queue.finish()
    assert ".sent-p1~" not in os.listdir(ground.path)


def test_an_empty_line_has_its_newline(ground: Ground) -> None:
    queue, name = ground.queue(), ground.name()
    ground.put(name, b"\n", age=1)
    assert ground.message(queue, name).line == b""


def test_a_trouble_that_comes_again_is_told_again(ground: Ground, files: Recorder) -> None:
    queue, name = ground.queue(files=files), ground.name()
    ground.put(name)
    told: list[str | None] = []
    for wait in (0, 0, 361):
        ground.clock.advance(wait)
        if wait or not told:
            files.before(f"open delayed/{name} NONBLOCK", broken())
            assert isinstance(ground.read(queue, name), Gone)
        told.append(ground.look(queue).problem)
    text = f"{name} cannot be read: Input/output error"
    assert told == [text, None, text]


def test_the_end_of_a_flush_forgets_what_was_on_its_way(ground: Ground, files: Recorder) -> None:
    queue, names = ground.queue(files=files), [ground.name(n) for n in (1, 2)]
    for name in names:
        ground.put(name)
    assert queue.try_lock()
    first, second = (ground.message(queue, name) for name in names)
    assert queue.sending(first)
    queue.finish()
    assert queue.sending(second)
    assert on_their_way(ground) == names[1:]


def test_a_file_set_aside_is_synced_at_the_end_of_the_flush(ground: Ground, files: Recorder) -> None:
    queue, name = ground.queue(files=files), ground.name()
    ground.put(name, b"a\nb\n")
    ground.read(queue, name)
    files.taken()
    queue.finish()
    assert "fsync delayed" in files.taken()


def test_a_deletion_that_was_finished_after_all_is_noted_no_more(ground: Ground, files: Recorder) -> None:
    queue, names = ground.queue(files=files), [ground.name(n) for n in (1, 2, 3)]
    for name in names:
        ground.put(name)
    assert queue.try_lock()
    first, second, third = (ground.message(queue, name) for name in names)
    files.before("unlink delayed/.sent-p1~", broken())
    assert queue.done(first).kind is DoneKind.FAILED
    assert queue.sending(second)
    assert on_their_way(ground) == names[:2]
    queue.done(second)
    assert queue.sending(third)
    assert on_their_way(ground) == names[2:]
