"""Owns what tests of failing and deadly calls of the whole daemon share: which calls there are, and the ground.

The calls of a start, a restart or a reading of the table are counted by doing it under strace: those on files of
the site by their paths (Python's own start has hundreds of the same kinds), and those that are ours anywhere.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fault.stracing import attached, calls_in, inject, paths, wrapper
from tests.process import procs
from tests.process.harness import Site, wait_until

LIMIT_S = 30.0
MOST = 15  # calls of a kind that are tried: a start plays its own work once beforehand, and that is hundreds
SETTINGS = {"loncMaxAttempts": "0", "loncRestartMin": "0.01", "loncRedialMax": "0.2", "loncHandover": "0.1"}
# Calls of files of ours, by their paths: Python's own start has hundreds of the same kinds.
ON_FILES = {
    "openat": ("EMFILE", "ENFILE", "EIO"), "newfstatat": ("EIO",), "fstat": ("EIO",), "read": ("EIO",),
    "pread64": ("EIO",), "write": ("ENOSPC",), "pwrite64": ("ENOSPC", "EIO"), "ftruncate": ("EIO",),
    "flock": ("ENOLCK",), "mmap": ("ENOMEM",), "fcntl": ("EMFILE",),
}  # fmt: skip
# Calls that are ours wherever they come from.
ANYWHERE = {
    "rename": ("ENOSPC", "EIO"), "fallocate": ("ENOSPC", "EOPNOTSUPP"), "bind": ("ENOSPC", "EADDRINUSE"),
    "listen": ("EIO",), "socket": ("EMFILE", "ENFILE"), "socketpair": ("EMFILE",), "pipe2": ("ENFILE",),
    "epoll_create1": ("EMFILE",), "epoll_ctl": ("ENOMEM",), "memfd_create": ("ENFILE",), "clone": ("EAGAIN",),
    "clone3": ("EAGAIN",), "fork": ("ENOMEM",), "vfork": ("EAGAIN",), "mkdir": ("ENOSPC",), "fsync": ("EIO",),
    "unlink": ("EIO",), "chmod": ("EIO",), "fchmod": ("EIO",), "linkat": ("ENOSPC",), "link": ("ENOSPC",),
    "execve": ("ENOMEM",),
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One call at which something is done: `error=EIO` lets it fail, `signal=KILL` ends the process before it."""

    kind: str
    number: int
    what: str
    on_files: bool

    def options(self, site: Site) -> list[str]:
        """Return strace's options for it."""
        chosen = paths(*ours(site)) if self.on_files else []
        return chosen + inject(self.kind, self.number, self.what)


def ours(site: Site) -> list[Path]:
    """Return the files whose calls count."""
    conf = [site.conf_dir / name for name in ("loncapa.conf", "loncapa_apache.conf")]
    logs = [site.logs_dir / f"lonc.{name}" for name in ("log", "pid", "lock", "scoreboard", "wanted")]
    return [*conf, *logs, site.hosts_path, site.status_path, site.sock_dir, site.socket_path("msul1")]


def faults(site: Site, run: Callable[[list[str], Path], None]) -> list[Fault]:
    """Return every fault of what `run` does, given strace's options and its output; it is done twice."""
    found = []
    for on_files, errors in ((True, ON_FILES), (False, ANYWHERE)):
        trace = site.root / f"trace-{on_files}"
        known = ",".join(f"?{kind}" for kind in errors)
        run([*(paths(*ours(site)) if on_files else []), "-e", f"trace={known}"], trace)
        found += [
            Fault(kind, number, f"error={error}", on_files)
            for kind, number in calls_in(trace, frozenset(errors))
            for error in errors[kind]
            if number <= MOST
        ]
    return found


def serves(site: Site) -> bool:
    """Return whether the peer is served."""
    try:
        return site.ask("msul1", b"echo:x") == b"x"
    except OSError:
        return False


def settles(look: Callable[[], bool]) -> bool:
    """Return whether it comes to be so within a while; a fault may meet each child anew while strace is there."""
    with contextlib.suppress(AssertionError):
        wait_until(look, 5, "")
        return True
    return False


def detach(site: Site) -> None:
    """End strace, which leaves its processes as they are."""
    found = [pid for pid in site.processes() if site.title(pid).startswith("strace ")]
    for pid in found:
        procs.send(pid, signal.SIGTERM)
    if not settles(lambda: not any(map(procs.alive, found))):  # among children that come and go it may never leave
        procs.end(found)


def clean(site: Site) -> None:
    """Make the ground what it was before the first start."""
    for place in (site.logs_dir, site.sock_dir, site.status_path.parent):
        shutil.rmtree(place)
        place.mkdir(mode=0o700)
    site.delayed_dir.mkdir(mode=0o700)
    site.error_path.unlink(missing_ok=True)


def lonc_left(site: Site) -> list[int]:
    """Return the processes of the site but its peers."""
    fakes = {fake.process.pid for fake in site.peers.values() if fake.process is not None}
    return [pid for pid in site.processes() if pid not in fakes]


def faults_of_a_start(site: Site) -> list[Fault]:
    """Return every fault of a start; nothing runs before or afterwards."""

    def run(options: list[str], output: Path) -> None:
        clean(site)
        site.start(wrapper=wrapper(*options, output=output))
        site.wait_ready()
        site.stop()

    return faults(site, run)


def outcome(site: Site) -> int:
    """Return how many restarts and readings of the table have ended, well or not, by the log."""
    words = ("children hand over to new", "Restart refused", "hosts.tab read again", "hosts.tab cannot be used")
    return sum(site.log_text().count(word) for word in words)


def try_signal(site: Site, signum: int, options: list[str], output: Path | str = "/dev/null") -> None:
    """Send a signal to the parent under strace, and return when it serves as before, or is gone."""
    pid, before = site.pid(), outcome(site)
    with attached(pid, *options, output=output):
        procs.send(pid, signum)
        # the line that tells the outcome may be the one that could not be written
        settles(lambda: outcome(site) > before or not procs.alive(pid))
        settles(lambda: serves(site) or not procs.alive(pid))
    wait_until(lambda: serves(site) or not procs.alive(pid), LIMIT_S, "service")
