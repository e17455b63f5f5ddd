"""Owns finding and ending the processes that a test has caused, also those that left their starter.

A daemon is nobody's child any more, and a title replaces its command line and environment. What ties it to
its test is the temporary directory that nobody else uses: a process belongs to a test when it has a file,
a mapping, its working directory or a bound UNIX socket below that directory.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

POLL_S = 0.01


def alive(pid: int) -> bool:
    """Return whether the process runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def descendants(pid: int) -> list[int]:
    """Return the living descendants of a process, without itself; none when it is gone."""
    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process.pid for process in found if alive(process.pid)]


def _bound_inodes(root: str) -> set[str]:
    """Return the inodes of UNIX sockets bound below root, as `/proc/PID/fd` shows them."""
    inodes = set()
    for line in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines()[1:]:
        fields = line.split(None, 7)
        if len(fields) == 8 and fields[7].startswith(root):
            inodes.add(f"socket:[{fields[6]}]")
    return inodes


def _links(pid: int) -> Iterator[str]:
    """Yield what the descriptors and the working directory of a process point at."""
    for name in ("cwd", "exe"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/{pid}/{name}")
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for number in numbers:
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/{pid}/fd/{number}")


def _maps(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/maps").read_text("utf-8", "replace")
    except OSError:
        return ""


def _lock_holders(root: Path) -> set[int]:
    """Return who holds a lock on a file below root, with all descendants.

    An ordinary user sees nothing else of a process that is not dumpable, as lonc's are.
    """
    numbers = set()
    for path in root.rglob("*lock*"):
        with contextlib.suppress(OSError):
            numbers.add(str(path.stat().st_ino))
    found = set()
    for line in Path("/proc/locks").read_text("ascii", "replace").splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[5].rpartition(":")[2] in numbers and int(fields[4]) > 0:
            found |= {int(fields[4]), *descendants(int(fields[4]))}
    return {pid for pid in found if alive(pid)} - {os.getpid()}


def using(root: Path) -> list[int]:
    """Return the living processes but this one that use anything below root, in order of pid."""
    prefix = f"{root}/"
    inodes = _bound_inodes(prefix)
    found = list(_lock_holders(root)) if os.geteuid() else []
    for pid in psutil.pids():
        if pid == os.getpid() or not alive(pid):
            continue
        linked = any(link.startswith(prefix) or link in inodes or link == str(root) for link in _links(pid))
        if linked or prefix in _maps(pid):
            found.append(pid)
    return sorted(set(found))


def send(pid: int, signum: int) -> bool:
    """Send a signal and return whether there was a process to send it to."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


def end(pids: Iterable[int], patience_s: float = 5.0) -> list[int]:
    """Kill these processes, wait until they are gone, and return those that are still there."""
    left = [pid for pid in pids if send(pid, signal.SIGKILL)]
    deadline = time.monotonic() + patience_s
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if alive(pid)]
        time.sleep(POLL_S if left else 0)
    return left


def end_all(root: Path) -> list[int]:
    """Kill everything that uses anything below root, also what it starts meanwhile; return what is left."""
    for _round in range(20):
        found = using(root)
        if not found:
            return []
        end(found)
    return using(root)


def traced_by(tracer: int, pid: int) -> bool:
    """Return whether this process is being traced by that one."""
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    return f"TracerPid:\t{tracer}\n" in status


def strace_works() -> bool:
    """Return whether strace is here and may trace: a container often forbids it."""
    try:
        done = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, timeout=10, check=False)
    except OSError:
        return False
    return done.returncode == 0
