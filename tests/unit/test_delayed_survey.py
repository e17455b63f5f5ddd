"""What a look at the directory asks of which file, in which order it hands them out, and what is read ahead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lonc.delayed import Gone, Message
from lonc.delayed.queue import AHEAD_BYTES
from tests.unit.delayed_calls import Recorder
from tests.unit.delayed_ground import Ground, ready


class Sorted(Recorder):
    """A record of a directory whose names always come in one order."""

    def listdir(self, path: str) -> list[str]:
        """List a directory."""
        return sorted(super().listdir(path))


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> Sorted:
    return Sorted(tmp_path)


def test_only_what_its_name_does_not_prove_old_is_asked_for_its_facts(ground: Ground, files: Sorted) -> None:
    queue = ground.queue(files=files)
    old, young = ground.name(1, age=6), ground.name(2, age=5)
    ground.put(old, age=0)
    ground.put(young, age=0)
    look = ground.look(queue)
    assert files.taken() == ["listdir delayed", f"lstat delayed/{young}", f"lstat delayed/{young}"]
    assert (ready(look), look.young_until) == ([old], ground.clock.mono + 1)


def test_a_change_two_seconds_ago_has_settled(ground: Ground, files: Sorted) -> None:
    queue = ground.queue(files=files)
    ground.date(ground.path, 2)
    for _ in range(2):
        ground.look(queue, force=False)
    assert files.taken() == ["listdir delayed"]


def test_names_of_another_form_stand_before_counters_of_their_second(ground: Ground) -> None:
    standard = [f"{ground.past}.{n}.1.x.p1" for n in (0, 1)]
    for name in (*standard, "b.p1", "a.p1"):
        ground.put(name)
    assert ready(ground.look(ground.queue())) == [standard[0], "a.p1", "b.p1", standard[1]]


def test_a_file_that_goes_while_the_directory_is_looked_at_hides_none(ground: Ground, files: Sorted) -> None:
    queue = ground.queue(files=files)
    for name in ("a.p1", "b.p1", "c.p1"):
        ground.put(name)
    files.before("lstat delayed/a.p1", (ground.path / "a.p1").unlink)
    assert ready(ground.look(queue)) == ["b.p1", "c.p1"]


def test_a_link_is_told_by_the_look_that_meets_it(ground: Ground) -> None:
    queue = ground.queue()
    (ground.path / "a.p1").symlink_to("nowhere")
    ground.put("b.p1")
    look = ground.look(queue)
    assert (ready(look), look.links) == (["b.p1"], ("a.p1",))
    assert ground.look(queue).links == ()


def test_how_long_an_empty_file_waits_can_be_set(ground: Ground) -> None:
    queue, name = ground.queue(empty_s=20.0), ground.name()
    ground.put(name, b"", age=19)
    assert ground.read(queue, name) == Gone("empty")
    ground.clock.advance(1)
    assert ground.look(queue).set_aside == ((name, "empty"),)


def test_what_replaced_a_bad_file_twice_goes_back_under_a_name_of_its_peer(ground: Ground, files: Sorted) -> None:
    queue, name = ground.queue(files=files), ground.name()
    ground.put(name, b"a\nb\n")
    moved = f"lstat delayed/corrupt/{name}"  # before it is moved, and after
    files.before(f"rename delayed/{name} delayed/corrupt/{name}", lambda: ground.replace(name, b"second\n"))
    files.before(moved, lambda: files.before(moved, lambda: ground.replace(name, b"third\n")))
    ground.read(queue, name)
    lines = [ground.message(queue, one).line for one in ready(ground.look(queue))]
    assert sorted(lines) == [b"second", b"third"]
    assert os.listdir(ground.path / "corrupt") == []


@pytest.mark.parametrize(("size", "opens"), [(AHEAD_BYTES, 1), (AHEAD_BYTES + 1, 0)])
def test_up_to_64_kib_are_read_ahead(ground: Ground, tmp_path: Path, size: int, opens: int) -> None:
    files, name = Recorder(tmp_path), ground.name()
    queue = ground.queue(files=files)
    ground.put(name, b"x" * (size - 1) + b"\n")
    entry = ground.look(queue).ready[0]
    queue.read_ahead(entry)
    assert sum(line.startswith("open ") for line in files.taken()) == opens
    assert isinstance(queue.read(entry, ground.clock.mono), Message)
    assert sum(line.startswith("open ") for line in files.taken()) == 1 - opens
