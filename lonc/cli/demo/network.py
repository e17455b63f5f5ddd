"""The demonstration's network: three servers on this machine, made, watched and ended together.

Everything lies in one short directory below /tmp, since the path of a UNIX socket may have 107 bytes.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from lonc.cli.demo.screen import DemoError, Screen
from lonc.cli.demo.server import TEMPLATES, Server

OWN = "home1"
# Whoever asks needs lonc, whoever answers lond; oak1 has both, so that it can ask back.
PROGRAMS = {"home1": ("lond", "lonc"), "oak1": ("lond", "lonc"), "elm1": ("lond",)}
STOP_S = 30.0
_SLICE_S = 0.02
_PROGRESS_S = 3.0
Found = TypeVar("Found")


class Network:
    """Our own server and two peers. root: the directory of this run; servers: by id, from hosts.tab."""

    def __init__(self, screen: Screen) -> None:
        self.keep_files = False
        self._screen = screen
        place = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()
        self.root = Path(tempfile.mkdtemp(prefix="lonc-demo-", dir=place))
        self.table = (TEMPLATES / "hosts.tab").read_text("utf-8")
        self.servers: dict[str, Server] = {}
        for line in self.table.splitlines():
            if line and not line.startswith("#"):
                host_id, _, _, _, address = line.split(":")
                self.servers[host_id] = Server(host_id, address, self.root / host_id, PROGRAMS[host_id])
        self.own = self.servers[OWN]
        self.port = 0
        self._log_read = 0

    def write_files(self) -> None:
        """Make the directories and configuration of every server."""
        self.port = free_port([server.address for server in self.servers.values()])
        for server in self.servers.values():
            server.write_files(self.table, self.port)

    def socket(self, peer: str) -> str:
        """Return the path of our own server's UNIX socket for a peer."""
        return str(self.own.sockets / peer)

    # --- its log --------------------------------------------------------------------------------------

    def new_log(self, *wanted: str) -> list[str]:
        """Return the lines of our own lonc.log since the last call that hold one of these texts, or all."""
        lines = self.own.log_lines("lonc")
        new, self._log_read = lines[self._log_read :], len(lines)
        return [line for line in new if not wanted or any(text in line for text in wanted)]

    def wait_log(self, text: str, limit_s: float = 30.0, count: int = 1) -> None:
        """Return when so many lines since the last new_log() hold this text."""

        def look() -> bool:
            return sum(text in line for line in self.own.log_lines("lonc")[self._log_read :]) >= count

        self.wait(look, limit_s, f"`{text}` in lonc.log")

    def wait(self, look: Callable[[], Found], limit_s: float, what: str) -> Found:
        """Return what look() finds as soon as it is true; tell every few seconds what is waited for.

        Raises DemoError when the time is over.
        """
        began = told = time.monotonic()
        while not (found := look()):
            now = time.monotonic()
            if now - began > limit_s:
                raise DemoError(f"waited {limit_s:g} s in vain for {what}")
            if now - told > _PROGRESS_S:
                told = now
                self._screen.say(f"... waiting for {what}")
            time.sleep(_SLICE_S)
        return found

    def tails(self) -> list[tuple[str, list[str]]]:
        """Return the ends of the files of all servers that may tell why something failed."""
        return [tail for server in self.servers.values() for tail in server.tails()]

    # --- the end --------------------------------------------------------------------------------------

    def alive(self) -> list[int]:
        """Return the pids of all processes of the network that still live."""
        return [pid for server in self.servers.values() for pid in server.alive()]

    def stop(self, program: str) -> float:
        """Send TERM to the parents of a program on every server, wait for the end; return the seconds it took."""
        began = time.monotonic()
        for server in self.servers.values():
            if program in server.programs:
                server.stop(program)

        def over() -> bool:
            return not any(server.processes(program) for server in self.servers.values())

        self.wait(over, STOP_S, f"the end of {program}")
        return time.monotonic() - began

    def end(self) -> list[int]:
        """End whatever still runs and remove the files; return the pids that had to be killed."""
        with _undisturbed():
            with contextlib.suppress(DemoError, OSError):
                for program in ("lonc", "lond"):
                    self.stop(program)
                self.wait(lambda: not self.alive(), STOP_S, "the end of all processes")
            left = [pid for server in self.servers.values() for pid in server.kill()]
            if not self.keep_files:
                shutil.rmtree(self.root, ignore_errors=True)
        return left


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no second Ctrl-C cut the end short."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def free_port(addresses: list[str]) -> int:
    """Return a port that is free on all these addresses; below those that the kernel gives to clients."""
    for _ in range(200):
        port = random.randint(20000, 32000)
        try:
            for address in addresses:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((address, port))
        except OSError:
            continue
        return port
    raise DemoError(f"no port is free on {', '.join(addresses)}")
