"""Copies of resources: whole or not at all, from the home server alone, whatever the network and the disk do."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from lonc.lonnet import replication
from lonc.lonnet.fetching import Bounds
from lonc.lonnet.replication import Copied, NotCopied, home_of, repcopy, subscribe
from tests.fakes.faulty_files import FaultyFiles
from tests.process.copy_site import CARL, RAW_Y, SHORT, WIRE_Y, CopySite, Y, site
from tests.process.raw_web import send
from tests.process.waiting import TREE, wait_until

__all__ = ["site"]
BOTH = {"y.html": "new", "y.html.meta": "new meta"}
HOME = "home:away:carl"


def always(answer: bytes | None, _line: bytes) -> bytes | None:
    return answer


def send_raw(raw: bytes, request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(raw)


def test_a_copy_is_fetched_with_its_metadata(site: CopySite) -> None:
    assert site.copy() is Copied.OK
    assert site.here() == BOTH
    for name in BOTH:
        assert stat.S_IMODE((site.stage.res / "away/carl" / name).stat().st_mode) == 0o644
    assert site.asked() == [f"other {HOME}", f"there {HOME}", f"there sub:{WIRE_Y}"]
    host = f"there.example:{site.web.port}"
    assert site.web.asked == [(RAW_Y, host), (f"{RAW_Y}.meta", host)]


def test_what_is_here_is_not_fetched(site: CopySite) -> None:
    site.stage.file("away/carl/y.html", "old")
    assert site.copy() is Copied.OK
    assert (site.here(), site.asked(), site.web.asked) == ({"y.html": "old"}, [], [])
    assert site.copy(again=True) is Copied.OK
    assert site.here() == BOTH


def test_missing_metadata_are_no_error_and_old_ones_go(site: CopySite) -> None:
    del site.web.files[f"{RAW_Y}.meta"]
    assert site.copy() is Copied.OK
    site.stage.file("away/carl/y.html.meta", "old")
    assert site.copy(again=True) is Copied.OK
    assert site.here() == {"y.html": "new"}


def test_metadata_alone_have_none_of_their_own(site: CopySite) -> None:
    site.url += ".meta"
    assert site.copy(f"{Y}.meta") is Copied.OK
    assert site.here() == {"y.html.meta": "new meta"}
    assert len(site.web.asked) == 1


def test_without_whole_metadata_nothing_changes(site: CopySite) -> None:
    site.stage.file("away/carl/y.html", "old")
    site.web.deeds[f"{RAW_Y}.meta"] = lambda request: send(request, 500, b"")
    assert site.copy(again=True) is Copied.FAILED
    assert site.here() == {"y.html": "old"}


# --- where it comes from ----------------------------------------------------------------------------------


def test_the_home_server_is_the_first_that_says_found(site: CopySite) -> None:
    config = site.stage.config
    home = home_of(config, site.hosts, "away", "carl")
    assert home is not None
    assert home.id == "there"
    assert home_of(config, site.hosts, "away", "nobody") is None
    assert home_of(config, site.hosts, "nowhere", "carl") is None
    assert home_of(config, site.hosts, "away", "ca:rl") is None
    assert "reader" not in " ".join(site.asked())
    site.no_desk("other")
    assert home_of(config, site.hosts, "away", "carl") == home
    for answer in (b"\n", b"refused\n", b"error: no\n", None):
        site.desk("other", partial(always, answer))
        with pytest.raises(NotCopied, match="1 library servers did not say") as caught:
            home_of(config, site.hosts, "away", "nobody")
        assert caught.value.outcome is Copied.UNAVAILABLE


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("not_found", Copied.NOT_FOUND), ("directory", Copied.DIRECTORY), ("rejected", Copied.DENIED),
        ("refused", Copied.DENIED), ("con_lost", Copied.UNAVAILABLE), ("unknown_cmd", Copied.FAILED),
        ("error: busy", Copied.FAILED),
    ],
)  # fmt: skip
def test_answers_to_sub(site: CopySite, answer: str, outcome: Copied) -> None:
    site.url = answer
    assert site.copy() is outcome
    assert site.here() == {}
    assert site.web.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example:{port}" + RAW_Y, "http://127.0.0.1:{port}" + RAW_Y, "file:///raw/etc/passwd",
        "http://there.example:{port}/etc/passwd", "http://there.example:{port}/raw/../etc/passwd",
        "http://there.example:{port}/raw/%2e%2e/etc", "http://x@there.example:{port}" + RAW_Y,
        "http://there.example:{port}" + RAW_Y + "?x=1", "http://there.example:{port}" + RAW_Y + "#x",
        "http://there.example@127.0.0.1:{port}" + RAW_Y, "http://there.example:0" + RAW_Y,
        "http://there.example:99999" + RAW_Y, "http://there.example:{port}/raw/a b", "http:///raw/x", "",
        "http://there.example:{port}\\@127.0.0.1" + RAW_Y, "gopher://there.example" + RAW_Y,
        "http://there.example.:{port}" + RAW_Y, "http://[::1]:{port}" + RAW_Y,
    ],
)  # fmt: skip
def test_urls_that_lead_elsewhere_are_not_asked(site: CopySite, url: str) -> None:
    site.url = url.format(port=site.web.port) or "-"
    assert site.copy() is Copied.FAILED
    assert site.web.asked == []


@pytest.mark.parametrize("name", ["There.Example", "{address}"])
def test_names_of_the_home_server(site: CopySite, name: str) -> None:
    site.url = f"HTTP://{name.format(address=site.web.address)}:{site.web.port}{RAW_Y}"
    assert site.copy() is Copied.OK


def test_an_old_server_sends_a_name_as_it_is(site: CopySite) -> None:
    path = f"{CARL}/50% ü.html"
    site.url = f"http://there.example:{site.web.port}/raw/away/carl/50%25%20%C3%BC.html"
    site.web.files["/raw/away/carl/50%25%20%C3%BC.html"] = b"odd"
    assert site.copy(path) is Copied.OK
    assert site.here() == {"50% ü.html": "odd"}


def test_neither_redirects_nor_proxies_are_followed(site: CopySite, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    location = f"http://there.example:{site.web.port}{RAW_Y}.meta"
    for status in (301, 302, 307):
        site.web.deeds[RAW_Y] = partial(send, status=status, body=b"", Location=location)
        assert site.copy() is Copied.FAILED
    assert {path for path, _host in site.web.asked} == {RAW_Y}
    site.web.deeds.clear()
    assert site.copy() is Copied.OK


@pytest.mark.parametrize("path", ["/etc/passwd", "/res/../x", "/res/away/carl/.x", "/res/away/carl/x.in.transfer"])
def test_paths_that_are_refused(site: CopySite, path: str) -> None:
    assert site.copy(path) is Copied.DENIED
    with pytest.raises(NotCopied):
        subscribe(site.stage.config, site.hosts, path)
    assert site.asked() == []


def test_a_copy_never_leaves_the_root(site: CopySite) -> None:
    outside = site.root / "outside"
    outside.mkdir()
    (site.stage.res / "away").mkdir()
    (site.stage.res / "away/carl").symlink_to(outside)
    assert site.copy() is Copied.DENIED
    (site.stage.res / "away/carl").unlink()
    folder = site.stage.file("away/carl/y.html", "x").parent
    (folder / "y.html").unlink()
    (folder / "y.html").symlink_to(outside / "victim")
    (folder / "y.html.in.transfer").symlink_to(outside / "victim")
    assert site.copy() is Copied.FAILED
    (folder / "y.html.in.transfer").unlink()
    assert site.copy() is Copied.OK
    assert site.here() == BOTH
    assert os.listdir(outside) == []


# --- what the web server does -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(404, Copied.NOT_FOUND), (410, Copied.NOT_FOUND), (403, Copied.DENIED), (401, Copied.DENIED),
     (500, Copied.FAILED), (206, Copied.FAILED), (204, Copied.FAILED)],
)  # fmt: skip
def test_other_answers_than_the_file(site: CopySite, status: int, outcome: Copied) -> None:
    site.stage.file("away/carl/y.html", "old")
    site.web.deeds[RAW_Y] = lambda request: send(request, status, b"")
    assert site.copy(again=True) is outcome
    assert site.here() == {"y.html": "old"}


@pytest.mark.parametrize("how", ["short", "no length", "no status", "chunk cut", "too long", "lies", "closed"])
def test_answers_that_are_not_whole(site: CopySite, how: str) -> None:
    raw = {
        "short": b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        "no length": b"HTTP/1.0 200 OK\r\n\r\nperhaps all",
        "no status": b"hello\r\n\r\n",
        "chunk cut": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n5\r\nab",
        "too long": b"HTTP/1.0 200 OK\r\nContent-Length: 1048577\r\n\r\n" + b"x" * 1048577,
        "lies": b"HTTP/1.0 200 OK\r\nContent-Length: -5\r\n\r\nlies",
        "closed": b"",
    }[how]
    site.web.deeds[RAW_Y] = partial(send_raw, raw)
    site.stage.file("away/carl/y.html", "old")
    assert site.copy(again=True) is Copied.FAILED
    assert site.here() == {"y.html": "old"}


def test_chunks_are_taken(site: CopySite) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnew\r\n0\r\n\r\n"
    site.web.deeds[RAW_Y] = partial(send_raw, raw)
    assert site.copy() is Copied.OK
    assert site.here() == BOTH


@pytest.mark.parametrize("part", ["head", "body"])
@pytest.mark.parametrize("bounds", [Bounds(0.4, 9.0, 1 << 20), Bounds(9.0, 0.2, 1 << 20)], ids=["drip", "stall"])
def test_a_server_that_drips_or_stalls(site: CopySite, part: str, bounds: Bounds) -> None:
    over = threading.Event()

    def deed(request: BaseHTTPRequestHandler) -> None:
        write = request.wfile.write
        write(b"HTTP/1.0 200 OK\r\n" + (b"Content-Length: 500\r\n\r\n" if part == "body" else b"X: "))
        for _ in range(400):
            if over.wait(0.05 if bounds.whole_s < 1 else 30):
                return
            write(b"x")

    site.web.deeds[RAW_Y] = deed
    try:
        assert site.copy(bounds=bounds) is Copied.FAILED
    finally:
        over.set()
    assert site.here() == {}


def test_no_web_server_there(site: CopySite) -> None:
    site.url = f"http://there.example:1{RAW_Y}"
    assert site.copy() is Copied.FAILED


# --- several at once, and crashes -------------------------------------------------------------------------


def test_of_two_at_once_one_fetches_and_the_other_has_it(site: CopySite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replication, "BUSY_WAIT_S", 20.0)
    held, asked = threading.Event(), threading.Event()

    def deed(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        assert held.wait(20)
        send(request, 200, b"new")

    site.web.deeds[RAW_Y] = deed
    came: list[Copied] = []
    workers = [threading.Thread(target=lambda: came.append(site.copy())) for _ in range(2)]
    workers[0].start()
    assert asked.wait(20)
    workers[1].start()
    wait_until(lambda: site.stage.res.joinpath("away/carl/y.html.in.transfer").exists(), 20, "the transfer")
    held.set()
    for worker in workers:
        worker.join(30)
    assert came == [Copied.OK, Copied.OK]
    assert site.here() == BOTH
    assert sum(path == RAW_Y for path, _host in site.web.asked) == 1


def test_while_another_copies_for_long_it_is_unavailable(site: CopySite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replication, "BUSY_WAIT_S", 0.2)
    site.stage.file("away/carl/y.html.in.transfer", "of an original, which takes no lock")
    os.utime(site.stage.res / "away/carl/y.html.in.transfer")
    assert site.copy() is Copied.UNAVAILABLE
    assert site.copy(again=True) is Copied.UNAVAILABLE
    assert site.asked() == []
    site.stage.file("away/carl/y.html", "old")
    assert site.copy() is Copied.OK  # what is here is here
    old = time.time() - 61
    os.utime(site.stage.res / "away/carl/y.html.in.transfer", (old, old))
    assert site.copy(again=True) is Copied.OK
    assert site.here() == BOTH


_COPIER = """
import sys
from dataclasses import replace
from lonc.config import Host, load_config
from lonc.lonnet.replication import repcopy
root, address = sys.argv[1:]
config = replace(load_config(f"{root}/conf"), doc_root=f"{root}/html", sock_dir=f"{root}/s")
repcopy(config, [Host("there", "away", "library", "there.example", address)], "/res/away/carl/y.html")
"""


def test_a_killed_copier_blocks_nobody_for_long(site: CopySite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replication, "BUSY_WAIT_S", 0.2)
    asked, over = threading.Event(), threading.Event()

    def deed(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 70000)
        asked.set()
        over.wait(30)

    site.web.deeds[RAW_Y] = deed
    transfer = Path(site.stage.res, "away/carl/y.html.in.transfer")
    copier = subprocess.Popen([sys.executable, "-c", _COPIER, str(site.root), site.web.address], cwd=TREE)
    try:
        assert asked.wait(30)
        wait_until(lambda: transfer.exists() and transfer.stat().st_size > 0, 20, "a part of the file")
        os.utime(transfer, (1, 1))
        assert site.copy() is Copied.UNAVAILABLE  # its lock says that it lives
    finally:
        copier.send_signal(signal.SIGKILL)
        copier.wait()
        over.set()
    assert transfer.exists()
    site.web.deeds.clear()
    os.utime(transfer, (1, 1))
    assert site.copy() is Copied.OK
    assert site.here() == BOTH


def test_every_failing_call_leaves_a_whole_file(site: CopySite) -> None:
    came = set()
    for number in range(1, 200):
        site.stage.file("away/carl/y.html", "old")
        site.stage.file("away/carl/y.html.meta", "old meta")
        files = FaultyFiles(failing={number})
        outcome = site.copy(again=True, files=files)
        came.add(outcome)
        here = site.here()
        assert here.pop("y.html") in ("old", "new"), number
        assert here.pop("y.html.meta", "gone") in ("old meta", "new meta", "gone"), number
        if "unlink" not in files.calls[number - 1 : number]:
            assert here == {}, (number, files.calls)
        for name in here:
            (site.stage.res / "away/carl" / name).unlink()
        if len(files.calls) < number:
            break
    assert outcome is Copied.OK
    assert number > 20
    assert came <= {Copied.OK, Copied.FAILED}


def test_the_default_bounds_suit_a_request_through_lonc(site: CopySite) -> None:
    assert Bounds().whole_s < site.stage.config.request_timeout_s
    repcopy(site.stage.config, site.hosts, Y, bounds=SHORT)
    assert site.here() == BOTH
