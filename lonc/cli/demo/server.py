"""One server of the demonstration's network: its directory, and lonc and lond in it, made, watched and ended.

What was started is ended by its process, never by name; the pids come from the pid files of this directory.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
from pathlib import Path
from string import Template

import psutil

from lonc.cli.demo.screen import DemoError

TREE = Path(__file__).resolve().parents[3]
TEMPLATES = TREE / "etc" / "demo"
COMMAND_S = 90.0  # what a starting command may take on a loaded machine


class Server:
    """One machine of the network. programs: which daemons it runs, `lond` and perhaps `lonc`."""

    def __init__(self, host_id: str, address: str, root: Path, programs: tuple[str, ...]) -> None:
        self.id = host_id
        self.address = address
        self.programs = programs
        self.root = root
        self.conf_dir = root / "conf"
        self.sockets = root / "sockets"
        self.delayed = self.sockets / "delayed"
        self.logs = root / "daemons" / "logs"
        self.html = root / "html"
        self.users = root / "users"
        self._family: dict[int, psutil.Process] = {}  # every process of its daemons that was ever seen

    def write_files(self, table: str, port: int) -> None:
        """Make the directories and fill in the templates of etc/demo."""
        for place in (self.conf_dir, self.logs, self.root / "tabs", self.html / "lon-status", self.root / "ids"):
            place.mkdir(parents=True)
        for place in (self.sockets, self.delayed, self.users):
            place.mkdir(mode=0o700)
        own = {"id": self.id, "address": self.address, "root": str(self.root)}
        facts = {**own, "port": str(port), "user": _user()}
        for name in ("loncapa_apache.conf", "loncapa.conf"):
            text = Template((TEMPLATES / name).read_text("utf-8")).safe_substitute(facts)
            (self.conf_dir / name).write_text(text, "utf-8")
        (self.root / "tabs" / "hosts.tab").write_text(table, "utf-8")

    def run(self, program: str, *arguments: str) -> list[str]:
        """Run a program to the end of the starting command; return what it said. DemoError when it fails."""
        command = [str(TREE / "bin" / program), "--conf-dir", str(self.conf_dir), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
        said = (done.stdout + done.stderr).splitlines()
        if done.returncode:
            raise DemoError(f"bin/{program} of {self.id} ended with status {done.returncode}: {' / '.join(said)}")
        return said

    def start(self) -> None:
        """Start its daemons as the watchdog does."""
        for program in self.programs:
            self.run(program)
            self.processes(program)

    def pid(self, program: str) -> int:
        """Return the parent's pid by the pid file. Raises DemoError when there is none."""
        try:
            return int((self.logs / f"{program}.pid").read_text("ascii"))
        except (OSError, ValueError) as error:
            raise DemoError(f"the pid file of {program} on {self.id} cannot be read: {error}") from error

    def processes(self, program: str) -> list[psutil.Process]:
        """Return a daemon's living processes, the parent first; none when it does not run."""
        try:
            parent = psutil.Process(self.pid(program))
            if parent.name() != program:  # a pid file of a server that was cut off, and a pid used again
                return []
            found = [parent, *sorted(parent.children(recursive=True), key=lambda child: child.pid)]
        except (DemoError, psutil.Error):
            return []
        self._family.update({process.pid: process for process in found})
        return found

    def titles(self, program: str) -> list[str]:
        """Return pid, short name and title of each process of a daemon, as ps shows them."""
        found = []
        for process in self.processes(program):
            with contextlib.suppress(psutil.Error):
                found.append(f"{process.pid:>7}  {process.name():<6}  {' '.join(process.cmdline()).strip()}")
        return found

    def alive(self) -> list[int]:
        """Return the pids of every process of its daemons that was ever seen and still lives."""
        for program in self.programs:
            self.processes(program)
        return [pid for pid, process in self._family.items() if _lives(process)]

    def serves(self) -> bool:
        """Return whether all of its daemons run."""
        return all(self.processes(program) for program in self.programs)

    def cut_off(self) -> int:
        """Kill everything it runs, as a power cut would; return how many processes that were."""
        left = self.alive()
        self.kill()
        return len(left)

    def stop(self, program: str) -> None:
        """Send TERM to a daemon's parent, if it runs."""
        found = self.processes(program)
        if found:
            os.kill(found[0].pid, signal.SIGTERM)

    def kill(self) -> list[int]:
        """Kill every process of its daemons that is left; return their pids."""
        left = self.alive()
        for pid in left:
            with contextlib.suppress(psutil.Error):
                self._family[pid].kill()
        return left

    def log_lines(self, program: str) -> list[str]:
        """Return all complete lines of a daemon's log."""
        with contextlib.suppress(FileNotFoundError):
            return (self.logs / f"{program}.log").read_text("utf-8", "replace").split("\n")[:-1]
        return []

    def tails(self, lines: int = 10) -> list[tuple[str, list[str]]]:
        """Return the ends of the files that may tell why something failed."""
        found = []
        for program in self.programs:
            for name in (f"{program}.log", f"{program}_errors"):
                with contextlib.suppress(OSError):
                    text = (self.logs / name).read_text("utf-8", "replace").splitlines()[-lines:]
                    found.append((f"{self.id}: {name}", text))
        return [(name, text) for name, text in found if text]


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
