"""load and userload: the numbers, and directories that are large, missing or full of other things."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lonc.lond.commands import server
from tests.unit.command_stage import NOW
from tests.unit.resource_stage import ResourceStage, resource_stages


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ResourceStage]:
    yield from resource_stages(tmp_path)


def session(stage: ResourceStage, name: str, age_s: float) -> Path:
    path = Path(stage.config.ids_dir, name)
    path.touch()
    os.utime(path, (NOW - age_s, NOW - age_s))
    return path


def limit(stage: ResourceStage, **changed: float) -> None:
    stage.config = replace(stage.config, **changed)  # type: ignore[arg-type]  # names of numbers only
    stage.context = replace(stage.context, config=stage.config)


@pytest.mark.parametrize(
    ("load", "limit_", "said"),
    [(0.35, 2.0, "17.5"), (0.0, 2.0, "0"), (3.0, 2.0, "150"), (0.1, 0.3, "33.3333333333333")],
)
def test_load(
    stage: ResourceStage, monkeypatch: pytest.MonkeyPatch, load: float, limit_: float, said: str
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 9.0, 9.0))
    limit(stage, load_limit=limit_)
    assert stage.said("load") == said


def test_the_real_load_is_a_number(stage: ResourceStage) -> None:
    assert float(stage.said("load")) >= 0


def test_a_load_that_cannot_be_read(stage: ResourceStage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> tuple[float, float, float]:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", fail)
    assert stage.said("load") == "error: the load of this machine cannot be read"


def test_sessions_of_the_last_hour_count(stage: ResourceStage) -> None:
    for name, age_s in (("new", 0), ("old", 3601), ("edge", 3599), ("future", -500)):
        session(stage, name, age_s)
    limit(stage, user_load_limit=40.0)
    assert stage.said("userload") == "7.5"


def test_without_a_limit_it_is_nought_and_nothing_is_counted(stage: ResourceStage) -> None:
    os.rmdir(stage.config.ids_dir)
    assert stage.said("userload") == "0"


def test_only_regular_files_are_sessions(stage: ResourceStage) -> None:
    one = session(stage, "one", 0)
    ids = Path(stage.config.ids_dir)
    (ids / "folder").mkdir()
    (ids / "link").symlink_to(one)
    (ids / "dangling").symlink_to("nowhere")
    os.mkfifo(ids / "fifo")
    assert server.sessions(str(ids), NOW) == 1


def test_a_huge_directory_is_bounded_work(stage: ResourceStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SESSIONS_LIMIT", 5)
    for number in range(9):
        session(stage, str(number), 0)
    limit(stage, user_load_limit=100.0)
    assert stage.said("userload") == "5"


def test_sessions_that_cannot_be_counted(stage: ResourceStage) -> None:
    os.rmdir(stage.config.ids_dir)
    limit(stage, user_load_limit=1.0)
    assert stage.said("userload") == "error: the sessions of this server cannot be counted"


@pytest.mark.parametrize("word", ["load", "userload"])
def test_arguments_are_refused(stage: ResourceStage, word: str) -> None:
    assert stage.said(f"{word}:x") == f"error: {word} needs no arguments"
