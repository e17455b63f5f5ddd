"""The demonstration's network: its directory, its three peers, and lonc itself, made, watched and ended.

Everything lies in one short directory below /tmp, since the path of a UNIX socket may have 107 bytes. What
was started is ended by its process, never by name; a peer also ends when this process does.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template
from typing import TypeVar

import psutil

from lonc.cli.demo.screen import Screen

TREE = Path(__file__).resolve().parents[3]
TEMPLATES = TREE / "etc" / "demo"
OWN = "home1"
STOP_S = 15.0
_SLICE_S = 0.02
_PROGRESS_S = 3.0
Found = TypeVar("Found")


class DemoError(Exception):
    """Something was not as the story tells it; the text says what."""


class Network:
    """Our own server and two peers. root: the directory of this run; addresses: by id, from hosts.tab."""

    def __init__(self, screen: Screen) -> None:
        self.keep_files = False
        self._screen = screen
        place = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()
        self.root = Path(tempfile.mkdtemp(prefix="lonc-demo-", dir=place))
        self.conf_dir = self.root / "conf"
        self.sockets = self.root / "sockets"
        self.delayed = self.sockets / "delayed"
        self.logs = self.root / "daemons" / "logs"
        self.addresses: dict[str, str] = {}
        self.port = 0
        self._peers: dict[str, subprocess.Popen[bytes]] = {}
        self._family: dict[int, psutil.Process] = {}  # every process of the daemon that was ever seen
        self._log_read = 0

    # --- making it ------------------------------------------------------------------------------------

    def write_files(self) -> None:
        """Make the directories and fill in the templates of etc/demo."""
        for place in (self.conf_dir, self.logs, self.root / "tabs", self.root / "html" / "lon-status"):
            place.mkdir(parents=True)
        for place in (self.sockets, self.delayed):
            place.mkdir(mode=0o700)
        table = (TEMPLATES / "hosts.tab").read_text("utf-8")
        for line in table.splitlines():
            if line and not line.startswith("#"):
                host_id, _, _, _, address = line.split(":")
                self.addresses[host_id] = address
        self.port = free_port(list(self.addresses.values()))
        facts = {"root": str(self.root), "port": str(self.port), "user": _user()}
        for name in ("loncapa_apache.conf", "loncapa.conf"):
            text = Template((TEMPLATES / name).read_text("utf-8")).safe_substitute(facts)
            (self.conf_dir / name).write_text(text, "utf-8")
        (self.root / "tabs" / "hosts.tab").write_text(table, "utf-8")

    def socket(self, peer: str) -> str:
        """Return the path of the UNIX socket for a peer."""
        return str(self.sockets / peer)

    # --- peers ----------------------------------------------------------------------------------------

    def start_peer(self, peer: str) -> int:
        """Start a peer's process and return its pid when it listens."""
        log = str(self.root / f"{peer}.log")
        place = [self.addresses[peer], str(self.port)]
        command = [sys.executable, "-m", "lonc.cli.demo.peer", peer, OWN, *place, log]
        with open(log, "ab") as errors:
            process = subprocess.Popen(
                command, cwd=TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                start_new_session=True,  # a Ctrl-C of the terminal is for the demonstration alone
            )  # fmt: skip
        self._peers[peer] = process
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":  # end of file when it died
            raise DemoError(f"the peer {peer} did not start; see {log}")
        return process.pid

    def kill_peer(self, peer: str) -> int:
        """Kill a peer as a power cut would; return the pid that it had."""
        process = self._peers.pop(peer)
        process.kill()
        _reap(process)
        return process.pid

    def peer_pid(self, peer: str) -> int:
        """Return the pid of a peer that runs."""
        return self._peers[peer].pid

    def dead_peers(self) -> list[str]:
        """Return the peers whose process is gone, and forget these processes."""
        dead = [peer for peer, process in self._peers.items() if process.poll() is not None]
        for peer in dead:
            _reap(self._peers.pop(peer))
        return dead

    def peer_log(self, peer: str) -> list[str]:
        """Return what a peer has noted: the beginning of what came over the wire, and the requests."""
        with contextlib.suppress(FileNotFoundError):
            return (self.root / f"{peer}.log").read_text("utf-8", "replace").splitlines()
        return []

    # --- the daemon -----------------------------------------------------------------------------------

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of lonc for this network."""
        return [str(TREE / "bin" / "lonc"), "--conf-dir", str(self.conf_dir), *arguments]

    def lonc(self, *arguments: str) -> list[str]:
        """Run lonc to the end of the starting command; return what it said. Raises DemoError when it fails."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60, check=False)
        said = (done.stdout + done.stderr).splitlines()
        if done.returncode:
            raise DemoError(f"bin/lonc ended with status {done.returncode}: {' / '.join(said)}")
        return said

    def pid(self) -> int:
        """Return the parent's pid by the pid file. Raises DemoError when there is none."""
        try:
            return int((self.logs / "lonc.pid").read_text("ascii"))
        except (OSError, ValueError) as error:
            raise DemoError(f"the pid file cannot be read: {error}") from error

    def processes(self) -> list[psutil.Process]:
        """Return the daemon's living processes, the parent first."""
        try:
            parent = psutil.Process(self.pid())
            found = [parent, *sorted(parent.children(recursive=True), key=lambda child: child.pid)]
        except (DemoError, psutil.Error):
            return []
        self._family.update({process.pid: process for process in found})
        return found

    def titles(self) -> list[str]:
        """Return pid, short name and title of each process of the daemon, as ps shows them."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                found.append(f"{process.pid:>7}  {process.name():<6}  {' '.join(process.cmdline()).strip()}")
        return found

    def alive(self) -> list[int]:
        """Return the pids of every process of the daemon that was ever seen and still lives."""
        self.processes()
        return [pid for pid, process in self._family.items() if _lives(process)]

    # --- its log --------------------------------------------------------------------------------------

    def log_lines(self) -> list[str]:
        """Return all complete lines of lonc.log."""
        with contextlib.suppress(FileNotFoundError):
            return (self.logs / "lonc.log").read_text("utf-8", "replace").split("\n")[:-1]
        return []

    def new_log(self, *wanted: str) -> list[str]:
        """Return the lines since the last call that hold one of these texts (all, when none is given)."""
        lines = self.log_lines()
        new, self._log_read = lines[self._log_read :], len(lines)
        return [line for line in new if not wanted or any(text in line for text in wanted)]

    def wait_log(self, text: str, limit_s: float = 15.0, count: int = 1) -> None:
        """Return when so many lines since the last new_log() hold this text."""

        def look() -> bool:
            return sum(text in line for line in self.log_lines()[self._log_read :]) >= count

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

    def tails(self, lines: int = 12) -> list[tuple[str, list[str]]]:
        """Return the ends of the files that may tell why something failed."""
        names = ("lonc.log", "lonc_errors")
        found = []
        for name in names:
            with contextlib.suppress(OSError):
                found.append((name, (self.logs / name).read_text("utf-8", "replace").splitlines()[-lines:]))
        return [(name, text) for name, text in found if text]

    # --- the end --------------------------------------------------------------------------------------

    def stop(self) -> float:
        """Send TERM to the parent, wait until nothing of the daemon is left; return the seconds it took."""
        pid = self.pid()
        self.processes()
        began = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        self.wait(lambda: not self.alive(), STOP_S, "the end of lonc")
        return time.monotonic() - began

    def end(self) -> list[int]:
        """End whatever still runs and remove the files; return the daemon's pids that had to be killed."""
        with _undisturbed():
            left = self._end_daemon()
            for process in self._peers.values():
                process.kill()
                _reap(process)
            self._peers.clear()
            if not self.keep_files:
                shutil.rmtree(self.root, ignore_errors=True)
        return left

    def _end_daemon(self) -> list[int]:
        if not self.alive():
            return []
        with contextlib.suppress(DemoError, OSError):
            self.stop()
        left = self.alive()
        for pid in left:
            with contextlib.suppress(psutil.Error):
                self._family[pid].kill()
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


def _user() -> str:
    """Return the name of the user who runs this, or the number of one without a name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.wait(10)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
