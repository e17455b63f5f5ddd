"""Owns a whole installation of lonc in a temporary directory: files, processes, peers, and their end.

A Site is built from its hosts, started with start(), talked to with ask() and connect(), and always ended by
cleanup(), which leaves neither a process nor a file. Peers are real processes (tests/fakes/lond.py) on
addresses of 127.0.0.0/8 that share one port, since londPort is one for a whole network.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.process import procs
from tests.process.client import Client
from tests.process.installation import Entry, Installation, LogLine
from tests.process.peer import Peer, Proxy, next_address
from tests.process.waiting import TREE, stays, wait_until

__all__ = ["TREE", "Client", "Entry", "LogLine", "Peer", "Proxy", "Site", "stays", "wait_until"]

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 25.0
SHOWN_BYTES = 20000  # of each file in the report of a failed test


class Site(Installation):
    """An installation whose daemon and peers run; own_id and settings as for Installation."""

    def __init__(
        self,
        hosts: Sequence[str | Entry] = ("msul1",),
        *,
        own_id: str = "own1",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(hosts, own_id=own_id, settings=settings)
        self.peers: dict[str, Peer] = {}
        self.proxies: dict[str, Proxy] = {}
        self.foreground: subprocess.Popen[bytes] | None = None

    # --- peers ----------------------------------------------------------------------------------------

    def peer(self, peer: str, *rules: str, start: bool = True, more_ids: Sequence[str] = ()) -> Peer:
        """Return a new fake lond, started unless start is False, at the address of this id or behind its proxy."""
        address = self.proxies[peer].to if peer in self.proxies else self.entry(peer).address
        made = Peer(self.root, [peer, *more_ids], self.own_id, address, self.port, rules)
        self.peers[peer] = made
        return made.start() if start else made

    def proxy(self, peer: str) -> Proxy:
        """Return a running bad line at the address of this id; peer() for it, called later, listens behind it."""
        assert peer not in self.peers, "the proxy comes first: it takes the peer's address"
        self.proxies[peer] = Proxy(self.root, peer, self.entry(peer).address, self.port, next_address())
        return self.proxies[peer].start()

    # --- the daemon -----------------------------------------------------------------------------------

    def command(self, *arguments: str) -> list[str]:
        """Return the command that starts this site's daemon."""
        return [sys.executable, str(TREE / "bin" / "lonc"), "--conf-dir", str(self.conf_dir), *arguments]

    def runs_under(self, wrapper: Sequence[str]) -> bool:
        """Return whether the command can be executed that way: Python or the tree may be closed to a user."""
        command = [*wrapper, *self.command("--version")]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def run(
        self, *arguments: str, wrapper: Sequence[str] = (), env: Mapping[str, str] | None = None,
        timeout_s: float = START_TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run bin/lonc to the end of the starting command and return its status, output and stderr.

        The output goes through files, since a daemon may keep what it was started with. wrapper stands
        before the command (`nohup`, `strace ...`).
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            done = subprocess.run(
                [*wrapper, *self.command(*arguments)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                env=dict(os.environ) | dict(env or {}),
                timeout=timeout_s,
                check=False,
            )
            out.seek(0)
            errors.seek(0)
            texts = out.read().decode("utf-8", "replace"), errors.read().decode("utf-8", "replace")
        with self.error_path.open("a", encoding="utf-8") as kept:
            kept.write(texts[1])
        return subprocess.CompletedProcess(done.args, done.returncode, *texts)

    def start(
        self, *arguments: str, wrapper: Sequence[str] = (), env: Mapping[str, str] | None = None,
        timeout_s: float = START_TIMEOUT_S,
    ) -> int:  # fmt: skip
        """Start the daemon in the background and return the parent's pid. Raises AssertionError else."""
        done = self.run(*arguments, wrapper=wrapper, env=env, timeout_s=timeout_s)
        assert done.returncode == 0, f"start: status {done.returncode}: {done.stderr}\n{self.log_text()[-4000:]}"
        return self.pid()

    def start_foreground(self, *arguments: str, wrapper: Sequence[str] = ()) -> int:
        """Start the daemon with -n, wait for its pid file, and return the parent's pid; stderr is a file."""
        with self.error_path.open("ab") as errors:
            self.foreground = subprocess.Popen(
                [*wrapper, *self.command("-n", *arguments)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        wait_until(
            lambda: self.pid_path.exists() or self.foreground is None or self.foreground.poll() is not None,
            START_TIMEOUT_S,
            "the pid file",
        )
        assert self.foreground.poll() is None, f"ended with {self.foreground.returncode}: {self.error_text()}"
        return self.pid()

    def pid(self) -> int:
        """Return the parent's pid by the pid file. Raises AssertionError when there is none or it is not whole."""
        text = self.pid_path.read_text() if self.pid_path.exists() else "(no file)"
        assert re.fullmatch(r"\d+\n", text), f"pid file: {text!r}"
        return int(text)

    def running(self) -> bool:
        """Return whether the pid file names a living process."""
        return self.pid_path.exists() and procs.alive(self.pid())

    def children(self) -> list[int]:
        """Return the pids of the parent's living children."""
        found = psutil.Process(self.pid()).children()
        return sorted(process.pid for process in found if procs.alive(process.pid))

    def title(self, pid: int) -> str:
        """Return a process's title, empty when it is gone."""
        try:
            return " ".join(psutil.Process(pid).cmdline()).strip()
        except psutil.NoSuchProcess:
            return ""

    def child(self, peer: str, timeout_s: float = 10.0) -> int:
        """Return the pid of a peer's child, by its title, as soon as there is one."""

        def look() -> int:
            found = [pid for pid in self.children() if self.title(pid).startswith(f"lonc: {peer} ")]
            return found[0] if found else 0

        return wait_until(look, timeout_s, f"a child of {peer}")

    def signal(self, signum: int, pid: int | None = None) -> None:
        """Send a signal to the parent, or to this process of the site."""
        assert procs.send(pid or self.pid(), signum), "no such process"

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> float:
        """End the daemon by SIGTERM, wait until nothing of it is left, and return how long that took in s."""
        pid = self.pid()
        family = [pid, *procs.descendants(pid)]
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        if self.foreground is not None:
            self.foreground.wait(timeout_s)
        wait_until(lambda: not any(procs.alive(one) for one in family), timeout_s, "the daemon's end")
        return time.monotonic() - began

    def kill(self) -> list[int]:
        """Kill the parent alone by SIGKILL and return the pids of the children it leaves."""
        left = self.children()
        self.signal(signal.SIGKILL)
        if self.foreground is not None:
            self.foreground.wait(10)
        return left

    # --- talking --------------------------------------------------------------------------------------

    def connect(self, peer: str, timeout_s: float = 10.0) -> Client:
        """Return a client of this peer."""
        return Client(self.socket_path(peer), timeout_s)

    def ask(self, peer: str, line: bytes, timeout_s: float = 10.0) -> bytes | None:
        """Return the reply to one request on a connection of its own; None when it was closed instead."""
        with self.connect(peer, timeout_s) as client:
            return client.ask(line, timeout_s)

    def ready(self, peer: str) -> bool:
        """Return whether the link to this peer is ready, by the scoreboard of a living child."""
        shown = self.board(peer)
        ours = shown.child.pid != 0 and shown.child.pid == shown.parent.pid
        return ours and shown.child.state == "ready" and procs.alive(shown.child.pid)

    def wait_ready(self, *peers: str, timeout_s: float = 15.0) -> None:
        """Return when the link to each of these peers (to all of the table) is ready."""
        for peer in peers or [entry.id for entry in self.entries]:
            self._wait_ready(peer, timeout_s)

    def _wait_ready(self, peer: str, timeout_s: float) -> None:
        wait_until(lambda: self.ready(peer), timeout_s, f"a ready link to {peer}")

    # --- the end --------------------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """Return every process of this installation: parents, children, orphans, peers."""
        return procs.using(self.root)

    def grep_secrets(self, *secrets: str) -> list[str]:
        """Return where one of these texts stands in clear; nothing is the right answer (acceptance A8).

        Looked at: everything below logs/ (logs, permanent log, scoreboard, rotated ones), the status
        directory, stderr, and the command line and environment of every process of lonc. The delayed files
        themselves hold their commands, and a fake peer's own log its requests: both are left out.
        """
        fakes = [*self.peers.values(), *self.proxies.values()]
        peers = {fake.process.pid for fake in fakes if fake.process is not None}
        files = [self.error_path, *self.logs_dir.rglob("*"), *self.status_path.parent.rglob("*")]
        for pid in self.processes():
            if pid not in peers:
                files += [Path(f"/proc/{pid}/cmdline"), Path(f"/proc/{pid}/environ"), Path(f"/proc/{pid}/comm")]
        found = []
        for path in files:
            if not path.is_file():  # what is gone, and FIFOs that a test has put there
                continue
            data = path.read_bytes() if os.access(path, os.R_OK) else b""
            found += [f"{path}: {secret}" for secret in secrets if secret.encode() in data]
        return found

    def report(self) -> str:
        """Return what a failed test should show: the processes and the ends of all texts."""
        parts = [f"{pid} {self.title(pid)}" for pid in self.processes()]
        logs = sorted(path for path in self.logs_dir.rglob("*") if path.is_file() and path != self.scoreboard_path)
        fakes = sorted(self.root.glob("*.peer.*")) + sorted(self.root.glob("*.proxy.err"))
        for path in [*logs, self.error_path, self.status_path, *fakes]:
            if path.is_file():
                parts.append(f"--- {path.relative_to(self.root)}")
                parts.append(path.read_bytes()[-SHOWN_BYTES:].decode("utf-8", "replace"))
        return "\n".join(parts)

    def cleanup(self) -> None:
        """End every process of this installation by its pid, then remove the files.

        Raises AssertionError when a process cannot be ended, or when a peer had ended by itself.
        """
        broken = []
        for fake in [*self.peers.values(), *self.proxies.values()]:
            try:
                fake.kill()
            except AssertionError as error:
                broken.append(str(error))
        if self.foreground is not None:
            procs.end([*procs.descendants(self.foreground.pid), self.foreground.pid])
            self.foreground.wait(10)
        left = procs.end_all(self.root)
        shutil.rmtree(self.root, ignore_errors=True)
        assert not left, f"processes that cannot be ended: {left}"
        assert not broken, broken
