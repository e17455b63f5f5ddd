"""Somebody swaps the names of lonc's files for links to a file of his choice: that file is never touched.

A process does it as fast as it can while the daemon starts, rotates, reports, reads its table, restarts, flushes
and ends. Whoever can do that may keep lonc from writing its log, which is told; it harms no other file, follows
no link, hangs on no FIFO, and goes on serving. LONC_TEST_LINK_ROUNDS: rounds of each (1).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process.harness import TREE, Site
from tests.process.procs import alive
from tests.process.waiting import wait_until
from tests.proof.tally import Tally
from tests.security.others import NOBODY

ROUNDS = int(os.environ.get("LONC_TEST_LINK_ROUNDS", "1"))
TEXT = b"root:x:0:0:somebody else's file\n"
LOGS = ("lonc.log", "lonc.json.log", "lonnet.perm.log", "lonc_errors")


class Victim:
    """A file of somebody else, beside which nothing may appear either."""

    def __init__(self, place: Path) -> None:
        self.path = place / "victim"
        place.mkdir(mode=0o755)
        self.path.write_bytes(TEXT)
        self.path.chmod(0o666)  # writable by the daemon, whoever that is: only its own care protects the file
        if os.geteuid() == 0:
            os.chown(self.path, NOBODY, -1)
        self._facts = self._look()

    def _look(self) -> tuple[object, ...]:
        facts = self.path.lstat()
        return facts.st_ino, facts.st_mode, facts.st_uid, facts.st_size, facts.st_mtime_ns

    def assert_untouched(self) -> None:
        """Fail unless it is what it was, to the byte and the nanosecond, and alone in its directory."""
        assert self.path.read_bytes() == TEXT
        assert self._look() == self._facts
        assert [path.name for path in self.path.parent.iterdir()] == ["victim"]


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    """Return the file that is attacked."""
    return Victim(tmp_path / "foreign")


@contextmanager
def attack(victim: Victim, kinds: str, names: list[Path], tally: Tally) -> Iterator[None]:
    """Have the names swapped meanwhile; each swap is a fault."""
    command = [sys.executable, "-m", "tests.security.attacker", str(victim.path), kinds, *map(str, names)]
    attacker = subprocess.Popen(command, cwd=TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert attacker.stdin is not None
    assert attacker.stdout is not None
    assert attacker.stdout.readline() == "swapping\n"
    try:
        yield
    finally:
        attacker.stdin.close()
        count = attacker.stdout.read()
        attacker.wait(30)
        attacker.stdout.close()
    assert int(count) >= len(names), "it did swap"
    tally.add(faults=int(count))


def kinds_of_links() -> str:
    """Return the kinds to try; a second name of a file of our own is no attack, so that needs root."""
    return "link,fifo,dangling,hard,directory" if os.geteuid() == 0 else "link,fifo,dangling,directory"


def serves(site: Site, peer: str = "msul1") -> bool:
    """Return whether a request through the daemon comes back."""
    try:
        return site.ask(peer, b"echo:x", 20) == b"x"
    except OSError:
        return False


def disturb(site: Site, turn: int) -> None:
    """Have everything written that the daemon writes: logs, status, delayed messages, a table, a restart."""
    pid = site.pid()
    for signum in (signal.SIGUSR1, signal.SIGUSR2):
        site.signal(signum, pid)
        site.delay("msul1", b"put:%d" % turn)
        wait_until(lambda: serves(site), 30, "a request that is answered")
    site.signal(signal.SIGHUP, pid)
    time.sleep(0.5)
    wait_until(lambda: serves(site), 40, "a request that is answered after a restart")


def test_logs_and_status(make_site: MakeSite, victim: Victim, tally: Tally) -> None:
    settings = {"loncJsonLog": "on", "loncDelayedScan": "0.1", "loncGrace": "10"}
    site = make_site(["msul1"], settings=settings)
    peer = site.peer("msul1")
    names = [*(site.logs_dir / name for name in LOGS), site.status_path]
    with attack(victim, kinds_of_links(), names, tally):
        site.start(wrapper=["sh", "-c", '"$@" 2>&1 | cat', "sh"])
        pid = site.pid()
        site.wait_ready("msul1", timeout_s=40)
        for turn in range(ROUNDS):
            disturb(site, turn)
        assert site.pid() == pid
    victim.assert_untouched()
    peer.wait_executed(2 * ROUNDS, 30)
    site.stop(40)
    victim.assert_untouched()


def test_what_holds_the_state_of_the_daemon(make_site: MakeSite, victim: Victim, tally: Tally) -> None:
    site = make_site(["msul1"], settings={"loncGrace": "10"})
    site.peer("msul1")
    pid = site.start()
    site.wait_ready("msul1")
    names = [site.logs_dir / name for name in ("lonc.pid", "lonc.scoreboard", "lonc.wanted", "lonc.trace-msul1")]
    with attack(victim, kinds_of_links(), names, tally):
        for _ in range(ROUNDS):
            for signum in (signal.SIGUSR1, signal.SIGHUP):
                site.signal(signum, pid)
                time.sleep(0.5)
                wait_until(lambda: serves(site), 40, "a request that is answered")
        site.signal(signal.SIGTERM, pid)
        wait_until(lambda: not alive(pid), 40, "the end")
    victim.assert_untouched()


def test_a_start_among_links(make_site: MakeSite, victim: Victim, tally: Tally) -> None:
    """A start succeeds, or says what stands in its way; either way nobody else's file is touched."""
    site = make_site(["msul1"])
    site.peer("msul1")
    names = [site.logs_dir / "lonc.lock", site.pid_path, site.scoreboard_path, site.socket_path("msul1")]
    with attack(victim, kinds_of_links(), names, tally):
        for _ in range(3 * ROUNDS):
            done = site.run(timeout_s=60)
            assert done.returncode in (0, 1), done.stderr
            assert done.returncode == 0 or done.stderr, "a refusal that says why"
    victim.assert_untouched()


def test_delayed_messages_and_their_directories(make_site: MakeSite, victim: Victim, tally: Tally) -> None:
    site = make_site(["msul1"], settings={"loncDelayedScan": "0.1", "loncGrace": "10", "loncDelayedTimeout": "2"})
    peer = site.peer("msul1", "on put:refused*=answer:refused")
    site.start()
    site.wait_ready("msul1")
    d = site.delayed_dir
    names = [d / ".lock-msul1", d / "rejected", d / "corrupt", d / "1.2.3.put.msul1", d / ".sent-msul1~"]
    with attack(victim, "link,fifo,dangling,directory", names, tally):
        for turn in range(3 * ROUNDS):
            site.delay("msul1", b"put:%d" % turn)
            site.delay("msul1", b"put:refused%d" % turn)
            site.delayed(f"{turn}.5.6.two.msul1", b"two\nlines\n")
            site.signal(signal.SIGTERM if turn == 1 else signal.SIGUSR1, site.child("msul1"))
            wait_until(lambda: serves(site), 40, "a request that is answered")
    for name in names:
        if name.is_symlink() or not name.is_dir():
            name.unlink(missing_ok=True)
    wanted = {f"put:{turn}" for turn in range(3 * ROUNDS)}
    site.signal(signal.SIGUSR1)
    wait_until(lambda: wanted <= set(peer.executed()), 40, "every message")
    victim.assert_untouched()
    assert TEXT.decode().strip() not in peer.executed(), "no link was read either"


@pytest.mark.root
def test_a_file_with_a_second_name_is_refused_and_told(make_site: MakeSite, victim: Victim) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a file to another user")
    site = make_site(["msul1"])
    site.peer("msul1")
    os.link(victim.path, site.status_path)
    os.link(victim.path, site.perm_log_path)
    site.start()
    site.wait_ready()
    site.delay("msul1", b"put:a")
    site.signal(signal.SIGUSR1)
    site.wait_log("Status file cannot be written: ", 30)
    site.wait_log("it has a second name and belongs to user id", 30)
    site.peers["msul1"].wait_executed(1)
    assert victim.path.read_bytes() == TEXT
