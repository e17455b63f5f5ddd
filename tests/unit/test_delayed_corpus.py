"""The corpus of fault row 15: every kind of file and name, and that none stops the good one behind it (P7)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from lonc.delayed import Gone, Message, SetAside
from lonc.system.files import SystemFiles
from tests.unit.delayed_ground import Ground, ready

LIMIT = 1024


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


CONTENTS = [
    (b"ping\n", b"ping"),
    (b"ping", b"ping"),
    (b"encrypt:auth:d:u:p\n", b"encrypt:auth:d:u:p"),
    (b"\x00\x01\xff\xfe\r\n", b"\x00\x01\xff\xfe\r"),
    (b"   \n", b"   "),
    (b"\n", b""),
    (b"x" * LIMIT + b"\n", b"x" * LIMIT),
    (b"x" * LIMIT, b"x" * LIMIT),
    (b"x" * (LIMIT + 1), "a line of 1025 bytes, more than the longest of 1024"),
    (b"x" * (LIMIT + 1) + b"\n", "a line of 1025 bytes, more than the longest of 1024"),
    (b"x" * (LIMIT + 9) + b"\n", "1034 bytes, more than the longest line of 1024"),
    (b"encrypt:" + b"x" * LIMIT + b"\n", b"encrypt:" + b"x" * LIMIT),
    (b"encrypt:" + b"x" * (LIMIT + 1), "a line of 1033 bytes, more than the longest of 1024"),
    (b"one\ntwo\n", "more than one line"),
    (b"one\ntwo", "more than one line"),
    (b"one\n\n", "more than one line"),
    (b"\n\n", "more than one line"),
    (b"", "empty"),
]


@pytest.mark.parametrize(("content", "expected"), CONTENTS)
def test_contents(ground: Ground, content: bytes, expected: bytes | str) -> None:
    queue, name, good = ground.queue(max_line_bytes=LIMIT), ground.name(1), ground.name(2)
    path = ground.put(name, content)
    ground.put(good)
    assert ready(ground.look(queue)) == [name, good]
    found = ground.read(queue, name)
    if isinstance(expected, bytes):
        assert isinstance(found, Message)
        assert found.line == expected
        return
    assert found == SetAside(expected)
    assert not path.exists()
    assert (ground.path / "corrupt" / name).read_bytes() == content
    assert (ground.path / "corrupt" / f"{name}.reason").read_text() == expected + "\n"
    assert ready(ground.look(queue)) == [good]


def test_seventeen_megabytes_are_set_aside_unread(ground: Ground) -> None:
    queue, name = ground.queue(), ground.name()
    with (ground.path / name).open("wb") as file:
        file.truncate(17 << 20)
    ground.date(ground.path / name, 1000)
    assert isinstance(ground.read(queue, name), SetAside)
    assert (ground.path / "corrupt" / name).stat().st_size == 17 << 20


def make_socket(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(f"/proc/self/fd/{here}/{path.name}")  # the path itself may be too long for a socket
    finally:
        listener.close()
        os.close(here)


THINGS: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.mkdir(), "not a file but a directory"),
    (os.mkfifo, "not a file but a FIFO"),
    (make_socket, "not a file but a socket"),
]


@pytest.mark.parametrize(("make", "reason"), THINGS)
def test_things_that_are_no_files_are_set_aside_without_being_opened(
    ground: Ground, make: Callable[[Path], object], reason: str
) -> None:
    class NeverOpens(SystemFiles):
        def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
            assert not path.endswith("/" + name)
            return super().open(path, flags, mode, dir_fd)

    name, good = ground.name(1), ground.name(2)
    queue = ground.queue(files=NeverOpens())
    make(ground.path / name)
    ground.put(good)
    ground.date(ground.path / name, 0)
    assert isinstance(ground.read(queue, name), Gone)  # young: not touched, and nobody waits for it
    assert ready(ground.look(queue)) == [good]
    ground.clock.advance(5)
    assert ground.look(queue).set_aside == ((name, reason),)
    assert ground.names("corrupt") == [name, f"{name}.reason"]
    assert ready(ground.look(queue)) == [good]


@pytest.mark.parametrize("target", ["good", "directory", "nothing", "itself"])
def test_symbolic_links_are_left_alone_and_told_once(ground: Ground, target: str) -> None:
    queue, name, good = ground.queue(), ground.name(1), ground.name(2)
    ground.put(good)
    link = ground.path / name
    link.symlink_to({"good": good, "directory": ".", "nothing": "nowhere", "itself": name}[target])
    assert ground.read(queue, name) == Gone("a symbolic link")
    look = ground.look(queue)
    assert (ready(look), look.links, look.waiting, look.set_aside) == ([good], (name,), 1, ())
    assert ground.look(queue).links == ()
    assert link.is_symlink()
    link.unlink()
    ground.look(queue)
    link.symlink_to("nowhere")
    ground.read(queue, name)
    assert ground.look(queue).links == (name,)  # another one
    link.unlink()
    ground.put(name, b"a file now\n")
    assert ready(ground.look(queue)) == [name, good]
    assert ground.message(queue, name).line == b"a file now"


def test_rejected_corrupt_held_and_hidden_names_are_passed_over(ground: Ground) -> None:
    for folder in ("rejected", "corrupt", "held"):
        (ground.path / folder).mkdir()
        ground.put(f"{folder}/{ground.name()}")
    ground.put("." + ground.name())
    queue = ground.queue("a.b")
    look = ground.look(queue)
    assert (look.ready, look.waiting, look.set_aside, look.foreign) == ((), 0, (), ())


FOREIGN = ["two\nlines.p1", "a b.p1", "x..y.p1", "ä.p1", "\udcff.p1", "\x1b[2J.p1", "$(reboot).p1"]


@pytest.mark.parametrize("name", FOREIGN)
def test_names_with_foreign_characters_are_set_aside_when_old(ground: Ground, name: str) -> None:
    queue, good = ground.queue(), ground.name()
    ground.put(name, age=2)
    ground.put(good)
    look = ground.look(queue)
    assert (ready(look), look.set_aside, look.young_until) == ([good], (), None)
    ground.clock.advance(3)
    assert ground.look(queue).set_aside == ((name, "foreign characters in its name"),)
    assert ground.names() == sorted(["corrupt", good])
    assert ground.names("corrupt") == sorted([name, f"{name}.reason"])


@pytest.mark.parametrize("name", ["-rf.p1", "x" * 252 + ".p1", "%41.p1", "100.1.77..p1"])
def test_odd_but_clean_names_are_messages(ground: Ground, name: str) -> None:
    queue = ground.queue()
    ground.put(name)
    assert ready(ground.look(queue)) == [name]
    queue.done(ground.message(queue, name))
    assert ground.names() == []


def test_files_of_others_are_never_touched(ground: Ground) -> None:
    others = ["100.1.77.ping.p2", "100.1.77.ping.p3", "two\nlines.p2", "100.1.77.x.zz.p1", "nobodys"]
    for name in others:
        ground.put(name, b"", age=1000)
    look = ground.look(ground.queue("p1"))
    assert (look.ready, look.waiting, look.set_aside) == ((), 0, ())
    assert ground.names() == sorted(others)


def test_an_unreadable_directory_is_told(ground: Ground) -> None:
    class NoRight(SystemFiles):
        def listdir(self, path: str) -> list[str]:
            raise PermissionError(13, "Permission denied")

    ground.put(ground.name())
    look = ground.look(ground.queue(files=NoRight()))
    assert look.problem == f"{ground.path} cannot be read: Permission denied"
    assert look.ready == ()


def test_a_file_of_no_right_is_set_aside(ground: Ground) -> None:
    class NoRight(SystemFiles):
        def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
            if path.endswith("/" + name):
                raise PermissionError(13, "Permission denied")
            return super().open(path, flags, mode, dir_fd)

    queue, name = ground.queue(files=NoRight()), ground.name()
    ground.put(name)
    assert ground.read(queue, name) == SetAside("cannot be read: Permission denied")


def test_nothing_is_set_aside_while_another_process_has_the_lock(ground: Ground) -> None:
    holder, queue, name = ground.queue(), ground.queue(), ground.name()
    ground.put(name, b"one\ntwo\n")
    assert holder.try_lock()
    assert isinstance(ground.read(queue, name), Gone)
    look = ground.look(queue)
    assert (ready(look), look.set_aside, ground.names()) == ([], (), [name])
    os.close(holder.lock_fd)
    assert ground.look(queue).set_aside == ((name, "more than one line"),)
