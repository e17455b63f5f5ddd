"""When a delayed file is young (P5), also under clock jumps (P27), and when an empty one is set aside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lonc.delayed import Gone, Message, SetAside, Young
from tests.unit.delayed_ground import Ground, ready

YEARS_S = 3e8


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


# name's age, mtime's age, newline -> seconds until it is sent. The time in a name is a whole second, and the
# file no older than the end of it.
AGES = [
    (0, 0, True, 5),
    (0, 0, False, 5),
    (3, 1, True, 3),
    (3, 1, False, 4),
    (1, 3, True, 2),
    (1000, 0, True, 0),
    (1000, 0, False, 5),
    (0, 1000, True, 0),
    (0, 1000, False, 0),
    (-1000, -1000, True, 5),  # dated in the future: seen unchanged for 5 s is old
    (-1000, -1000, False, 5),
    (-1000, 2, True, 3),
    (1000, -1000, False, 5),
]


@pytest.mark.parametrize(("name_age", "age", "newline", "wait"), AGES)
def test_a_young_file_is_sent_when_it_is_old(
    ground: Ground, name_age: float, age: float, newline: bool, wait: float
) -> None:
    queue, name = ground.queue(), ground.name(age=name_age)
    ground.put(name, b"ping\n" if newline else b"ping", age=age)
    begin = ground.clock.mono
    for _ in range(3):  # only reading shows whether the newline is there, which may change the time once
        if ready(ground.look(queue, force=False)) == [name]:
            found = ground.read(queue, name)
            if isinstance(found, Message):
                break
        look = ground.look(queue)
        assert (ready(look), look.waiting) == ([], 1)
        assert look.young_until is not None
        assert ground.read(queue, name) == Young(look.young_until)
        ground.clock.advance(look.young_until - ground.clock.mono - 0.01)
        assert ready(ground.look(queue, force=False)) == []
        assert isinstance(ground.read(queue, name), Young)
        ground.clock.advance(0.01)
    assert ground.clock.mono - begin == pytest.approx(wait)
    assert isinstance(ground.read(queue, name), Message)


@pytest.mark.parametrize("jump", [YEARS_S, -YEARS_S])
def test_a_jump_of_the_clock_changes_no_pause(ground: Ground, jump: float) -> None:
    queue = ground.queue()
    names = [ground.name(n, age=0) for n in range(3)]
    for name in names:
        ground.put(name, age=0)
    ground.look(queue)
    ground.clock.advance(2)
    ground.clock.now_wall += jump
    assert ready(ground.look(queue)) == []
    assert isinstance(ground.read(queue, names[0]), Young)
    ground.clock.advance(3.1)
    assert ready(ground.look(queue)) == names  # all of them: no file waits for its own turn to be seen


def test_files_dated_in_the_future_wait_five_seconds_all_together(ground: Ground) -> None:
    queue = ground.queue()
    names = [ground.name(n, age=-YEARS_S) for n in range(50)]
    for name in names:
        ground.put(name, age=-YEARS_S)
    assert ground.look(queue).young_until == ground.clock.mono + 5
    ground.clock.advance(5)
    assert ready(ground.look(queue)) == names
    assert all(isinstance(ground.read(queue, name), Message) for name in names)


def test_a_young_file_ends_the_run_and_keeps_its_place(ground: Ground) -> None:
    queue = ground.queue()
    first, young, behind = ground.name(0), ground.name(1, age=1), ground.name(2, age=0)
    ground.put(first)
    ground.put(young, age=1)
    ground.put(behind)  # old by its mtime, but behind
    look = ground.look(queue)
    assert (ready(look), look.waiting) == ([first], 3)
    assert look.young_until == ground.clock.mono + 4
    ground.clock.advance(4)
    assert ready(ground.look(queue)) == [first, young, behind]


def test_a_young_file_found_only_at_reading_ends_the_run_too(ground: Ground) -> None:
    queue = ground.queue()
    first, young, behind = (ground.name(n) for n in range(3))
    for name in (first, behind):
        ground.put(name)
    ground.put(young, b"half a comm", age=1)
    assert ready(ground.look(queue)) == [first, young, behind]
    assert ground.read(queue, young) == Young(ground.clock.mono + 4)
    look = ground.look(queue)
    assert (ready(look), look.young_until) == ([first], ground.clock.mono + 4)


def test_a_file_that_grows_is_young_anew_and_its_newline_ends_that(ground: Ground) -> None:
    queue, name = ground.queue(), ground.name()
    path = ground.put(name, b"pi", age=0)
    ground.read(queue, name)
    ground.clock.advance(4)
    with path.open("ab") as file:
        file.write(b"ng")
    ground.date(path, 0)
    ground.clock.advance(2)
    assert isinstance(ground.read(queue, name), Young)
    with path.open("ab") as file:
        file.write(b"\n")
    ground.date(path, 0)
    assert ready(ground.look(queue, force=False)) == [name]
    assert ground.message(queue, name).line == b"ping"


def test_an_empty_file_is_young_then_passed_over_then_set_aside(ground: Ground) -> None:
    queue, name, other = ground.queue(), ground.name(1), ground.name(2)
    ground.put(name, b"", age=0)
    ground.put(other)
    assert isinstance(ground.read(queue, name), Young)
    assert ready(ground.look(queue)) == []
    ground.clock.advance(5)
    assert ready(ground.look(queue)) == [other]
    assert isinstance(ground.read(queue, name), Gone)
    ground.clock.advance(54.9)
    assert ground.look(queue).set_aside == ()
    ground.clock.advance(0.2)
    assert ground.look(queue).set_aside == ((name, "empty"),)
    assert ground.names("corrupt") == [name, f"{name}.reason"]
    assert ground.look(queue).set_aside == ()


def test_an_empty_file_that_is_written_after_all_is_sent(ground: Ground) -> None:
    queue, name = ground.queue(), ground.name()
    path = ground.put(name, b"", age=20)
    assert ground.read(queue, name) == Gone("empty")
    assert ready(ground.look(queue, force=False)) == []
    path.write_bytes(b"ping\n")  # changes nothing in the directory
    assert ready(ground.look(queue, force=False)) == [name]
    assert ground.message(queue, name).line == b"ping"


def test_an_old_empty_file_is_set_aside_when_it_is_read(ground: Ground) -> None:
    queue, name = ground.queue(), ground.name()
    ground.put(name, b"", age=61)
    assert ground.read(queue, name) == SetAside("empty")
    assert (ground.path / "corrupt" / f"{name}.reason").read_bytes() == b"empty\n"


def test_a_bad_file_is_not_touched_while_it_is_written_and_holds_nobody_back(ground: Ground) -> None:
    queue, name, other = ground.queue(), ground.name(1), ground.name(2)
    ground.put(name, b"one\ntwo\n", age=0)
    ground.put(other)
    assert ground.read(queue, name) == Gone("more than one line")
    assert ready(ground.look(queue)) == [other]
    assert ground.names() == [name, other]
    ground.clock.advance(5)
    assert ground.look(queue).set_aside == ((name, "more than one line"),)


def test_a_hard_link_is_an_ordinary_file(ground: Ground) -> None:
    """A writer that uses link() leaves two names for a moment; the content is whole from the first on."""
    queue, name = ground.queue(), ground.name()
    os.link(ground.put(".temporary"), ground.path / name)
    message = ground.message(queue, name)
    queue.done(message)
    assert os.listdir(ground.path) == [".temporary"]
