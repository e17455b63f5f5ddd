"""Owns a running pool_program and its clients, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.process.procs import alive, end
from tests.process.waiting import TREE, wait_until

LIMIT_S = 40.0  # of every wait; none is expected to take long


def cpu_s(pid: int) -> float:
    """Return how much CPU time a process has used."""
    return float(sum(psutil.Process(pid).cpu_times()[:2]))


def wait_cpu(pid: int, used_s: float) -> None:
    """Wait until a process has used so much CPU time in all."""
    wait_until(lambda: cpu_s(pid) >= used_s, LIMIT_S, f"{used_s} s of CPU used by {pid}")


class Client:
    """A connection, and who serves it."""

    def __init__(self, address: Any, *, greeted: bool = True) -> None:
        """greeted: wait until a worker has taken it."""
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(address if isinstance(address, str) else tuple(address))
        self.stream = self.sock.makefile("rb")
        self.worker, self.pid, self.address = "", 0, ""
        if greeted:
            self.meet()

    def meet(self) -> None:
        """Read who serves."""
        worker, pid, *address = self.line().split()
        self.worker, self.pid, self.address = worker, int(pid), "".join(address)

    def line(self) -> str:
        """Return the next line, "" at the end."""
        try:
            return self.stream.readline().decode().rstrip("\n")
        except ConnectionResetError:
            return ""

    def say(self, line: str) -> None:
        """Send a line."""
        self.sock.sendall(line.encode() + b"\n")

    def ask(self, line: str) -> str:
        """Send a line and return the next one."""
        self.say(line)
        return self.line()

    def close(self) -> None:
        """Hang up."""
        self.stream.close()
        self.sock.close()


class PoolRun:
    """A pool_program at work."""

    def __init__(self, folder: Path, **options: Any) -> None:
        """options: those of pool_program but `log`; others are its rules."""
        own = {"unix", "chld", "forks", "accept", "cannot"}.intersection(options)
        known = {name: options.pop(name) for name in own}
        self.log_path = folder / "pool.log"
        self.clients: list[Client] = []
        command = [sys.executable, "-m", "tests.process.pool_program"]
        command.append(json.dumps({"log": str(self.log_path), "rules": options, **known}))
        self.process = subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.address = json.loads(self.process.stdout.readline())
        self.pid = self.process.pid

    def workers(self) -> list[int]:
        """Return the pids of the workers that run (a stopped one does, a zombie does not)."""
        try:
            return [child.pid for child in psutil.Process(self.pid).children() if alive(child.pid)]
        except psutil.NoSuchProcess:
            return []

    def wait_workers(self, count: int) -> list[int]:
        """Wait until so many workers run; return their pids."""
        wait_until(lambda: len(self.workers()) == count, LIMIT_S, f"{count} workers\n{self.log()}")
        return self.workers()

    def log(self) -> str:
        """Return the log."""
        return self.log_path.read_text() if self.log_path.exists() else ""

    def wait_log(self, text: str, count: int = 1) -> None:
        """Wait until the log has a text so many times."""
        wait_until(lambda: self.log().count(text) >= count, LIMIT_S, f"{text} x {count} in the log")

    def signal(self, signum: int) -> None:
        """Signal the parent."""
        os.kill(self.pid, signum)

    def look(self) -> None:
        """Have the babysitter look once, and wait until it has."""
        self.signal(signal.SIGHUP)
        self.state()

    def state(self) -> str:
        """Return the inner state, asked for now: everything signalled before is done by then."""
        before = self.log().count(" looks")
        self.signal(signal.SIGUSR2)
        self.wait_log(" looks", before + 1)
        return self.log().rpartition("Pool ")[2]

    def client(self, *, greeted: bool = True) -> Client:
        """Return a new client."""
        client = Client(self.address, greeted=greeted)
        self.clients.append(client)
        return client

    def ended(self) -> int:
        """Wait for the end of the parent and return its exit code."""
        return self.process.wait(LIMIT_S)

    def close(self) -> None:
        """End everything that is left."""
        left = self.workers()
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        end(left)


@contextlib.contextmanager
def running(folder: Path, **options: Any) -> Iterator[PoolRun]:
    """Run a pool for the length of a block."""
    pool = PoolRun(folder, **options)
    try:
        yield pool
    finally:
        pool.close()
