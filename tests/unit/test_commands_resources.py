"""sub, unsub, and what of update needs nobody else: who is at home, which paths are refused, nothing is lost."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lonc.config import Host
from lonc.lond.commands import resources, subscriptions
from lonc.lonnet.places import opened
from lonc.system.files import SystemFiles
from tests.fakes.faulty_files import FaultyFiles
from tests.unit.command_stage import NOW, BrokenStore
from tests.unit.resource_stage import ANNA, CARL, ResourceStage, resource_stages

URL = "http://here.example/raw/home/anna/a/x.html"
SUB = f"sub:{ANNA}/a/x.html"
UNSUB = f"unsub:{ANNA}/a/x.html"
# Each is refused whatever the command.
BAD_PATHS = [
    "",
    "/",
    "x",
    "/res/../res/home/anna/a/x.html",
    "/res/home/anna/./a/x.html",
    "/etc/passwd",
    "/resx/home/anna/a",
    "home/anna/a/x.html",
    "/home/httpd/html/res/../../../etc/passwd",
    "/res/home/anna/a/x.html\0",
    "/res/home/anna/a\x1b",
    "/res/home/anna/a/\x7f",
    "/res/home/anna/a/\xff",
    "/res/home/anna/a/\xe2\x80\xae",
    "/res/home/anna/a/\xc2\x80",
    "/res/home/anna/" + "x" * 221,
    "/res/home/anna" + "/xx" * 1000,
    "/res/home/anna/.hidden",
    "/res/home/.anna/x.html",
    "/res/home/anna/a/x.html.subscription",
    "/res/home/anna/a/x.html.in.transfer",
    "/res/home/anna/a/x.html.in.transfer.meta",
    "/res/home/anna/..",
    "/res",
    "/res/home",
    "%2Fres",
]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ResourceStage]:
    yield from resource_stages(tmp_path)


def subscribers(stage: ResourceStage, rest: str = "home/anna/a/x.html") -> list[str]:
    path = stage.res / f"{rest}.subscription"
    return path.read_text().splitlines() if path.exists() else []


def test_sub_answers_the_url_and_notes_the_client(stage: ResourceStage) -> None:
    assert stage.said(SUB) == URL
    assert subscribers(stage) == ["there:127.0.0.2:1700000000"]
    path = stage.res / "home/anna/a/x.html.subscription"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("root", ["/res", "/home/httpd/html/res", "own", "//"])
def test_roots_by_which_a_path_may_begin(stage: ResourceStage, root: str) -> None:
    root = {"own": stage.config.resources_dir, "//": "/res//"}.get(root, root)
    assert stage.said(f"sub:{root}/home/anna//a/x.html") == URL


def test_one_line_per_client_and_others_stay(stage: ResourceStage) -> None:
    path = stage.res / "home/anna/a/x.html.subscription"
    path.write_text("other:127.0.0.9:1\nby hand\nthere:127.0.0.8:5\nthere:127.0.0.8:6\nlast:1:2")
    assert stage.said(SUB) == URL
    assert subscribers(stage) == ["other:127.0.0.9:1", "by hand", "last:1:2", "there:127.0.0.2:1700000000"]
    assert stage.by(b"other", UNSUB) == "ok"
    assert stage.by(b"other", UNSUB) == "not_subscribed"
    assert subscribers(stage) == ["by hand", "last:1:2", "there:127.0.0.2:1700000000"]


def test_the_last_one_takes_the_file_with_him(stage: ResourceStage) -> None:
    assert stage.said(UNSUB) == "not_subscribed"
    assert stage.said(SUB) == URL
    assert stage.said(UNSUB) == "ok"
    assert sorted(os.listdir(stage.res / "home/anna/a")) == ["x.html"]


def test_a_client_is_no_prefix_of_another(stage: ResourceStage) -> None:
    assert stage.by(b"a.b", SUB) == URL
    assert stage.by(b"a", UNSUB) == "not_subscribed"
    assert stage.by(b"a", SUB) == URL
    assert len(subscribers(stage)) == 2


def test_the_file_brings_its_metadata(stage: ResourceStage) -> None:
    stage.file("home/anna/a/x.html.meta", "m")
    assert stage.said(f"{SUB}.meta") == f"{URL}.meta"
    assert len(subscribers(stage, "home/anna/a/x.html.meta")) == 1
    assert stage.said(SUB) == URL
    assert subscribers(stage, "home/anna/a/x.html.meta") == []


def test_what_is_no_file_of_ours(stage: ResourceStage) -> None:
    assert stage.said(f"sub:{ANNA}/a") == "directory"
    assert stage.said(f"sub:{ANNA}") == "directory"
    assert stage.said(f"sub:{ANNA}/a/none.html") == "not_found"
    assert stage.said(f"sub:{ANNA}/b/none.html") == "not_found"
    assert stage.said(f"sub:{ANNA}/a/x.html/y") == "not_found"
    assert stage.said(f"unsub:{ANNA}/b/none.html") == "not_subscribed"
    for path in (f"{CARL}/y.html", f"{CARL}/none", "/res/away/nobody/x", "/res/nowhere/carl/x/y"):
        assert stage.said(f"sub:{path}") == "rejected"
        assert stage.said(f"unsub:{path}") == "rejected"
    os.mkfifo(stage.res / "home/anna/fifo")
    assert stage.said(f"sub:{ANNA}/fifo") == "rejected"


def test_a_withdrawn_file_can_be_unsubscribed(stage: ResourceStage) -> None:
    assert stage.said(SUB) == URL
    (stage.res / "home/anna/a/x.html").unlink()
    assert stage.said(UNSUB) == "ok"


@pytest.mark.parametrize("word", ["sub", "unsub", "update"])
@pytest.mark.parametrize("path", BAD_PATHS)
def test_bad_paths(stage: ResourceStage, word: str, path: str) -> None:
    before = sorted(stage.root.rglob("*"))
    assert stage.said(f"{word}:{path}") == "rejected"
    assert sorted(stage.root.rglob("*")) == before
    assert stage.log == ""


@pytest.mark.parametrize("word", ["sub", "unsub", "update"])
def test_a_path_is_needed(stage: ResourceStage, word: str) -> None:
    assert stage.said(word) == f"error: {word} needs path"


@pytest.mark.parametrize("place", ["file", "folder", "author", "loop", "meta"])
def test_links_out_of_the_root(stage: ResourceStage, place: str) -> None:
    outside = stage.root / "outside"
    outside.mkdir()
    (outside / "x.html").write_text("secret")
    (outside / "x.html.subscription").write_text("there:1:1\n")
    anna = stage.res / "home/anna"
    path = {"file": "l.html", "folder": "f/x.html", "author": "x.html", "loop": "loop", "meta": "h.html"}[place]
    match place:
        case "file":
            (anna / "l.html").symlink_to(outside / "x.html")
        case "folder":
            (anna / "f").symlink_to("../../../../outside")
        case "author":
            anna.rename(stage.root / "former")
            anna.symlink_to(outside)
        case "loop":
            (anna / "loop").symlink_to("loop")
        case _:
            (anna / ".secret").write_text("hidden by its name")
            (anna / "h.html").symlink_to(".secret")
    assert stage.said(f"sub:{ANNA}/{path}") == "rejected"
    assert stage.said(f"unsub:{ANNA}/{path}") == ("not_subscribed" if place == "loop" else "rejected")
    assert sorted(os.listdir(outside)) == ["x.html", "x.html.subscription"]
    assert (outside / "x.html.subscription").read_text() == "there:1:1\n"


def test_links_inside_the_root_lead_to_what_they_say(stage: ResourceStage) -> None:
    (stage.res / "home/anna/same.html").symlink_to("a/x.html")
    assert stage.said(f"sub:{ANNA}/same.html") == "http://here.example/raw/home/anna/same.html"
    assert len(subscribers(stage)) == 1
    (stage.res / "home/anna/carls").symlink_to("../../away/carl")
    assert stage.said(f"sub:{ANNA}/carls/y.html") == "rejected"  # carl is not at home here


def test_the_root_itself_may_be_a_link(stage: ResourceStage) -> None:
    stage.res.rename(stage.root / "elsewhere")
    stage.res.symlink_to(stage.root / "elsewhere")
    assert stage.said(SUB) == URL


def test_without_a_root_everything_is_missing(stage: ResourceStage) -> None:
    stage.res.rename(stage.root / "elsewhere")
    assert stage.said(SUB) == "not_found"
    assert stage.said(f"update:{CARL}/y.html") == "not_found"


def test_the_url_has_the_name_and_protocol_of_the_table(stage: ResourceStage) -> None:
    stage.file("home/anna/an ä#?.html", "odd")
    hosts = {
        Host("here1", "home", "library", "here.example", "", "https"): "https://here.example",
        Host("here1", "home", "library", "no name!", "127.0.0.1"): "http://127.0.0.1",
        Host("here1", "home", "library", "no name!", "::1"): "http://[::1]",
    }
    for host, begin in hosts.items():
        stage.context = replace(stage.context, hosts=(host,))
        assert (
            stage.said(f"sub:{ANNA}/an ä#?.html".encode().decode("latin-1"))
            == f"{begin}/raw/home/anna/an%20%C3%A4%23%3F.html"
        )
    stage.context = replace(stage.context, hosts=())
    (stage.res / "home/anna/a/x.html.subscription").unlink(missing_ok=True)
    assert stage.said(SUB).startswith("error: this server does not stand in its own hosts.tab")
    assert subscribers(stage) == []


def test_a_lost_write_changes_nothing_and_is_told(stage: ResourceStage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stage.by(b"first", SUB) == URL
    for number in range(1, 200):
        files = FaultyFiles(failing={number})
        monkeypatch.setattr(resources, "FILES", files)
        said = stage.by(b"second", SUB)
        if len(files.calls) < number:  # none was left to fail
            assert said == URL
            break
        assert said == URL or said.startswith("error: the subscription cannot be kept: No space left"), number
        monkeypatch.setattr(resources, "FILES", SystemFiles())
        assert subscribers(stage)[0].startswith("first:"), number
        assert sorted(os.listdir(stage.res / "home/anna/a")) == ["x.html", "x.html.subscription"], number
        assert stage.by(b"second", UNSUB) in ("ok", "not_subscribed")
    else:
        raise AssertionError("calls without an end")
    assert "A subscription cannot be kept: No space left on device" in stage.log


@pytest.mark.parametrize("kind", ["folder", "link", "fifo", "huge"])
def test_foreign_things_in_place_of_the_notes(stage: ResourceStage, kind: str) -> None:
    path = stage.res / "home/anna/a/x.html.subscription"
    match kind:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(stage.root / "conf" / "loncapa.conf")
        case "fifo":
            os.mkfifo(path)
        case _:
            path.touch()
            os.truncate(path, (16 << 20) + 1)
    before = (stage.root / "conf" / "loncapa.conf").read_text()
    assert stage.said(SUB).startswith("error: the subscription cannot be kept: ")
    assert (stage.root / "conf" / "loncapa.conf").read_text() == before


def test_a_directory_that_somebody_keeps_locked(stage: ResourceStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions.locked.__wrapped__, "__defaults__", (0.1,))  # type: ignore[attr-defined]  # of wraps()
    fd = os.open(stage.res / "home/anna/a", os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert stage.said(SUB).startswith("error: the subscription cannot be kept: another process")
    finally:
        os.close(fd)
    assert stage.said(SUB) == URL


def _subscribe_many(stage_root: str, name: str, count: int) -> None:
    from lonc.config import load_config

    config = replace(load_config(f"{stage_root}/conf"), doc_root=f"{stage_root}/html")
    files = SystemFiles()
    for number in range(count):
        with opened(config, files, "home/anna/a/x.html") as place:
            subscriptions.add(files, place, "", b"%s%d" % (name.encode(), number), "127.0.0.1", NOW)
            if number % 3 == 0:
                assert subscriptions.remove(files, place, "", b"%s%d" % (name.encode(), number))


def test_two_processes_lose_no_line(stage: ResourceStage) -> None:
    context = multiprocessing.get_context("spawn")
    names = ("a", "b")
    workers = [context.Process(target=_subscribe_many, args=(str(stage.root), name, 60)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    expected = {f"{name}{number}" for name in names for number in range(60) if number % 3}
    found = [line.partition(":")[0] for line in subscribers(stage)]
    assert len(found) == len(expected)
    assert set(found) == expected


@given(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_raise(stage: ResourceStage, tail: bytes) -> None:
    for word in (b"sub:", b"unsub:", b"ls:", b"stat:", b"update:"):
        for begin in (b"", b"/res/", b"/res/home/anna/a/"):
            stage.ask(word + begin + tail, encrypted=True)
    assert stage.log == ""


def test_errors_of_the_store_are_told(stage: ResourceStage) -> None:
    stage.context = replace(stage.context, store=BrokenStore())
    for line in (SUB, UNSUB, f"update:{CARL}/y.html"):
        assert stage.said(line) == "error: the disk is full"


# --- update ---------------------------------------------------------------------------------------------


def test_update_of_what_is_no_copy(stage: ResourceStage) -> None:
    assert stage.said(f"update:{CARL}/none.html") == "not_found"
    assert stage.said("update:/res/away/nobody/x") == "not_found"
    assert stage.said(f"update:{ANNA}/a/x.html") == "rejected"  # at home here
    (stage.res / "away/carl/folder").mkdir()
    (stage.res / "away/carl/link").symlink_to("y.html")
    assert stage.said(f"update:{CARL}/folder") == "rejected"
    assert stage.said(f"update:{CARL}/link") == "rejected"
    assert (stage.res / "away/carl/y.html").read_text() == "of carl"


def test_an_unused_copy_goes_even_if_nobody_can_be_told(stage: ResourceStage) -> None:
    stage.file("away/carl/y.html", "old", age_s=86401)
    stage.file("away/carl/y.html.meta", "old")
    assert stage.said(f"update:{CARL}/y.html") == "ok"
    assert os.listdir(stage.res / "away/carl") == []


@pytest.mark.parametrize("times", [(0, 90000), (90000, 0)])
def test_read_or_changed_is_used(stage: ResourceStage, times: tuple[int, int]) -> None:
    path = stage.res / "away/carl/y.html"
    os.utime(path, (NOW - times[0], NOW - times[1]))
    assert stage.said(f"update:{CARL}/y.html").startswith("error: the old copy stays: service unavailable")
    assert path.read_text() == "of carl"
    assert "A copy could not be fetched again: service unavailable" in stage.log


def test_a_copy_that_cannot_be_removed(stage: ResourceStage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.file("away/carl/y.html", "old", age_s=86401)
    files = FaultyFiles(errno.EROFS)
    files.only, files.broken = frozenset({"unlink"}), True
    monkeypatch.setattr(resources, "FILES", files)
    assert stage.said(f"update:{CARL}/y.html") == "error: the copy cannot be removed: Read-only file system"
    assert "A copy that nobody uses cannot be removed: Read-only file system" in stage.log
