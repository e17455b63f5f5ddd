"""Owns a site for tests of copying: a server's files, a stand-in for its lonc, and the home server's web."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lonc.config import Host
from lonc.lonnet.fetching import Bounds
from lonc.lonnet.replication import Copied, NotCopied, repcopy
from lonc.system.files import Files
from tests.process.desk import Desk
from tests.process.raw_web import RawWeb
from tests.unit.resource_stage import ResourceStage

CARL = "/res/away/carl"
Y = f"{CARL}/y.html"
RAW_Y = "/raw/away/carl/y.html"
WIRE_Y = "/home/httpd/html/res/away/carl/y.html"
SHORT = Bounds(whole_s=20.0, stall_s=10.0, size=1 << 20)


class CopySite:
    """carl of the domain `away` is at home on `there`; `other` is a library server of that domain as well."""

    def __init__(self, tls: Path | None = None) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="lonc-", dir="/tmp"))
        self.stage = ResourceStage(self.root)
        shutil.rmtree(self.stage.res / "away")
        self.web = RawWeb(tls)
        self.desks: dict[str, Desk] = {}
        self.hosts: tuple[Host, ...] = (
            *(host for host in self.stage.context.hosts if host.id != "there"),
            Host("other", "away", "library", "other.example", "127.0.0.3"),
            Host("reader", "away", "access", "reader.example", "127.0.0.4"),
            Host("there", "away", "library", "there.example", self.web.address, "https" if tls else "http"),
        )
        self.use_hosts()
        self.url = f"http{'s' if tls else ''}://there.example:{self.web.port}{RAW_Y}"
        self.desk("other", lambda _line: b"not_found\n")
        self.desk("there", self.home)

    def use_hosts(self) -> None:
        """Give the server of commands the hosts as they are now."""
        self.stage.context = replace(self.stage.context, hosts=self.hosts)

    def home(self, line: bytes) -> bytes:
        """Answer as the home server of carl does, through our lonc."""
        word, _, rest = line.partition(b":")
        known = {b"sub": self.url.encode(), b"unsub": b"ok"}
        return (b"found" if (word, rest) == (b"home", b"away:carl") else known.get(word, b"not_found")) + b"\n"

    def desk(self, host: str, answer: Callable[[bytes], bytes | None]) -> None:
        """Let the socket of a host answer so from now on."""
        self.no_desk(host)
        self.desks[host] = Desk(Path(self.stage.config.socket_path(host)), answer)

    def no_desk(self, host: str) -> None:
        """Leave a host without a socket."""
        if host in self.desks:
            self.desks.pop(host).close()

    def asked(self) -> list[str]:
        """Return every request to every host, each as `host line`."""
        return [f"{host} {line.decode()}" for host, desk in self.desks.items() for line in desk.lines]

    def copy(
        self, path: str = Y, *, again: bool = False, bounds: Bounds = SHORT, files: Files | None = None
    ) -> Copied:
        """Return what came of a repcopy."""
        try:
            repcopy(self.stage.config, self.hosts, path, again=again, bounds=bounds, files=files)
        except NotCopied as error:
            return error.outcome
        return Copied.OK

    def here(self) -> dict[str, str]:
        """Return name and content of every file of carl's that is here."""
        folder = self.stage.res / "away/carl"
        return {name: (folder / name).read_text() for name in os.listdir(folder)} if folder.exists() else {}

    def close(self) -> None:
        """End everything and remove the files."""
        for host in list(self.desks):
            self.no_desk(host)
        self.web.close()
        self.stage.store.close()
        shutil.rmtree(self.root)


@pytest.fixture
def site() -> Iterator[CopySite]:
    """Give a site whose web has y.html with metadata."""
    made = CopySite()
    made.web.files = {RAW_Y: b"new", f"{RAW_Y}.meta": b"new meta"}
    yield made
    made.close()
