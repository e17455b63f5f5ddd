"""Owns the proof that this process is the daemon: the lock on logs/lonc.lock, and the pid file beside it.

The kernel's lock decides, never a pid: it is gone with the last process that has it open, so a crash needs
no tidying, and of any number of starts at once one gets it (P14). The pid files are for people and for the
watchdog; whatever is found in one, or stands in its place, never decides alone (P15). The one exception is
a living original, which takes no lock: it is known by its pid in the pid file and by its name.
Sources: spec files.md 7, lonc.md 1.3.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import sys
import time

from lonc.errors import AlreadyRunning, StartError
from lonc.system.files import Files, open_regular, replace_file

LOCK_MODE = 0o600  # whoever can open the file could also lock it, and so keep the daemon from starting
PID_MODE = 0o644
_PID_BYTES = 32  # a pid and a newline are 11 at most; the rest of a foreign file is nobody's business
_PID = re.compile(rb"\s*([0-9]{1,10})\s*(?:\n|\Z)")
# A killed daemon's child holds the lock for the moment between fork and its close of it.
_GONE_WAIT_S = 2.0
# A restarted daemon has children that serve: it does not end for a trouble that may be over at once.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ENOLCK})
_TROUBLE_WAIT_S = 3.0
_TROUBLE_PAUSE_S = 0.05
_PF_EXITING = 0x4  # include/linux/sched.h
_KILL_BIT = 1 << 8  # of SIGKILL, which is 9
_NAMES = ("lonc", "loncnew")  # of the originals of lonc; lond has one name
_INTERPRETER = re.compile(r"(?:perl|python|sh|bash|dash|ksh|env)[0-9.]*")


class DaemonLock:
    """The lock, held from acquire (or adopt) until the last descriptor of it is closed."""

    def __init__(self, path: str, fd: int, files: Files) -> None:
        self.path = path
        self.fd = fd
        self._files = files

    @classmethod
    def acquire(cls, path: str, files: Files) -> DaemonLock:
        """Return the lock, with our pid written into its file.

        Raises AlreadyRunning, at once, when another process has it; and StartError when the file cannot be
        used: a link, no regular file, another user's, in a missing or closed directory, on a full disk.
        """
        give_up = time.monotonic() + _GONE_WAIT_S
        while True:
            fd = _open_lock(path, files)
            try:
                if _try_lock(path, fd, files):
                    if _is_still(path, fd, files):
                        lock = cls(path, fd, files)
                        lock.write_pid()
                        return lock
                else:
                    _refuse_or_wait(path, files, give_up)
            except BaseException:
                files.close(fd)
                raise
            files.close(fd)

    @classmethod
    def adopt(cls, fd: int, path: str, files: Files) -> DaemonLock:
        """Return the lock that came over exec as descriptor fd, no longer inheritable.

        Raises StartError unless fd is open on the very file at path and has the lock already: a number that
        was made up, or a file that nobody had locked, is refused (promises.md 3, forged hand-over). Want of
        descriptors or memory and failing reads are waited for, at most 3 s.
        """
        refused = StartError(f"descriptor {fd} is not the held lock of {path}")
        try:
            if not _is_held(path, fd, files):
                raise refused
        except OSError as error:
            raise refused from error
        os.set_inheritable(fd, False)
        lock = cls(path, fd, files)
        # The pid in it is this very process's, and is for people only: a full disk does not end a daemon (P25).
        with contextlib.suppress(StartError):
            lock.write_pid()
        return lock

    def renew(self) -> bool:
        """Take the lock anew where its file was removed or replaced by hand; return whether that was needed.

        Raises StartError (AlreadyRunning) as acquire does; the old lock, of a file without a name, stays then.
        """
        if _is_still(self.path, self.fd, self._files):
            return False
        fresh = DaemonLock.acquire(self.path, self._files)
        self.close()
        self.fd = fresh.fd
        return True

    def write_pid(self) -> None:
        """Write our pid into the file; raises StartError when the disk is full."""
        text = b"%d\n" % os.getpid()
        try:
            # Over the old text, then cut: at no moment is the file empty.
            self._files.pwrite(self.fd, text, 0)
            self._files.ftruncate(self.fd, len(text))
        except OSError as error:
            raise StartError(f"{self.path}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Close our descriptor; the lock ends with the last one. For the parent's end and a child's start.

        Never LOCK_UN: in a child that would take the lock from the parent, who shares it.
        """
        if self.fd >= 0:
            self._files.close(self.fd)
            self.fd = -1


def lock_holder(path: str, files: Files) -> int:
    """Return the pid of the process that holds the lock at path, 0 when nobody does or it cannot be known.

    It is read from /proc/locks and never tried out: whoever tries a lock has it for a moment, and a start
    in that moment would fail.
    """
    try:
        fd = open_regular(files, path, os.O_RDONLY)
    except OSError:
        return 0
    try:
        facts = files.fstat(fd)
        recorded = _pid_in(files.read(fd, _PID_BYTES))
    except OSError:
        return 0
    finally:
        files.close(fd)
    device = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}"
    # Some file systems (btrfs) show another device here: then the pid in the file must agree.
    sure = [pid for place, inode, pid in _kernel_locks()
            if inode == facts.st_ino and (place == device or pid == recorded)]  # fmt: skip
    return sure[0] if sure else 0


def _kernel_locks() -> list[tuple[str, int, int]]:
    """Return (device, inode, pid) of every flock of the machine that can be seen."""
    found = []
    with contextlib.suppress(OSError), open("/proc/locks", encoding="ascii", errors="replace") as file:
        for line in file:
            words = line.split()
            # `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`; waiting ones have `->` second
            if len(words) >= 6 and words[1] == "FLOCK" and words[4].isdecimal():
                place, _, inode = words[5].rpartition(":")
                found.append((place, int(inode), int(words[4])))
    return found


def _open_lock(path: str, files: Files) -> int:
    try:
        fd = open_regular(files, path, os.O_RDWR | os.O_CREAT, LOCK_MODE)
    except OSError as error:
        why = "a symbolic link is not followed" if error.errno == errno.ELOOP else error.strerror
        raise StartError(f"{path}: the lock file cannot be used: {why}") from error
    try:
        facts = files.fstat(fd)
    except OSError as error:
        files.close(fd)
        raise StartError(f"{path}: the lock file cannot be used: {error.strerror}") from error
    if facts.st_uid == os.geteuid() and facts.st_nlink <= 1:
        return fd
    files.close(fd)
    why = "it has a second name" if facts.st_nlink > 1 else f"it belongs to user id {facts.st_uid}, not to us"
    raise StartError(f"{path}: the lock file cannot be used: {why}")


def _is_held(path: str, fd: int, files: Files) -> bool:
    """Return whether fd has the lock of the file at path; trouble that may pass is waited for. Raises OSError."""
    give_up = time.monotonic() + _TROUBLE_WAIT_S
    while True:
        try:
            return _looks_held(path, fd, files)
        except (StartError, OSError) as error:
            cause = error.__cause__ if isinstance(error, StartError) else error
            if not isinstance(cause, OSError):
                return False
            if cause.errno not in _PASSING or time.monotonic() >= give_up:
                raise cause from error
        time.sleep(_TROUBLE_PAUSE_S)


def _looks_held(path: str, fd: int, files: Files) -> bool:
    """Return whether nobody but fd can have the lock of the file at path, and fd is open on that very file."""
    other = _open_lock(path, files)
    try:
        if not _is_still(path, fd, files) or _try_lock(path, other, files):
            return False
        return _try_lock(path, fd, files)  # locking again what one has is no change
    finally:
        files.close(other)


def _try_lock(path: str, fd: int, files: Files) -> bool:
    try:
        files.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StartError(f"{path}: cannot be locked: {error.strerror}") from error
    return True


def _is_still(path: str, fd: int, files: Files) -> bool:
    """Return whether fd is what stands at path now: a lock on a removed file would guard nothing."""
    here = files.fstat(fd)
    try:
        there = files.lstat(path)
    except FileNotFoundError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) and stat.S_ISREG(here.st_mode)


def _refuse_or_wait(path: str, files: Files, give_up: float) -> None:
    """Raise AlreadyRunning for a holder that lives; wait a little for one that is gone."""
    recorded = read_pid(files, path)
    holder = lock_holder(path, files) or recorded
    if holder and is_alive(holder):
        raise AlreadyRunning(holder, f"process {holder} holds {path}", _program_of(path))
    if time.monotonic() >= give_up:
        how = f"something holds {path}, but process {recorded} named in it is gone"
        raise AlreadyRunning(0, how, _program_of(path))
    time.sleep(0.01)


def _program_of(path: str) -> str:
    """Return whose lock this is: `lonc` for `.../lonc.lock`."""
    return os.path.basename(path).partition(".")[0]


def is_alive(pid: int) -> bool:
    """Return whether a process runs and will go on: no zombie, not exiting, no KILL on its way to it.

    So whoever starts a daemon the moment after he killed the old one is not told that it still runs.
    Source: proc_pid_stat(5), fields 3 (state), 9 (flags) and 31 (pending signals).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            words = file.read().rpartition(b")")[2].split()  # the name before it may hold anything
    except OSError:
        return False
    state, flags, pending = words[0], int(words[6]), int(words[28])
    return state not in (b"Z", b"X") and not flags & _PF_EXITING and not pending & _KILL_BIT


def write_pid_file(files: Files, path: str, pid: int) -> None:
    """Make the pid file hold pid: complete or absent at every moment (P16), whatever stood there before.

    A directory cannot be replaced by rename and is moved aside. Raises StartError when it cannot be written.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(files.lstat(path).st_mode):
                files.rename(path, f"{path}.moved-{pid}-{time.time_ns()}")
        replace_file(files, path, b"%d\n" % pid, PID_MODE, sync=False)
    except OSError as error:
        raise StartError(f"{path}: the pid file cannot be written: {error.strerror}") from error


def read_pid(files: Files, path: str) -> int:
    """Return the pid in a file's first line, 0 when there is none; no link is followed, no FIFO waited for."""
    try:
        fd = open_regular(files, path, os.O_RDONLY)
    except (OSError, ValueError):
        return 0
    try:
        return _pid_in(files.read(fd, _PID_BYTES))
    except OSError:
        return 0
    finally:
        files.close(fd)


def _pid_in(data: bytes) -> int:
    match = _PID.match(data)
    return int(match[1]) if match else 0


def remove_pid_file(files: Files, path: str, pid: int) -> bool:
    """Remove the pid file if it holds pid; return whether it did. Never raises: it is the end anyway."""
    if read_pid(files, path) != pid:
        return False
    try:
        files.unlink(path)
    except OSError:
        return False
    return True


def foreign_holder(files: Files, pid_path: str, names: tuple[str, ...] = _NAMES) -> int:
    """Return the pid of a living original named in the pid file, else 0; call it with the lock held.

    names: what the originals are called. Since ours always has the lock, whatever lives under that pid and has
    such a name is an original
    (or one of ours whose lock file was removed by hand). A stale pid, one that belongs to another program by
    now, and one of our own starts are no obstacle.
    """
    pid = read_pid(files, pid_path)
    if pid <= 1 or pid in (os.getpid(), os.getppid()) or not os.path.isdir(f"/proc/{pid}"):
        return 0
    import psutil  # here, because hardly any start needs its 20 ms

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return 0
        words, short = process.cmdline(), process.name()
        if _is_our_starter(process, words, names):
            return 0
    except (psutil.Error, OSError, ValueError):
        return 0  # gone, or another user's behind hidepid: not the daemon's user, so no daemon of ours
    return pid if _is_named(words, short, names) else 0


def _is_named(words: list[str], short: str, names: tuple[str, ...]) -> bool:
    """Return whether a command line (or a title in its place) or the kernel's short name is one of names.

    Only the program or an interpreter's script counts: an editor of the file `lonc` is a stranger.
    """
    named = [_program(short)]
    if words:
        named.append(_program(words[0]))
        if _INTERPRETER.fullmatch(_program(words[0])):
            named += [_program(word) for word in words[1:] if not word.startswith("-")][:1]
    return any(name in names for name in named)


def _program(word: str) -> str:
    """Return the bare name in `/usr/bin/perl`, `lonc:` or `lonc: Parent keeping the flock`."""
    first = word.split(maxsplit=1)[0] if word.strip() else ""
    return os.path.basename(first).rstrip(":")


def _is_our_starter(process: object, words: list[str], names: tuple[str, ...]) -> bool:
    """Return whether a process is another start of this very program, about to find the lock taken.

    In a container pids come back the same at each start, so a stale pid may well be such a one's.
    """
    import psutil

    assert isinstance(process, psutil.Process)
    if not words or not _program(words[0]).startswith("python"):
        return False
    script = next((word for word in words[1:] if not word.startswith("-")), "")
    if os.path.basename(script) not in names:
        return False
    path = os.path.join(process.cwd(), script) if not os.path.isabs(script) else script
    return os.path.realpath(path) == os.path.realpath(sys.argv[0])
