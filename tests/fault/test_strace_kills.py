"""Row 1: SIGKILL at every system call of a flush of the real child; nothing is lost, one is doubled at most.

A first flush under strace counts the calls; each further one is killed at another of them, on the same ground:
three messages that are answered, one that is refused and one that is none. LONC_TEST_STRACE as in stracing.py.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.fault.stracing import TIMEOUT_S, attached, calls_in, inject, sample
from tests.process import procs
from tests.process.harness import Site, wait_until
from tests.proof.tally import Tally

KINDS = frozenset(
    ["openat", "read", "pread64", "write", "pwrite64", "close", "newfstatat", "fstat", "lstat", "stat", "rename",
     "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "fsync", "fdatasync",
     "ftruncate", "flock", "sendto", "recvfrom", "epoll_wait", "epoll_ctl", "getdents64"]
)  # fmt: skip
SETTINGS = {
    "loncMaxAttempts": "0", "loncRestartMin": "0.01", "loncDelayedScan": "60", "loncGrace": "0.2",
    "loncRedialMax": "0.2",
}  # fmt: skip
GOODS = 3
LIMIT_S = 30.0


class Round:
    """One flush: its messages, and what must have become of them."""

    def __init__(self, site: Site, number: int) -> None:
        self.site = site
        self.goods = [b"put:msu:u:good:%d=%d" % (number, at) for at in range(GOODS)]
        self.refused = b"put:msu:u:refuse:%d" % number
        self.bad = b"round %d\nhas two lines\n" % number
        for folder in ("rejected", "corrupt"):  # each round makes them anew, as the first one did
            shutil.rmtree(site.delayed_dir / folder, ignore_errors=True)

    def put(self) -> None:
        """Write all messages, the last first: whoever looks meanwhile finds none without those before it."""
        names = [f"1000000000.{at}.1.put.msul1" for at in range(GOODS + 2)]
        texts = [*(line + b"\n" for line in self.goods), self.refused + b"\n", self.bad]
        for name, text in reversed(list(zip(names, texts, strict=True))):
            path = self.site.delayed_dir / f".new.{name}"
            path.write_bytes(text)
            path.chmod(0o600)
            os.utime(path, (1e9, 1e9))
            path.rename(self.site.delayed_dir / name)

    def over(self) -> bool:
        """Return whether nothing waits, also nothing half way."""
        rest = {name for name in os.listdir(self.site.delayed_dir) if not name.startswith(".lock")}
        return not rest - {"rejected", "corrupt"}

    def kept(self, folder: str) -> list[bytes]:
        """Return the messages in one of the directories of those that were set aside."""
        found = sorted((self.site.delayed_dir / folder).iterdir())
        return [path.read_bytes() for path in found if path.suffix not in (".reply", ".reason")]

    def violations(self, executed: list[str], kills: int) -> list[str]:
        """Return what was lost, doubled too often or out of order among these lines of the peer."""
        wanted = [line.decode() for line in (*self.goods, self.refused)]
        found = [line for line in executed if line in wanted]
        times = Counter(found)
        wrong = [f"lost: {line}" for line in wanted if not times[line]]
        if len(found) > len(wanted) + kills:
            wrong.append(f"doubled: {times}")
        if list(dict.fromkeys(found)) != wanted:
            wrong.append(f"out of order: {found}")
        if self.kept("rejected") != [self.refused + b"\n"] or self.kept("corrupt") != [self.bad]:
            wrong.append(f"set aside: {self.kept('rejected')}, {self.kept('corrupt')}")
        return wrong


def flush(site: Site, number: int, *options: str, output: Path | str = "/dev/null") -> tuple[Round, bool]:
    """Have one flush done under strace; return its round, and whether the child was killed on the way."""
    site.wait_ready(timeout_s=LIMIT_S)
    child = site.child("msul1")
    this = Round(site, number)
    with attached(child, *options, output=output):
        this.put()
        procs.send(child, signal.SIGUSR1)  # it may be gone already: killed in the call that it was waiting in
        wait_until(lambda: this.over() or not procs.alive(child), LIMIT_S, "the flush or the kill")
        with contextlib.suppress(OSError):  # behind the flush's last calls
            site.ask("msul1", b"echo:over")
    killed = not procs.alive(child)
    if killed:  # the next child finishes it on its new link
        wait_until(lambda: site.board("msul1").child.pid not in (0, child), LIMIT_S, "the next child")
    wait_until(this.over, LIMIT_S, "an empty directory")
    return this, killed


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S)
def test_a_kill_at_every_call_of_a_flush(make_site: MakeSite, tally: Tally) -> None:
    site = make_site(["msul1"], settings=SETTINGS)
    peer = site.peer("msul1", "on put:msu:u:refuse*=reply:refused")
    site.start()
    trace = site.root / "trace"
    this, _killed = flush(site, 0, output=trace)
    assert this.violations(peer.executed(), 0) == []
    calls = calls_in(trace, KINDS)
    assert len(calls) > 60
    kills = 0
    for number, (kind, nth) in enumerate(sample(calls), 1):
        this, killed = flush(site, number, *inject(kind, nth, "signal=KILL"))
        kills += killed
        wrong = this.violations(peer.executed(), 1 if killed else 0)
        tally.add(inputs=GOODS + 2, faults=1, violations=len(wrong))
        assert not wrong, f"killed at call {nth} of {kind}: {wrong}"
    print(f"\n{kills} kills, each at another of {len(calls)} calls of a flush: nothing lost")
    assert kills > 0
    assert "ABNORMAL EXIT" not in site.log_text()
