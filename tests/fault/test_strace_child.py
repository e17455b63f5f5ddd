"""Rows 6, 7 and 9: failing system calls of a child at work; its clients go on, and all is well when it ends.

A fault lasts for as many calls as strace counts (`when=1..8`), for the whole process. Nobody has another's reply,
no client is dropped that the fault did not meet, and the child is the same one afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.conftest import MakeSite
from tests.fault.stracing import attached, inject, paths
from tests.process.harness import Client, Site, wait_until
from tests.proof.tally import Tally

LIMIT_S = 30.0
SETTINGS = {
    "loncDelayedScan": "0.2", "loncMaxAttempts": "0", "loncRedialMax": "0.2", "loncGrace": "5",
    "loncRequestTimeout": "20",
}  # fmt: skip


class Work:
    """A child with its link, a client that stays, and messages on their way."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.peer = site.peer("msul1", "on *refuse*=reply:refused")
        site.start()
        site.wait_ready()
        self.child = site.child("msul1")
        self.stayer = site.connect("msul1", LIMIT_S)
        self.asked = 0

    def ask(self, client: Client | None = None) -> bytes | None:
        """Ask something that nobody else asks; return the reply: the right one, con_lost, or None for a close."""
        self.asked += 1
        word = b"word %d" % self.asked
        reply = (client or self.stayer).ask(b"echo:" + word, LIMIT_S)
        assert reply in (word, b"con_lost", None)
        return reply

    def new_client_is_served(self) -> bool:
        """Return whether one who comes now is served."""
        with contextlib.suppress(OSError), self.site.connect("msul1", LIMIT_S) as client:
            return self.ask(client) not in (b"con_lost", None)
        return False

    def delay(self, line: bytes) -> None:
        """Have a message delivered, refused or not."""
        self.site.delay("msul1", line)

    def wait_executed(self, line: str) -> None:
        """Return when the peer has carried this out."""
        wait_until(lambda: line in self.peer.executed(), LIMIT_S, line)

    def well_again(self) -> None:
        """All is as before."""
        wait_until(lambda: self.ask() not in (b"con_lost", None), LIMIT_S, "a reply for the one who stayed")
        assert self.new_client_is_served()
        self.delay(b"put:msu:u:last=%d" % self.asked)
        last = f"put:msu:u:last={self.asked}"
        self.wait_executed(last)
        wait_until(lambda: not self.site.waiting(), LIMIT_S, "an empty directory")
        assert self.peer.executed().count(last) == 1
        assert self.site.child("msul1") == self.child
        assert "ABNORMAL EXIT" not in self.site.log_text()


@contextlib.contextmanager
def working(make_site: MakeSite) -> Iterator[Work]:
    """Give a child at work."""
    work = Work(make_site(["msul1"], settings=SETTINGS))
    try:
        yield work
    finally:
        work.stayer.close()


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_no_descriptor_for_clients_links_and_files(make_site: MakeSite, tally: Tally) -> None:
    with working(make_site) as work:
        for error in ("ENFILE", "ECONNABORTED"):
            fault = attached(work.child, *inject("accept4", "1..2", f"error={error}"))
            with fault, work.site.connect("msul1", LIMIT_S) as waiting:
                work.asked += 1
                word = b"waits %d" % work.asked
                waiting.send(b"echo:" + word)
                assert work.ask() not in (b"con_lost", None)
                assert waiting.line(LIMIT_S) == word  # as soon as accepting works again
            tally.add(inputs=2, faults=2)
        for kind, error in (("socket", "ENFILE"), ("connect", "EADDRNOTAVAIL"), ("connect", "ENETUNREACH")):
            opened = work.site.board("msul1").child.links_opened
            with attached(work.child, *inject(kind, "1..3", f"error={error}")):
                work.peer.restart()
                wait_until(lambda: work.ask() not in (b"con_lost", None), LIMIT_S, "a reply")
            assert work.site.board("msul1").child.links_opened > opened
            tally.add(inputs=1, faults=3)
        for error in ("EMFILE", "ENFILE"):
            with attached(work.child, *inject("openat", "1..8", f"error={error}")):
                work.delay(b"put:msu:u:without=descriptors")
                assert work.ask() not in (b"con_lost", None)
                wait_until(lambda: not work.site.waiting(), LIMIT_S, "the message")
            tally.add(inputs=2, faults=8)
        work.well_again()


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_no_room_for_logs_and_what_was_refused(make_site: MakeSite, tally: Tally) -> None:
    with working(make_site) as work:
        site = work.site
        files = (
            (site.log_path, ("openat", "write", "pread64")),
            (site.perm_log_path, ("openat", "write")),
            (site.delayed_dir, ("openat", "fsync", "getdents64")),
        )
        work.delay(b"put:msu:u:first=1")  # all files are there
        wait_until(lambda: not site.waiting(), LIMIT_S, "the first message")
        for path, kinds in files:
            for kind in kinds:
                error = "EIO" if kind in ("pread64", "getdents64") else "ENOSPC"
                with attached(work.child, *paths(path), *inject(kind, "1..2", f"error={error}")):
                    if path == site.log_path:
                        with contextlib.suppress(FileNotFoundError):  # the last one could not be made at all
                            path.rename(path.with_suffix(f".{kind}"))  # rotated just now
                    work.delay(f"put:msu:u:{path.name}={kind}".encode())
                    assert work.ask() not in (b"con_lost", None)
                    wait_until(lambda: not site.waiting(), LIMIT_S, "the message")
                tally.add(inputs=2, faults=2)
        refused = site.delayed_dir / "rejected"
        for number, kind in enumerate(("mkdir", "write", "rename")):
            with attached(work.child, *inject(kind, "1..2", "error=ENOSPC")):
                work.delay(b"put:msu:u:refuse=%d" % number)
                assert work.ask() not in (b"con_lost", None)
                work.wait_executed(f"put:msu:u:refuse={number}")
            wait_until(lambda: not site.waiting(), LIMIT_S, "the refused message set aside")
            tally.add(inputs=2, faults=2)
        kept = sorted(path.read_text() for path in refused.iterdir() if path.suffix != ".reply")
        assert kept == [f"put:msu:u:refuse={number}\n" for number in range(3)]
        work.well_again()
        executed = [line for line in work.peer.executed() if line.startswith("put:")]
        assert len(executed) == len(set(executed))  # an error never doubles


@pytest.mark.timeout(120)
def test_a_link_whose_reads_and_writes_fail_is_another_link(make_site: MakeSite, tally: Tally) -> None:
    with working(make_site) as work:
        for kind, error in (("recvfrom", "EIO"), ("sendto", "EIO"), ("recvfrom", "ENOMEM"), ("sendto", "ENOBUFS")):
            # both directions of clients and of the link: who is met by it may be closed, nobody is mixed up
            with attached(work.child, *inject(kind, "2..4", f"error={error}")):
                for _ in range(6):
                    if work.ask() is None:
                        work.stayer.close()
                        work.stayer = work.site.connect("msul1", LIMIT_S)
                    with contextlib.suppress(OSError):
                        work.new_client_is_served()
            tally.add(inputs=12, faults=3)
        work.well_again()
