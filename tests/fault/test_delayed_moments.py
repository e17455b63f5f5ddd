"""Delayed messages, single moments that the sweeps of test_delayed_faults.py cannot tell apart."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lonc.delayed import DelayedQueue, DoneKind, Entry, Gone, Message, Young
from lonc.delayed.queue import AHEAD_BYTES
from tests.unit.delayed_ground import Crash, FaultyFiles, Ground, ready


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


class Moments(FaultyFiles):
    """Files with something done before calls of one kind whose first argument ends in a text; OSError fails it."""

    def __init__(self) -> None:
        super().__init__(-1, self.die)
        self._before: list[tuple[str, str, Callable[[], None]]] = []

    def before(self, call: str, ending: str, action: Callable[[], None]) -> None:
        """Have action done before the next such call."""
        self._before.append((call, ending, action))

    def _call(self, name: str, method: Callable[..., object], *arguments: object, **options: object) -> object:
        for planned in self._before:
            if planned[0] == name and str(arguments[0]).endswith(planned[1]):
                self._before.remove(planned)
                planned[2]()
                break
        return super()._call(name, method, *arguments, **options)


def fail(code: int = errno.EIO) -> Callable[[], None]:
    def action() -> None:
        raise OSError(code, os.strerror(code))

    return action


def sent_by_a_successor(ground: Ground) -> list[bytes]:
    queue = ground.queue()
    assert queue.try_lock().taken
    lines = []
    for entry in ground.look(queue).ready:
        message = queue.read(entry, ground.clock.mono)
        assert isinstance(message, Message)
        lines.append(message.line)
        assert queue.done(message).kind is DoneKind.DELETED
    return lines


def test_a_replaced_file_is_not_even_moved(ground: Ground) -> None:
    files = FaultyFiles(-1, lambda: None)
    queue, name = ground.queue(files=files), ground.name()
    ground.put(name)
    message = ground.message(queue, name)
    ground.replace(name, b"new\n")
    assert queue.done(message).kind is DoneKind.REPLACED
    assert "rename" not in files.calls


def test_two_replacements_in_the_moment_of_deletion_are_both_sent(ground: Ground) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name, b"old\n")
    message = ground.message(queue, name)
    files.before("rename", name, lambda: ground.replace(name, b"second\n"))
    files.before("lstat", ".sent-p1~", lambda: ground.replace(name, b"third\n"))
    assert queue.done(message).kind is DoneKind.REPLACED
    look = ground.look(queue)
    assert look.waiting == 2
    assert sorted(ground.message(queue, entry).line for entry in ready(look)) == [b"second", b"third"]


def test_an_answered_message_between_its_two_last_calls_is_not_sent_again(ground: Ground) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name)
    assert queue.try_lock()
    message = ground.message(queue, name)
    queue.sending(message)

    def kill() -> None:
        files.die()
        raise Crash

    files.before("unlink", ".sent-p1~", kill)
    with pytest.raises(Crash):
        queue.done(message)
    assert ".sent-p1~" in os.listdir(ground.path)
    assert sent_by_a_successor(ground) == []
    assert os.listdir(ground.path) == [".lock-p1"]


def test_a_deletion_cut_short_is_still_in_the_note_of_the_next_message(ground: Ground) -> None:
    files = Moments()
    queue = ground.queue(files=files)
    for n in (1, 2):
        ground.put(ground.name(n), b"%d\n" % n)
    assert queue.try_lock()
    first, second = (ground.message(queue, ground.name(n)) for n in (1, 2))
    queue.sending(first)
    files.before("unlink", ".sent-p1~", fail())
    assert queue.done(first).kind is DoneKind.FAILED
    queue.sending(second)
    files.die()
    assert sent_by_a_successor(ground) == [b"2"]


def test_what_could_not_go_back_is_not_buried_under_the_next_deletion(ground: Ground) -> None:
    files = Moments()
    queue = ground.queue(files=files)
    for n in (1, 2):
        ground.put(ground.name(n), b"%d\n" % n)
    first, second = (ground.message(queue, ground.name(n)) for n in (1, 2))
    files.before("rename", ground.name(1), lambda: ground.replace(ground.name(1), b"new\n"))
    files.before("rename", ".sent-p1~", fail())
    assert queue.done(first).kind is DoneKind.FAILED
    assert queue.done(second).kind is DoneKind.DELETED
    queue.finish()
    assert ground.message(queue, ready(ground.look(queue))[0]).line == b"new"


def test_no_descriptor_free_ends_the_run_for_a_second(ground: Ground) -> None:
    files, name, behind = Moments(), ground.name(1), ground.name(2)
    queue = ground.queue(files=files)
    ground.put(name)
    ground.put(behind)
    files.before("open", name, fail(errno.EMFILE))
    assert ground.read(queue, name) == Young(ground.clock.mono + 1)
    look = ground.look(queue)
    assert (ready(look), look.young_until, look.waiting) == ([], ground.clock.mono + 1, 2)
    ground.clock.advance(1)
    assert ready(ground.look(queue)) == [name, behind]
    assert isinstance(ground.read(queue, name), Message)


def test_a_file_that_cannot_be_read_for_now_is_passed_over_and_told_once(ground: Ground) -> None:
    files, name, behind = Moments(), ground.name(1), ground.name(2)
    queue = ground.queue(files=files)
    ground.put(name)
    ground.put(behind)
    files.before("read", "", fail())
    assert ground.read(queue, name) == Gone("cannot be read: Input/output error")
    look = ground.look(queue)
    assert (ready(look), look.problem) == ([behind], f"{name} cannot be read: Input/output error")
    assert ground.look(queue).problem is None
    ground.clock.advance(361)
    assert ready(ground.look(queue)) == [name, behind]


def test_a_file_written_while_it_is_read_is_read_again(ground: Ground) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name, b"half a")
    files.before("read", "", lambda: ground.replace_in_place(name, b"half a command\n"))
    assert ground.message(queue, name).line == b"half a command"


def test_a_file_rewritten_after_it_was_read_is_read_again(ground: Ground) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name, b"old\n")
    # the look after the reading
    files.before("read", "", lambda: files.before("fstat", "", lambda: ground.replace_in_place(name, b"new\n")))
    assert ground.message(queue, name).line == b"new"


def test_a_file_that_changes_at_every_reading_is_left_for_a_second(ground: Ground) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name)
    ages = iter(range(900, 0, -1))

    def change() -> None:
        ground.replace_in_place(name, b"ping\n", age=next(ages))
        files.before("read", "", change)

    files.before("read", "", change)
    assert ground.read(queue, name) == Young(ground.clock.mono + 1)


def test_half_a_companion_is_no_companion(ground: Ground) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name)
    files.before("write", "", fail(errno.ENOSPC))
    where = queue.reject(ground.message(queue, name), b"refused", 0)
    assert (where.where, where.with_reply) == (f"rejected/{name}", False)
    assert ground.names("rejected") == [name]


def test_a_replacement_in_the_moment_of_rejection_goes_back(ground: Ground) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name, b"old\n")
    message = ground.message(queue, name)
    files.before("rename", name, lambda: ground.replace(name, b"new\n"))
    assert queue.reject(message, b"refused", 0).kind is DoneKind.REPLACED
    assert ground.names("rejected") == []
    assert ground.message(queue, name).line == b"new"


def test_a_failed_deletion_is_made_good_and_never_sent_again(ground: Ground) -> None:
    name = ground.name()
    ground.put(name)

    class ReadOnly(FaultyFiles):
        broken = True

        def rename(self, src: str, dst: str) -> None:
            if self.broken:
                raise OSError(errno.EROFS, "Read-only file system")
            super().rename(src, dst)

    files = ReadOnly(-1, lambda: None)
    queue = ground.queue(files=files)
    done = queue.done(ground.message(queue, name))
    assert done.kind is DoneKind.FAILED
    assert "Read-only" in done.detail
    for _ in range(3):
        look = ground.look(queue)
        assert (ready(look), look.waiting) == ([], 0)
    files.broken = False
    assert name in ground.look(queue).notes[0]
    assert ground.names() == []


# --- read before its turn -----------------------------------------------------------------------------


def ahead(ground: Ground, queue: DelayedQueue, name: str) -> None:
    queue.read_ahead(next(entry for entry in ground.look(queue).ready if entry.name == name))


def opened(files: Moments) -> int:
    return files.calls.count("open")


def test_what_was_read_ahead_is_not_read_again(ground: Ground) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name, b"text\n")
    ahead(ground, queue, name)
    before = len(files.calls)
    assert ground.message(queue, name).line == b"text"
    assert files.calls[before:] == ["lstat"]
    assert ground.message(queue, name).line == b"text"  # asked for again, it is read again
    assert opened(files) == 2


@pytest.mark.parametrize("how", ["replaced", "rewritten", "removed", "made a link", "unreadable"])
def test_what_has_changed_since_it_was_read_ahead_is_met_anew(ground: Ground, how: str) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    path = ground.put(name, b"old\n")
    ahead(ground, queue, name)
    if how == "replaced":
        ground.replace(name, b"new\n")
    elif how == "rewritten":
        ground.replace_in_place(name, b"new\n")
    elif how == "unreadable":
        ground.replace(name, b"new\n")
        files.before("lstat", name, fail())
    else:
        path.unlink()
    if how == "made a link":
        path.symlink_to("elsewhere")
    if how in ("removed", "made a link"):
        assert ground.read(queue, name) == Gone("" if how == "removed" else "a symbolic link")
    else:
        assert ground.message(queue, name).line == b"new"


def test_what_was_read_ahead_while_it_was_written_is_read_again(ground: Ground) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name, b"old\n")
    files.before("close", "", lambda: ground.replace_in_place(name, b"new\n"))
    ahead(ground, queue, name)
    assert ground.message(queue, name).line == b"new"


@pytest.mark.parametrize("call", ["lstat", "open", "fstat", "read", "close"])
def test_an_error_at_reading_ahead_is_no_error(ground: Ground, call: str) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name)
    entry = ground.look(queue).ready[0]
    files.before(call, "", fail())
    queue.read_ahead(entry)
    assert ground.message(queue, name).line == b"ping"
    assert ground.look(queue).problem is None
    files.die()
    assert ground.names() == [name]


LONG = b"x" * AHEAD_BYTES + b"\n"


@pytest.mark.parametrize(
    "content", [b"", b"no newline", b"two\nlines\n", LONG], ids=["empty", "bare", "two", "long"]
)
def test_only_ordinary_files_are_kept_when_read_ahead(ground: Ground, content: bytes) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name, content)
    queue.read_ahead(Entry(ground.past, 0, name))
    before = opened(files)
    assert ground.names() == [name]  # nothing is set aside before its turn
    reading = ground.read(queue, name)
    assert isinstance(reading, Message) == (content.startswith(b"n") or len(content) > AHEAD_BYTES)
    assert opened(files) > before or not content


@pytest.mark.parametrize("age", [-100, 0, 4])
def test_a_young_file_is_not_read_ahead(ground: Ground, age: int) -> None:
    files, name = Moments(), ground.name(age=age)
    queue = ground.queue(files=files)
    ground.put(name, age=1000)
    queue.read_ahead(Entry(int(name.split(".")[0]), 0, name))
    assert opened(files) == 0


def test_another_file_than_the_one_read_ahead_is_read_as_ever(ground: Ground) -> None:
    queue = ground.queue()
    for n in (1, 2):
        ground.put(ground.name(n), b"%d\n" % n)
    ahead(ground, queue, ground.name(2))
    assert ground.message(queue, ground.name(1)).line == b"1"
    assert ground.message(queue, ground.name(2)).line == b"2"


def test_the_end_of_a_flush_forgets_what_was_read_ahead(ground: Ground) -> None:
    files, name = Moments(), ground.name()
    queue = ground.queue(files=files)
    ground.put(name)
    ahead(ground, queue, name)
    queue.finish()
    assert ground.message(queue, name).line == b"ping"
    assert opened(files) == 2
