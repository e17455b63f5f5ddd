"""From a started process to the parent at work, and from its last child to its exit code.

First the signals, then the lock, then everything else: a signal that comes during the start waits in the loop and
is carried out after it, and whoever has not the lock touches nothing. The pid file comes after the sockets
and before the first child (lonc.md 1, files.md 7).
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Iterator

from lonc import child
from lonc.child import ChildContext
from lonc.errors import AlreadyRunning, ExitCode, LoncError, StartError
from lonc.loop import Loop
from lonc.parent.birth import warm_up
from lonc.parent.flock import Flock
from lonc.parent.handover import Notes, PeerNote, read_notes
from lonc.parent.house import House
from lonc.parent.ledger import Ledger
from lonc.parent.listeners import Listeners, close_quietly
from lonc.peers import Peers, Rules
from lonc.system import signals
from lonc.system.clock import SystemClock, patiently
from lonc.system.daemonize import Start
from lonc.system.files import SystemFiles
from lonc.system.forking import tell_abnormal_exit
from lonc.system.lock import DaemonLock, foreign_holder, read_pid, remove_pid_file, write_pid_file
from lonc.system.logs import Log, Severity, daemon_log
from lonc.system.notify import Overseer
from lonc.system.sealed import is_pipe_end

RunChild = Callable[[ChildContext], int]


def serve(start: Start, run_child: RunChild = child.run) -> int:
    """Be the parent until the end; return the exit code. `start.ready(None)` is called once it serves.

    Raises StartError (AlreadyRunning) when it cannot begin: then nothing is left behind. In a resumed
    self, whose children serve already, that is logged, too.
    """
    from_starter = _open_descriptors() if start.resume_fd is None else ()
    files, clock = SystemFiles(), SystemClock()
    log = daemon_log(start.config, files=files, clock=clock, who="PARENT")
    loop = Loop(clock)
    asked: list[int] = []  # by signals; attended to when everything stands
    loop.catch(signals.PARENT_SIGNALS, asked.append)
    signals.restore(())
    try:
        notes = read_notes(start.resume_fd) if start.resume_fd is not None else None
        lock = _take_lock(start, notes, files)
        house = House(
            config=start.config, argv=start.argv, foreground=start.foreground, run_child=run_child,
            files=files, clock=clock, log=log, loop=loop, lock=lock,
            peers=Peers(_rules(start)), listeners=Listeners(start.config, files),
            ledger=_open_ledger(start, notes, log), lifeline=_lifeline(notes),
            dump_fd=patiently(lambda: os.memfd_create("lonc-stacks", os.MFD_CLOEXEC)), from_starter=from_starter,
            overseer=Overseer.of(os.environ, clock, foreground=start.foreground),
        )  # fmt: skip
    except (LoncError, OSError) as error:
        if start.resume_fd is not None:
            log.write(f"The restart failed: {error}", Severity.CRITICAL)
        loop.close()
        raise
    house.set_hosts(start.table.hosts)
    flock = Flock(house, asked)
    return _live(house, flock, start, notes)


def _live(house: House, flock: Flock, start: Start, notes: Notes | None) -> int:
    code: int = ExitCode.CRASHED
    serving = False
    try:
        _settle(house, flock, start, notes)
        start.ready(None)
        if not house.overseer.ready("Serving"):
            house.log.write(f"The service manager cannot be told: {house.overseer.trouble}", Severity.WARNING)
        house.from_starter = ()  # closed by now; its numbers may soon be those of new sockets
        serving = True
        code = flock.keep()
    except LoncError as error:
        house.log.write(f"Cannot serve: {error}", Severity.CRITICAL)
        _leave(house, farewell=True)
        raise
    except Exception as error:  # noqa: BLE001 - told as what it is; the children must not outlive this
        tell_abnormal_exit(house.log, "PARENT", error)
        if not serving:
            start.ready(f"ABNORMAL EXIT while starting: {type(error).__name__}")
    _leave(house, farewell=code == ExitCode.CRASHED)
    return code


# --- the start -------------------------------------------------------------------------------------------


def _open_descriptors() -> tuple[int, ...]:
    """Return what the starter left open beyond stdin, stdout and stderr (the pipe of readiness)."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
            os.fstat(int(name))
            found.append(int(name))
    return tuple(fd for fd in found if fd > 2)


def _take_lock(start: Start, notes: Notes | None, files: SystemFiles) -> DaemonLock:
    path = start.config.lock_path
    if notes is not None:
        return DaemonLock.adopt(notes.lock_fd, path, files)
    lock = DaemonLock.acquire(path, files)
    holder = foreign_holder(files, start.config.pid_path)
    if holder:
        lock.close()
        raise AlreadyRunning(holder, f"process {holder}, named in {start.config.pid_path}, is a living original")
    return lock


def _rules(start: Start) -> Rules:
    config = start.config
    on_demand = config.on_demand  # a link that is closed for being idle has proved itself, however soon
    return Rules(
        max_attempts=config.max_attempts,
        restart_min_s=config.restart_min_s,
        grace_s=config.grace_s,
        stable_after_s=min(config.stable_after_s, config.idle_timeout_s) if on_demand else config.stable_after_s,
        stop_timeout_s=config.stop_timeout_s,
        on_demand=on_demand,
    )


def _lifeline(notes: Notes | None) -> tuple[int, int]:
    """Return the pipe whose end tells children that the parent is gone; the former self's, if it came over."""
    if notes is not None:
        reader, writer = notes.lifeline
        if is_pipe_end(reader, os.O_RDONLY) and is_pipe_end(writer, os.O_WRONLY):
            os.set_inheritable(reader, False)
            os.set_inheritable(writer, False)
            return notes.lifeline
    return os.pipe2(os.O_CLOEXEC)


def _settle(house: House, flock: Flock, start: Start, notes: Notes | None) -> None:
    """Bring everything up to the point where only children are missing, then the children."""
    config = house.config
    _raise_limit()
    for trouble in start.troubles:
        house.log.write(f"Going on in spite of: {trouble}", Severity.CRITICAL)
    for warning in (*config.warnings, *start.table.warnings):
        house.log.write(warning, Severity.WARNING)
    with _not_fatal(house, notes):
        _prepare_directory(house)
    warm_up(config)
    for note in notes.peers if notes else ():
        _adopt_socket(house, note)
    for name in house.hosts:
        with contextlib.suppress(OSError):  # tried again, and told, when its child is to be started
            house.listeners.open(name)
    with _not_fatal(house, notes):
        if notes is None or read_pid(house.files, config.pid_path) != os.getpid():
            write_pid_file(house.files, config.pid_path, os.getpid())
    for note in notes.peers if notes else ():
        _adopt_child(house, flock, note)
    for name in house.hosts:
        if name not in house.peers:
            flock.performer.perform(house.peers.add(name, house.clock.monotonic()))
    if flock.handing_over:
        house.log.write(f"Restarted, {len(flock.handing_over)} children hand over to new ones")
    else:
        house.log.write("Done starting initial servers")


@contextlib.contextmanager
def _not_fatal(house: House, notes: Notes | None) -> Iterator[None]:
    """Let what would stop a first start be only told by a restart: it must not end what was running (P22, P25)."""
    try:
        yield
    except StartError as error:
        if notes is None:
            raise
        house.log.write(f"Going on in spite of: {error}", Severity.CRITICAL)


def _prepare_directory(house: House) -> None:
    try:
        warnings = house.listeners.prepare_directory()
    except OSError as error:
        raise StartError(f"{house.config.sock_dir}: {error.strerror}") from error
    for warning in warnings:
        house.log.write(warning, Severity.WARNING)


def _open_ledger(start: Start, notes: Notes | None, log: Log) -> Ledger:
    names = [host.id for host in start.table.hosts]
    if notes is not None:
        names += [note.id for note in notes.peers]
    path, files, clock = start.config.scoreboard_path, SystemFiles(), SystemClock()
    return Ledger.open(path, names, restarted=notes is not None, files=files, clock=clock, log=log)


def _raise_limit() -> None:
    """Allow as many descriptors as we may have: one socket per peer, and clients in the children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _adopt_socket(house: House, note: PeerNote) -> None:
    """Take a socket of the former self, so that its waiting clients lose nothing; one of nobody is removed."""
    if note.fd < 0:
        return
    taken = house.listeners.adopt(note.id, note.fd, note.device, note.inode)
    if taken and note.id not in house.hosts:
        house.listeners.close(note.id)


def _adopt_child(house: House, flock: Flock, note: PeerNote) -> None:
    """Take a child of the former self: it leaves, and a new one follows if the peer is still in the table."""
    if note.pid <= 0:
        return
    try:
        done, _status = os.waitpid(note.pid, os.WNOHANG)
    except ChildProcessError:
        return  # no child of this process, whatever the notes say
    if done:
        return
    house.children[note.pid] = note.id
    flock.handing_over.add(note.pid)
    outputs = house.peers.adopt(
        note.id, note.pid, house.clock.monotonic(),
        wanted=note.id in house.hosts, kill_at=note.kill_at or None,
    )  # fmt: skip
    flock.performer.perform(outputs)


# --- the end ---------------------------------------------------------------------------------------------


def _leave(house: House, *, farewell: bool) -> None:
    """Give back what the parent holds, the lock last. farewell: children may be left and are told to go."""
    for pid in house.children if farewell else ():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)
    house.listeners.close_all()
    remove_pid_file(house.files, house.config.pid_path, os.getpid())
    house.ledger.close()
    house.loop.close()
    for fd in (*house.lifeline, house.dump_fd):
        close_quietly(fd)
    house.lock.close()
    # Python takes its handlers away when it ends: a second TERM would then be what this process died of.
    signals.block_all()
