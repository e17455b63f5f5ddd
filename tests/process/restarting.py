"""Owns what tests of restarts and ends share: HUP to its end, descriptors, restless clients, a tree to break."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.process import procs
from tests.process.harness import TREE, Site
from tests.process.waiting import wait_until

RESTART_S = 30.0  # how long a restart may take on a loaded machine
# Breaks a file between the check and the new self: what stands in `gap-NAME` becomes NAME in that moment.
PROGRAM = """
import os, sys
sys.path[0] = {tree!r}
if "--resume" in sys.argv:
    for gap, name in {gaps!r}.items():
        if os.path.exists(gap):
            os.replace(gap, name)
from lonc.cli.daemon import main
sys.exit(main())
"""


class CopySite(Site):
    """A site whose daemon runs from a copy of the package, so that a test may break the program."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # Site checks its own arguments
        self.tree = self.root / "tree"
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(TREE / "lonc", self.tree / "lonc", ignore=left_out)
        self.gaps = {self.root / "gap-hosts.tab": self.hosts_path,
                     self.root / "gap-loncapa.conf": self.conf_dir / "loncapa.conf"}  # fmt: skip
        self.program = self.tree / "start.py"
        gaps = {str(gap): str(name) for gap, name in self.gaps.items()}
        self.program.write_text(PROGRAM.format(tree=str(self.tree), gaps=gaps))

    def command(self, *arguments: str) -> list[str]:
        """Return the command that starts this site's daemon from its own tree."""
        return [sys.executable, str(self.program), "--conf-dir", str(self.conf_dir), *arguments]

    def in_gap(self, name: str, text: str) -> None:
        """Have this text stand in hosts.tab or loncapa.conf when the new self reads it, and not before."""
        (self.root / f"gap-{name}").write_text(text)


def restarts(site: Site) -> int:
    """Return how many restarts have gone through."""
    return site.log_text().count("children hand over to new ones")


def restart(site: Site) -> float:
    """Send HUP, wait until every child is a new one with a ready link, and return how long that took in s."""
    began = time.monotonic()
    before = {entry.id: site.board(entry.id).parent.pid for entry in site.entries}
    done = restarts(site)
    site.signal(signal.SIGHUP)
    wait_restarts(site, done + 1)
    for entry in site.entries:
        wait_changed(site, entry.id, before[entry.id])
    site.wait_ready(timeout_s=RESTART_S)
    return time.monotonic() - began


def wait_restarts(site: Site, number: int) -> None:
    """Return when so many restarts have gone through, all in all."""
    wait_until(lambda: restarts(site) >= number, RESTART_S, f"restart number {number}")


def wait_changed(site: Site, peer: str, old: int) -> None:
    """Return when a peer's child is another one than old, by the scoreboard."""
    wait_until(lambda: site.board(peer).parent.pid not in (0, old), RESTART_S, f"a new child of {peer}")


def links_of(pid: int) -> list[str]:
    """Return what a process has open at this moment, without the numbers of sockets and pipes."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            link = os.readlink(f"/proc/{pid}/fd/{name}")
            found.append(link.partition("[")[0] if link.startswith(("socket:", "pipe:", "anon_inode:")) else link)
    return sorted(found)


def descriptors(pid: int) -> list[str]:
    """Return what a process has open for more than a moment: a log line or an import may have a file open."""

    def look() -> list[str]:
        first = links_of(pid)
        time.sleep(0.03)
        return first if links_of(pid) == first else []

    return wait_until(look, 5, "descriptors at rest")


def family(site: Site) -> list[int]:
    """Return the parent and all that descends from it."""
    return [site.pid(), *procs.descendants(site.pid())]


def gone(pids: list[int]) -> bool:
    """Return whether none of these processes lives."""
    return not any(procs.alive(pid) for pid in pids)


class Crowd:
    """Clients in threads of the test that ask `echo:` without pause until stop().

    per_connection: requests before a client hangs up; 0: never. Each write holds so many lines. What must not
    happen is counted in `tally` as refused (a connect), unanswered (a line that the kernel took), wrong, con_lost,
    broken; `visible` are writes that failed, which is what a hand-over may do to a client that never hangs up.
    """

    def __init__(self, path: Path, clients: int, per_connection: int, lines: int = 1) -> None:
        self.tally: Counter[str] = Counter()
        self.longest_s = 0.0
        self.errors: list[str] = []
        self._path = str(path)
        self._per_connection = per_connection
        self._lines = lines
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._live, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all clients, each after its answer."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"

    @property
    def good(self) -> bool:
        """Return whether nothing happened that must not."""
        bad = ("refused", "unanswered", "wrong", "con_lost", "broken")
        return not self.errors and not any(self.tally[word] for word in bad)

    def __str__(self) -> str:
        counts = " ".join(f"{word}={number}" for word, number in sorted(self.tally.items()))
        return f"{counts} longest={self.longest_s * 1000:.1f} ms {self.errors[:3]}"

    def _live(self, number: int) -> None:
        rounds = 0
        try:
            while not self._stop.is_set():
                try:
                    client = socket.socket(socket.AF_UNIX)
                    client.settimeout(30)
                    client.connect(self._path)
                except OSError as error:
                    self._count("refused")
                    self.errors.append(str(error))
                    return
                with client, client.makefile("rb") as stream:
                    rounds = self._talk(client, stream.readline, number, rounds)
        except Exception as error:  # noqa: BLE001 - shown by the assertion of the test
            self.errors.append(repr(error))

    def _talk(self, client: socket.socket, read: Callable[[], bytes], number: int, rounds: int) -> int:
        """Ask on one connection until its end; return the number of the next round."""
        asked = 0
        while not self._stop.is_set() and (not self._per_connection or asked < self._per_connection):
            lines = [b"%d.%d.%d\n" % (number, rounds, line) for line in range(self._lines)]
            rounds += 1
            asked += 1
            began = time.monotonic()
            taken, failed = self._write(client, b"".join(b"echo:" + line for line in lines))
            for line in lines[:taken]:
                if not self._judge(read(), line):
                    return rounds
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            if failed:
                self._count("visible")
                return rounds
        return rounds

    def _write(self, client: socket.socket, data: bytes) -> tuple[int, bool]:
        """Return how many whole lines the kernel took, and whether it refused the rest visibly."""
        sent = 0
        try:
            while sent < len(data):
                sent += client.send(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            return data[:sent].count(b"\n"), True
        return self._lines, False

    def _judge(self, reply: bytes, expected: bytes) -> bool:
        word = {expected: "answered", b"con_lost\n": "con_lost", b"": "unanswered"}.get(reply)
        if word is None:
            word = "wrong" if reply.endswith(b"\n") else "broken"
        self._count(word)
        return word in ("answered", "con_lost")

    def _count(self, word: str) -> None:
        with self._lock:
            self.tally[word] += 1


@contextlib.contextmanager
def stand_in(command: list[str]) -> Iterator[int]:
    """Run a process for a while; its pid."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait(10)
