"""Owns how a started command becomes a daemon: one fork, a session of its own, and a truthful starter.

The starter waits on a pipe until the daemon says that it runs, or why not; its exit code and its stderr
then tell the truth, which a double fork with blind success does not (s6 calls this readiness). The daemon
gets a known umask, directory, limits and descriptors from python-daemon, which is used here only and with
every option named. Over HUP the program executes itself again and nothing of this is repeated: umask,
session, directory and limits survive exec; only `not dumpable` does not.
Sources: spec lonc.md 1.5; promises.md 3 (no core, not dumpable).
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from lonc.config import Config, HostTable
from lonc.errors import ConfigError, ExitCode, LoncError
from lonc.system import signals

# Every file gets its final mode when it is made (P29); the mask must only keep others from writing, or the
# pid file and the status page could not be read by those they are for.
UMASK = 0o022
STARTER_WAIT_S = 60.0
_DEATH_LOOK_S = 0.1  # how often the starter looks whether the daemon has died without a word
_EXIT_WAIT_S = 5.0  # how long a daemon that failed may take to be gone
_REPORT_LIMIT = 64 << 10  # bytes of a report; ConfigError texts may have many lines
_PR_SET_DUMPABLE = 4  # linux/prctl.h


@dataclass(frozen=True)
class Start:
    """All that the parent is started with.

    argv: what to exec for a restart: absolute interpreter and script, then arguments that mean the same in
    every directory; `-t` may be added for the check and `--resume FD` for the hand-over.
    ready: to be called once, with None when the daemon runs and with a text when it cannot.
    resume_fd: the memfd of a hand-over, None for a first start.
    troubles: what a restart found amiss and went on in spite of; each is worth a CRITICAL line.
    """

    config: Config
    table: HostTable
    argv: tuple[str, ...]
    foreground: bool
    ready: Callable[[str | None], None]
    resume_fd: int | None
    troubles: tuple[str, ...] = ()


class Readiness:
    """The daemon's end of the pipe to its starter; call it once: None = started, a text = why not."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @property
    def told(self) -> bool:
        """Whether it was called already."""
        return self._fd < 0

    def __call__(self, failure: str | None) -> None:
        """Tell the starter; later calls do nothing, and a starter that is gone is no error."""
        if self.told:
            return
        text = "+" if failure is None else "-" + failure
        data = text.encode("utf-8", "surrogateescape")[:_REPORT_LIMIT]
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):  # the starter was killed; the daemon goes on
            while data:
                data = data[os.write(fd, data) :]
        os.close(fd)


def say(text: str, *, error: bool = True) -> None:
    """Write a line to stderr (or stdout) whatever characters it holds; a closed or full one is no error."""
    stream = sys.stderr if error else sys.stdout
    encoding = stream.encoding or "ascii"
    with contextlib.suppress(OSError, ValueError):
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()


def incomplete(error: ImportError) -> str:
    """Return what to tell when a part of the program, or a package it needs, is not there."""
    return f"the program is incomplete for {sys.executable}: {error}; bin/test sets up what is needed"


def ensure_stdio() -> None:
    """Make descriptors 0, 1 and 2 exist, on /dev/null where the starter had closed them.

    Else the next file opened (the lock, a socket) would become stdout and receive what is printed.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is fd
            os.set_inheritable(fd, True)
        if getattr(sys, name) is None:  # what Python makes of a closed one
            setattr(sys, name, os.fdopen(fd, "r" if fd == 0 else "w", closefd=False))


def start_detached(
    run: Callable[[Readiness], int], *, errors_path: str, wait_s: float = STARTER_WAIT_S, program: str = "lonc"
) -> int:
    """Run `run` in a daemon and return the starter's exit code, with the reason of a failure on stderr.

    run is called in the daemon, with all signals blocked so that none is lost before there are handlers;
    its result is the daemon's exit code. The starter returns when run calls its Readiness: OK, or the
    daemon's exit code (FAILED when that is 0). It returns FAILED too when the daemon dies without a word or
    says nothing for wait_s seconds; it never waits longer.
    errors_path: where the daemon's stderr goes unless it is a regular file already (the watchdog's).
    program: how it is called in what is told.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    mask = signals.block_all()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _daemon(run, Readiness(writer), writer, errors_path, program)  # never returns
    signals.restore(mask)
    os.close(writer)
    try:
        return _await_report(pid, reader, wait_s, program)
    finally:
        os.close(reader)


def settle_foreground() -> None:
    """Make this process fit to be the daemon without leaving its terminal: all signals blocked afterwards."""
    signals.block_all()
    _open_context(keep=[])
    forbid_dumps()


def forbid_dumps() -> None:
    """Make this process and its future children not dumpable; needed again after each exec.

    Besides cores (RLIMIT_CORE is 0 as well, but a core pattern with a pipe ignores that for some versions)
    it stops every other process of the same user from reading keys and passwords in our memory. The files
    in /proc/PID then belong to root; what ps and pgrep need stays readable.
    """
    import ctypes  # here: only a process that becomes the daemon needs it

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _daemon(
    run: Callable[[Readiness], int], ready: Readiness, pipe: int, errors_path: str, program: str
) -> None:
    code: int = ExitCode.CRASHED
    try:
        os.setsid()
        _keep_errors(errors_path)
        with open(os.devnull, "r+b", buffering=0) as null:
            _open_context(keep=[pipe], null=null)
        forbid_dumps()
        code = run(ready)
        ready(f"the daemon ended while starting, with exit code {int(code)}")
    except LoncError as error:
        code = ExitCode.CONFIG if isinstance(error, ConfigError) else ExitCode.FAILED
        if ready.told:
            say(f"{program}: {error}")
        ready(str(error))
    except ImportError as error:
        code = ExitCode.FAILED
        ready(incomplete(error))
    except Exception as error:  # noqa: BLE001 - the last frame of the process: told, and the code is not 0
        traceback.print_exc()
        ready(f"ABNORMAL EXIT while starting: {type(error).__name__} (details in {errors_path})")
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(int(code))  # never back into the starter's code, nor its atexit functions


def _open_context(keep: list[int], null: object = None) -> None:
    """Open python-daemon's context for this process; null: what stdin and stdout become, None: as they are.

    It closes every other descriptor that came from the starter (Linux does that in one system call).
    """
    import daemon  # here: a check, a help text and a start that is refused do not need it

    context = daemon.DaemonContext(
        chroot_directory=None,
        working_directory="/",
        umask=UMASK,
        uid=os.getuid(),
        gid=os.getgid(),
        initgroups=False,  # the groups that www was given are wanted
        prevent_core=True,
        detach_process=False,  # start_detached forks once, for its pipe; the original forks once too
        files_preserve=keep,
        pidfile=None,  # the parent's business, after it has the lock
        stdin=null or sys.stdin,
        stdout=null or sys.stdout,
        stderr=sys.stderr,
        signal_map={},  # signals.reset_inherited has set all of them
    )
    context.open()


def _keep_errors(path: str) -> None:
    """Let descriptor 2 be a regular file: the one it is already, else path, else /dev/null."""
    if stat.S_ISREG(os.fstat(2).st_mode):
        return
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    mask = os.umask(UMASK)  # the starter's may be any
    try:
        fd = os.open(path, flags, 0o640)
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or (facts.st_nlink > 1 and facts.st_uid != os.geteuid()):
            os.close(fd)
            raise OSError(0, "no regular file, or another user's")
    except OSError:  # no logs directory, a FIFO with nobody behind it: the parent tells what matters
        fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    finally:
        os.umask(mask)
    os.dup2(fd, 2)
    os.close(fd)


def _await_report(pid: int, reader: int, wait_s: float, program: str) -> int:
    """Wait for the daemon's word, its death or the limit; see start_detached."""
    give_up = time.monotonic() + wait_s
    poll = select.poll()
    poll.register(reader, select.POLLIN | select.POLLHUP)
    report = b""
    status: int | None = None
    while True:
        if poll.poll(int(_DEATH_LOOK_S * 1000)):
            chunk = os.read(reader, _REPORT_LIMIT)
            report += chunk
            if report.startswith(b"+"):
                return ExitCode.OK
            if not chunk:
                break  # the whole report, or none
        elif status is not None:
            break  # dead, and nothing was left in the pipe: a child of it may hold the pipe open
        elif time.monotonic() >= give_up:
            say(f"{program}: process {pid} has not said for {wait_s:g} s whether it runs; it was left alone")
            return ExitCode.FAILED
        if status is None:
            status = _reap(pid)
    if status is None:
        status = _await_end(pid)
    return _explain(report, status, program)


def _explain(report: bytes, status: int | None, program: str) -> int:
    code = ExitCode.FAILED if status is None else os.waitstatus_to_exitcode(status)
    if report:
        say(f"{program}: {report[1:].decode('utf-8', 'surrogateescape')}")
    elif code < 0:
        say(f"{program}: the daemon was killed by signal {-code} while it started")
    else:
        say(f"{program}: the daemon died without a word while it started (exit code {code})")
    return code if code > 0 else ExitCode.FAILED


def _reap(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return status if done else None


def _await_end(pid: int) -> int | None:
    """Return the wait status of a daemon that has said its last word; None when it takes too long."""
    give_up = time.monotonic() + _EXIT_WAIT_S
    while (status := _reap(pid)) is None and time.monotonic() < give_up:
        time.sleep(0.005)
    return status
