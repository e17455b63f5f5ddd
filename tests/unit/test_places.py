"""Places of resources: nobody who exchanges directories for links gets anything done outside of the root."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc.lonnet import places
from lonc.lonnet.places import PathRefused, inside, opened, rest_of
from lonc.system.files import SystemFiles
from tests.unit.resource_stage import ANNA, ResourceStage, resource_stages


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ResourceStage]:
    yield from resource_stages(tmp_path)


@pytest.mark.parametrize("link", ["home", "home/anna", "home/anna/a"])
def test_a_link_put_there_after_the_resolving_is_not_followed(
    stage: ResourceStage, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    resolved = places._resolved

    def late(root: str, rest: str, *, follow: bool) -> str:
        found = resolved(root, rest, follow=follow)
        path = stage.res / link
        path.rename(stage.root / "outside")
        path.symlink_to(stage.root / "outside")
        return found

    monkeypatch.setattr(places, "_resolved", late)
    assert stage.said(f"sub:{ANNA}/a/x.html") == "not_found"
    assert list((stage.root / "outside").rglob("*.subscription")) == []


def test_an_open_place_stays_what_it_was(stage: ResourceStage) -> None:
    files = SystemFiles()
    (stage.root / "outside").mkdir()
    with opened(stage.config, files, "home/anna/a/x.html") as place:
        (stage.res / "home/anna/a").rename(stage.res / "home/anna/b")
        (stage.res / "home/anna/a").symlink_to(stage.root / "outside")
        Path(place.path(".new")).touch()
    assert sorted(os.listdir(stage.res / "home/anna/b")) == ["x.html", "x.html.new"]
    assert os.listdir(stage.root / "outside") == []


def test_somebody_exchanges_directory_and_link_all_the_time(stage: ResourceStage) -> None:
    outside = stage.root / "outside"
    outside.mkdir()
    (outside / "x.html").write_text("secret")
    folder, aside = stage.res / "home/anna/a", stage.res / "home/anna/aside"
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            folder.rename(aside)
            folder.symlink_to(outside)
            folder.unlink()
            aside.rename(folder)

    worker = threading.Thread(target=exchange)
    worker.start()
    try:
        said = {stage.said(f"sub:{ANNA}/a/x.html") for _ in range(300)}
    finally:
        over.set()
        worker.join(20)
    assert said <= {"http://here.example/raw/home/anna/a/x.html", "rejected", "not_found"}
    assert os.listdir(outside) == ["x.html"]


def test_directories_are_made_inside_only(stage: ResourceStage) -> None:
    files = SystemFiles()
    with opened(stage.config, files, "new/one/two/x.html", make=True) as place:
        assert (place.name, place.real) == ("x.html", "new/one/two/x.html")
        assert place.owner == ("new", "one")
    assert (stage.res / "new/one/two").is_dir()
    with pytest.raises(FileNotFoundError), opened(stage.config, files, "home/anna/a/x.html/y/z", make=True):
        raise AssertionError("a file is no directory")
    (stage.res / "out").symlink_to(stage.root)
    with pytest.raises(PathRefused), opened(stage.config, files, "out/made/x", make=True):
        raise AssertionError("outside")
    assert not (stage.root / "made").exists()


def test_descriptors_are_given_back(stage: ResourceStage) -> None:
    stage.said(f"sub:{ANNA}/a/x.html")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("a/x.html", "a/none", "none/none", "../x", "a/x.html/y", "a"):
        for word in ("sub", "unsub", "ls", "stat", "update"):
            stage.said(f"{word}:{ANNA}/{path}")
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_lies_inside() -> None:
    assert inside("/r", "/r") == ""
    assert inside("/r", "/r/a/b") == "a/b"
    assert inside("/", "/a") == "a"
    assert [inside("/r", path) for path in ("/", "/x", "/rx", "/r/.a", "/r/a.subscription")] == [None] * 5


def test_rests(stage: ResourceStage) -> None:
    config = stage.config
    assert rest_of(config, b"/res//a///b/") == "a/b"
    assert rest_of(config, "/res") == ""
    assert rest_of(config, "a/ü", relative=True) == "a/ü"
    for path in ("a", "/resa", "", "/res/..", "/res/\udcff"):
        with pytest.raises(PathRefused):
            rest_of(config, path)
