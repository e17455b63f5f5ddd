"""Who is called for delayed messages when nobody's child looks: once for each file, and never in a circle."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lonc.errors import ExitCode
from lonc.parent.compare import kin
from lonc.parent.errands import RECALL_S, Errands
from lonc.parent.house import House
from lonc.peers import ChildExited, Input, Knocked, Peers, Replaced, Rules, Spawned
from lonc.system.files import SystemFiles

WHEN = 1_700_000_000.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return self.now

    def wall(self) -> float:
        """Return wall seconds."""
        return WHEN + self.now


class Ground:
    """A delayed directory, the table of `peers`, and what was called."""

    def __init__(self, root: Path, *hosts: str, on_demand: bool = True) -> None:
        self.directory = root / "delayed"
        self.clock = Clock()
        self.said: list[str] = []
        self.called: list[str] = []
        self.peers = Peers(Rules(on_demand=on_demand))
        config = SimpleNamespace(delayed_dir=str(self.directory), delayed_scan_s=15.0, on_demand=on_demand)
        log = SimpleNamespace(write=lambda text, *_severity: self.said.append(text))
        self.house: Any = SimpleNamespace(
            config=config, files=SystemFiles(), clock=self.clock, log=log, hosts={}, peers=self.peers
        )
        self.set_hosts(*hosts)
        self.errands = Errands(cast(House, self.house), self.give)

    def set_hosts(self, *hosts: str) -> None:
        """Serve these."""
        self.house.hosts = dict.fromkeys(hosts)
        for name in hosts:
            if name not in self.peers:
                self.peers.add(name, self.clock.now)

    def give(self, name: str, what: Input) -> None:
        """Be the performer: a knock forks."""
        self.called.append(name)
        self.peers.on_input(name, what, self.clock.now)
        self.peers.on_input(name, Spawned(7), self.clock.now)

    def leave(self, name: str, code: int = ExitCode.IDLE) -> None:
        """End the child of a peer."""
        self.peers.on_input(name, ChildExited(code), self.clock.now)
        self.errands.child_left(name, idle=code == ExitCode.IDLE)

    def put(self, name: str) -> Path:
        """Write a file, in a directory that has not changed for long."""
        self.directory.mkdir(exist_ok=True)
        path = self.directory / name
        path.write_text("put:x\n")
        os.utime(self.directory, (WHEN, WHEN + self.clock.now - 100))
        return path

    def look(self, after_s: float = 15.0) -> list[str]:
        """Let time pass; return who was called."""
        self.called.clear()
        self.clock.now += after_s
        if self.errands.due(self.clock.now):
            self.errands.look(self.clock.now)
        return self.called


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path, "a", "b", "c.b")


def test_without_on_demand_nobody_looks(tmp_path: Path) -> None:
    ground = Ground(tmp_path, "a", on_demand=False)
    ground.put("1.1.1.x.a")
    assert ground.errands.next_look is None
    ground.errands.hurry()
    assert ground.look(1e6) == []


def test_the_first_look_is_at_once_and_calls_whoever_has_files(ground: Ground) -> None:
    for name in ("1.1.1.x.a", "2.1.1.x.a", "3.1.1.x.c.b", ".hidden.b", "4.1.1.x.gone", "5.1.1.x.gone.a"):
        ground.put(name)
    (ground.directory / "rejected").mkdir()
    assert sorted(ground.look(0.0)) == ["a", "c.b"]
    assert ground.look(14.9) == []  # not yet
    assert ground.errands.next_look == 1015.0
    assert "Delayed messages wait for a: its child is started" in ground.said
    for name in ("4.1.1.*.gone", "5.1.1.*.gone.a"):
        assert f"Delayed file {name} is for a host that is not in the table: it stays" in ground.said


def test_a_missing_directory_is_no_problem_and_one_that_comes_is_seen(ground: Ground) -> None:
    assert ground.look() == []
    assert ground.said == []
    ground.put("by-hand.b")
    assert ground.look() == ["b"]


def test_what_cannot_be_listed_is_told_once(ground: Ground) -> None:
    ground.directory.write_text("a file")
    ground.look()
    ground.look()
    assert len(ground.said) == 1
    assert ground.said[0].startswith("Delayed directory: ")
    ground.directory.unlink()
    ground.look()
    ground.directory.write_text("a file")
    ground.look()
    assert len(ground.said) == 2


def test_nothing_new_is_one_stat(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.put("1.1.1.x.gone")
    ground.look()
    ground.look()
    listed: list[str] = []
    plain: Callable[[str], list[str]] = ground.house.files.listdir

    def counted(path: str) -> list[str]:
        listed.append(path)
        return plain(path)

    monkeypatch.setattr(ground.house.files, "listdir", counted)
    for _ in range(100):
        ground.look()
    assert listed == []
    ground.put("2.1.1.x.gone")
    ground.look()
    assert len(listed) == 1


def test_a_child_that_lives_is_left_alone(ground: Ground) -> None:
    ground.put("1.1.1.x.a")
    assert ground.look() == ["a"]
    ground.put("2.1.1.x.a")
    assert ground.look() == []


def test_a_message_that_came_while_the_child_left_is_seen_though_the_directory_stays_as_it_was(
    ground: Ground,
) -> None:
    ground.put("1.1.1.x.a").unlink()
    ground.put("1.1.1.x.b")
    ground.look()
    ground.give("a", Knocked())
    ground.put("2.1.1.x.a")
    assert ground.look() == []  # seen, but a child lived
    ground.leave("a")
    assert ground.look() == ["a"]


def test_what_a_child_left_behind_as_idle_calls_nobody_again_for_long(ground: Ground) -> None:
    ground.put("1.1.1.x.a")
    assert ground.look() == ["a"]
    assert ground.look(2 * RECALL_S) == []
    ground.leave("a")
    for _ in range(20):
        assert ground.look() == []
    assert ground.look(RECALL_S) == ["a"]
    ground.leave("a")
    assert ground.look() == []


def test_a_new_file_beside_what_was_left_calls_the_child(ground: Ground) -> None:
    ground.put("1.1.1.x.a")
    ground.look()
    ground.leave("a")
    assert ground.look() == []
    ground.put("2.1.1.x.a")
    assert ground.look() == ["a"]
    ground.leave("a")
    assert ground.look() == []


def test_a_name_that_was_gone_meanwhile_is_new(ground: Ground) -> None:
    path = ground.put("1.1.1.x.a")
    ground.look()
    path.unlink()
    ground.look()
    ground.leave("a")
    assert ground.look() == []
    ground.put("1.1.1.x.a")
    assert ground.look() == ["a"]


@pytest.mark.parametrize("code", [ExitCode.OK, ExitCode.CRASHED, -9])
def test_a_child_that_had_to_make_room_has_passed_over_nothing(ground: Ground, code: int) -> None:
    ground.put("1.1.1.x.a")
    ground.look()
    ground.peers.on_input("a", Replaced(), ground.clock.now)
    ground.leave("a", code)
    assert ground.look() == ["a"]


def test_when_somebody_asks_everything_is_looked_at_anew_and_at_once(ground: Ground) -> None:
    ground.put("1.1.1.x.a")
    ground.look()
    ground.leave("a")
    assert ground.look() == []
    ground.errands.hurry()
    assert ground.look(0.0) == ["a"]


def test_a_new_table_has_new_owners(ground: Ground) -> None:
    ground.put("1.1.1.x.new")
    assert ground.look() == []
    ground.set_hosts("a", "new")
    ground.errands.hurry()
    assert ground.look(0.0) == ["new"]


def test_whose_files_may_have_changed_hands() -> None:
    assert kin(["x.y.z", "n"], {"z", "y.z", "x.y.z", "y", "n"}) == {"z", "y.z"}
    assert kin([], {"a"}) == set()
