"""ls and stat: what is shown of the area of resources, and what never is."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc.lond.commands import directories
from lonc.wire.words import unescape
from tests.unit.resource_stage import ResourceStage, resource_stages


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ResourceStage]:
    yield from resource_stages(tmp_path)


def numbers(path: Path) -> str:
    facts = path.stat()
    mode, inode, device, *owners = facts[:6]  # Python's order; Perl has the device first
    shown = (
        device,
        inode,
        mode,
        *owners,
        facts.st_rdev,
        facts.st_size,
        *map(int, facts[7:10]),
        facts.st_blksize,
        facts.st_blocks,
    )
    return "&".join(str(number) for number in shown)


def names(stage: ResourceStage, path: str) -> list[str]:
    entries = stage.said(f"ls:{path}").split(":")
    return [unescape(entry.partition("&")[0].encode("latin-1")).decode() for entry in entries]


def test_ls_shows_names_and_numbers(stage: ResourceStage) -> None:
    two = stage.file("home/anna/a/b c:&=ä.html", "two")
    one = stage.res / "home/anna/a/x.html"
    expected = f"b%20c%3a%26%3d%c3%a4%2ehtml&{numbers(two)}:x%2ehtml&{numbers(one)}"
    assert stage.said("ls:/res/home/anna/a") == expected
    assert len(numbers(one).split("&")) == 13


@pytest.mark.parametrize("path", ["", "/", "/res", "/res/", "/home/httpd/html/res", "own"])
def test_ls_of_the_root(stage: ResourceStage, path: str) -> None:
    assert names(stage, stage.config.resources_dir if path == "own" else path) == ["away", "home"]
    assert stage.said("ls") == stage.said("ls:")


@pytest.mark.parametrize("path", ["home/anna/a", "/home/anna/a", "//home//anna/a/", "/res/home/anna/a"])
def test_paths_below_the_root(stage: ResourceStage, path: str) -> None:
    assert names(stage, path) == ["x.html"]
    assert stage.said(f"stat:{path}/x.html") == numbers(stage.res / "home/anna/a/x.html")


def test_ls_of_a_file_is_its_entry(stage: ResourceStage) -> None:
    assert stage.said("ls:home/anna/a/x.html") == f"x%2ehtml&{numbers(stage.res / 'home/anna/a/x.html')}"


def test_missing_and_empty(stage: ResourceStage) -> None:
    (stage.res / "home/empty").mkdir()
    assert stage.said("ls:home/empty") == "empty"
    for path in ("home/none", "home/none/none", "home/anna/a/x.html/more"):
        assert stage.said(f"ls:{path}") == "no_such_dir"
        assert stage.said(f"stat:{path}") == "no_such_dir"
    assert stage.said("stat:home") == numbers(stage.res / "home")
    assert stage.said("stat:") == numbers(stage.res)
    stage.res.rename(stage.root / "away")
    assert stage.said("ls:") == "no_such_dir"


def test_what_is_no_resource_is_not_shown(stage: ResourceStage) -> None:
    folder = stage.res / "home/anna/a"
    for name in (".hidden", "x.html.subscription", "x.html.in.transfer", "x.html.in.transfer.meta"):
        (folder / name).touch()
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(f"/proc/self/fd/{(fd := os.open(folder, os.O_RDONLY))}/s")
        os.close(fd)
        assert names(stage, "home/anna/a") == ["x.html"]
        for name in ("fifo", "s"):
            assert stage.said(f"stat:home/anna/a/{name}") == "no_such_dir"
            assert stage.said(f"ls:home/anna/a/{name}") == "no_such_dir"


def test_links_are_shown_by_what_they_lead_to_inside(stage: ResourceStage) -> None:
    folder = stage.res / "home/anna/a"
    (folder / "in").symlink_to("x.html")
    (folder / "up").symlink_to("../..")
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "dangling").symlink_to("none")
    (folder / "loop").symlink_to("loop")
    assert names(stage, "home/anna/a") == ["in", "up", "x.html"]
    assert stage.said("stat:home/anna/a/in") == numbers(folder / "x.html")
    assert names(stage, "home/anna/a/up") == ["anna"]
    for word in ("ls", "stat"):
        assert stage.said(f"{word}:home/anna/a/out") == "error: the path leads out of the root of resources"
        assert stage.said(f"{word}:home/anna/a/loop") == "no_such_dir"


@pytest.mark.parametrize("word", ["ls", "stat"])
@pytest.mark.parametrize(
    "path", ["..", "home/../..", "./home", "home/anna/a\0", "home/\x1b", "home/\xff", "x" * 221, "x/" * 1100]
)
def test_bad_paths_are_refused_and_not_quoted(stage: ResourceStage, word: str, path: str) -> None:
    said = stage.said(f"{word}:{path}")
    assert said.startswith("error: the path ")
    assert path not in said


def test_a_huge_directory_is_refused(stage: ResourceStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "ENTRIES_LIMIT", 3)
    for number in range(2):
        stage.file(f"home/anna/a/{number}", "")
    assert len(names(stage, "home/anna/a")) == 3
    stage.file("home/anna/a/one more", "")
    assert stage.said("ls:home/anna/a") == "error: the directory has more than 3 entries"


def test_a_path_with_colons_is_one_path(stage: ResourceStage) -> None:
    path = stage.file("home/anna/a/1:2:3", "")
    assert stage.said("stat:home/anna/a/1:2:3") == numbers(path)
