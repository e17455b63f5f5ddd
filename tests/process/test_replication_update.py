"""update as a client sends it, https, and two servers of commands that copy from each other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lonc.lond.commands.table import carry_out
from lonc.lond.store import open_store
from lonc.lonnet.replication import Copied, unsubscribe
from tests.process.copy_site import CARL, RAW_Y, WIRE_Y, CopySite, Y, site
from tests.process.raw_web import certificate, send
from tests.unit.command_stage import NOW

__all__ = ["site"]
HOME = "home:away:carl"
UPDATE = f"update:{WIRE_Y}"


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CopySite]:
    file = certificate(tmp_path / "certificate.pem", "there.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    made = CopySite(file)
    made.web.files = {RAW_Y: b"new", f"{RAW_Y}.meta": b"new meta"}
    yield made
    made.close()


def old_copy(site: CopySite, age_s: float) -> Path:
    site.stage.file("away/carl/y.html.meta", "old meta")
    return site.stage.file("away/carl/y.html", "old", age_s)


def test_a_copy_in_use_is_fetched_again(site: CopySite) -> None:
    old_copy(site, 86000)
    assert site.stage.said(UPDATE) == "ok"
    assert site.here() == {"y.html": "new", "y.html.meta": "new meta"}
    # the client, who is its home server, is asked first, and nobody else then
    assert site.asked() == [f"there {HOME}", f"there sub:{WIRE_Y}"]
    assert site.stage.log == ""


def test_an_unused_copy_goes_and_its_home_server_is_told(site: CopySite) -> None:
    old_copy(site, 86401)
    assert site.stage.said(UPDATE) == "ok"
    assert site.here() == {}
    assert site.asked() == [f"there {HOME}", f"there unsub:{WIRE_Y}"]
    assert site.stage.said(UPDATE) == "not_found"


def test_the_time_of_disuse_is_a_setting(site: CopySite) -> None:
    old_copy(site, 100)
    config = replace(site.stage.config, expire_s=99.0)
    site.stage.context = replace(site.stage.context, config=config)
    assert site.stage.said(UPDATE) == "ok"
    assert site.here() == {}


def test_what_is_at_home_here_is_never_fetched(site: CopySite) -> None:
    old_copy(site, 0)
    site.stage.account(b"away", b"carl", b"unix:")
    assert site.stage.said(UPDATE) == "rejected"
    assert site.asked() == []


def test_what_we_are_is_not_asked(site: CopySite) -> None:
    old_copy(site, 0)
    site.stage.context = replace(site.stage.context, own_id=b"there", client=b"other")
    assert site.stage.said(UPDATE).startswith(
        "error: the old copy stays: not found: the author is at home nowhere"
    )
    assert site.asked() == [f"other {HOME}"]


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "not found: the web server answered 404"), (403, "access denied: the web server answered 403"),
     (500, "transfer failed: the web server answered 500")],
)  # fmt: skip
def test_a_failure_keeps_the_old_copy_and_is_told(site: CopySite, status: int, said: str) -> None:
    old_copy(site, 0)
    site.web.deeds[RAW_Y] = lambda request: send(request, status, b"")
    assert site.stage.said(UPDATE) == f"error: the old copy stays: {said}"
    assert site.here() == {"y.html": "old", "y.html.meta": "old meta"}
    assert f"WARNING: A copy could not be fetched again: {said}" in site.stage.log


def test_a_home_server_that_is_away_is_no_warning(site: CopySite) -> None:
    old_copy(site, 0)
    site.no_desk("there")
    assert site.stage.said(UPDATE).startswith("error: the old copy stays: service unavailable: 1 library servers")
    assert "WARNING" not in site.stage.log
    assert unsubscribe(site.stage.config, site.hosts, Y) is False


def test_nothing_of_a_path_is_logged(site: CopySite) -> None:
    site.stage.file("away/carl/secret.html", "old")
    site.url = "http://there.example:1/raw/secret"
    assert site.stage.said(f"update:{CARL}/secret.html").startswith("error: ")
    assert "could not be fetched again" in site.stage.log
    assert "secret" not in site.stage.log


def test_unsubscribing_says_whether_it_was_heard(site: CopySite) -> None:
    config = site.stage.config
    assert unsubscribe(config, site.hosts, Y) is True
    assert unsubscribe(config, site.hosts, "/res/away/nobody/y") is False
    assert unsubscribe(config, site.hosts, "/etc/passwd") is False
    assert unsubscribe(config, site.hosts, "/res/away") is False


def test_a_server_of_commands_at_the_other_end(site: CopySite) -> None:
    """The home server is ours too: its own commands answer, and note who has subscribed."""
    other = CopySite()
    try:
        other.stage.account(b"away", b"carl", b"unix:")
        other.stage.file("away/carl/y.html", "published")
        context = replace(
            other.stage.context, hosts=site.hosts, own_id=b"there", client=b"here1", client_address="127.0.0.1"
        )

        def home(line: bytes) -> bytes:
            store = open_store(context.config)  # one for each thread
            reply = carry_out(line, False, replace(context, store=store)).line
            store.close()
            return reply.replace(b"there.example", f"there.example:{site.web.port}".encode()) + b"\n"

        site.desk("there", home)
        site.web.files = {RAW_Y: b"published"}
        assert site.copy() is Copied.OK
        assert site.here() == {"y.html": "published"}
        notes = other.stage.res / "away/carl/y.html.subscription"
        assert notes.read_text() == f"here1:127.0.0.1:{int(NOW)}\n"
        os.utime(site.stage.res / "away/carl/y.html", (1, 1))
        assert site.stage.said(UPDATE) == "ok"
        assert not notes.exists()
        shutil.rmtree(other.stage.res / "away/carl")
        assert site.copy() is Copied.NOT_FOUND
    finally:
        other.close()


# --- https ------------------------------------------------------------------------------------------------


def test_https(secure: CopySite) -> None:
    assert secure.copy() is Copied.OK
    assert secure.here() == {"y.html": "new", "y.html.meta": "new meta"}


def test_https_is_not_given_up_for_http(secure: CopySite) -> None:
    secure.url = secure.url.replace("https", "http")
    assert secure.copy() is Copied.FAILED
    assert secure.web.asked == []


@pytest.mark.parametrize("what", ["another name", "unknown authority"])
def test_certificates_are_checked(secure: CopySite, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    if what == "another name":
        secure.hosts = tuple(
            replace(host, name="imposter.example") if host.id == "there" else host for host in secure.hosts
        )
        secure.url = secure.url.replace("there.example", "imposter.example")
    else:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate(secure.root / "other.pem", "there.example")))
    assert secure.copy() is Copied.FAILED
    assert secure.web.asked == []
    assert secure.here() == {}
