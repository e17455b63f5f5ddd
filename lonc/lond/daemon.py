"""lond's parent: from a started process to its exit code, and what it does about each signal.

    lock -> listening socket -> pid file -> workers (the pool) -> ready

Everything is blocked until the pool has set its handlers, so a signal that comes during the start is carried out
behind it. A restart is an orderly end of the pool and, in place of this process's end, an exec of itself; what
comes to the listening socket meanwhile waits there.
Source: spec lond.md 1, lonc.md 2 and 6.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from lonc.errors import AlreadyRunning, ExitCode, LoncError, ScoreboardError, StartError
from lonc.lond import restart
from lonc.lond.house import House
from lonc.lond.service import LondService
from lonc.lond.tidings import Tidings
from lonc.lond.upkeep import Upkeep
from lonc.loop import Loop
from lonc.pool import Pool, PoolRules, listen_tcp
from lonc.system import signals, titles
from lonc.system.clock import SystemClock, ctime
from lonc.system.daemonize import Start
from lonc.system.files import SystemFiles
from lonc.system.forking import tell_abnormal_exit
from lonc.system.lock import DaemonLock, foreign_holder, read_pid, remove_pid_file, write_pid_file
from lonc.system.logs import Log, Severity
from lonc.system.notify import Overseer
from lonc.system.scoreboard import HeaderRecord, Scoreboard

ORIGINALS = ("lond",)


def serve(start: Start) -> int:
    """Be the parent until the end; return the exit code. `start.ready(None)` is called once it serves.

    Raises StartError (AlreadyRunning) when it cannot begin: then nothing is left behind. In a resumed self that is
    logged, too.
    """
    from_starter = _open_descriptors() if start.resume_fd is None else ()
    clock = SystemClock()
    log = Log(start.config.server_path(".log"), files=SystemFiles(), clock=clock, who="PARENT")
    try:
        house = _make_house(start, log, from_starter)
    except (LoncError, OSError) as error:
        if start.resume_fd is not None:
            log.write(f"The restart failed: {error}", Severity.CRITICAL)
        raise
    for trouble in start.troubles:
        log.write(f"Going on in spite of: {trouble}", Severity.CRITICAL)
    for warning in (*start.config.warnings, *start.table.warnings):
        log.write(warning, Severity.WARNING)
    try:
        return _Parent(house).live(start)
    finally:
        _leave(house)


def _open_descriptors() -> tuple[int, ...]:
    """Return what the starter left open beyond stdin, stdout and stderr (the pipe of readiness)."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
        except OSError:  # the listing's own descriptor is closed by now
            continue
        found.append(int(name))
    return tuple(fd for fd in found if fd > 2)


def _make_house(start: Start, log: Log, from_starter: tuple[int, ...]) -> House:
    """Take the lock and the listening socket, anew or from the former self."""
    files, clock, config = SystemFiles(), SystemClock(), start.config
    bound = (config.listen, config.port)
    header = HeaderRecord(pid=os.getpid(), started=clock.wall())
    if start.resume_fd is None:
        lock = _take_lock(start, files)
        listener = listen_tcp(*bound)
    else:
        notes = restart.read_notes(start.resume_fd)
        os.close(start.resume_fd)
        lock = DaemonLock.adopt(notes.lock_fd, config.server_path(".lock"), files)
        listener = restart.adopt_listener(notes)
        header.started, header.restarts, header.restarted = notes.started, notes.restarts, clock.wall()
        if notes.bound != bound:
            try:
                fresh = listen_tcp(*bound)
            except StartError as error:
                log.write(f"Going on in spite of: {error}", Severity.CRITICAL)
                bound = notes.bound
            else:
                listener.close()
                listener = fresh
    return House(
        config=config, argv=start.argv, hosts=start.table.hosts, files=files, clock=clock, log=log,
        loop=Loop(clock), lock=lock, listener=listener, bound=bound, header=header, from_starter=from_starter,
        overseer=Overseer.of(os.environ, clock, foreground=start.foreground),
    )  # fmt: skip


def _take_lock(start: Start, files: SystemFiles) -> DaemonLock:
    config = start.config
    lock = DaemonLock.acquire(config.server_path(".lock"), files)
    holder = foreign_holder(files, config.server_path(".pid"), ORIGINALS)
    if holder:
        lock.close()
        how = f"process {holder}, named in {config.server_path('.pid')}, is a living original"
        raise AlreadyRunning(holder, how, "lond")
    return lock


def _leave(house: House) -> None:
    """Give back what the parent holds, the lock last."""
    house.listener.close()
    remove_pid_file(house.files, house.config.server_path(".pid"), os.getpid())
    house.loop.close()
    house.lock.close()
    # Python takes its handlers away when it ends: a second TERM would then be what this process died of.
    signals.block_all()


class _Parent:
    """The parent at work: one pool after the other, as restarts that failed in the last moment need it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._tidings = Tidings(house)
        self._check = restart.Rehearsing(house, self._take_over)
        self._restarting = False
        self._ending = False
        self._code: int = ExitCode.OK

    def live(self, start: Start) -> int:
        """Serve until the end; return the exit code."""
        house = self._house
        try:
            self._tell_pid(first=start.resume_fd is None)
            self._begin()
            house.log.write("Done starting initial servers" if start.resume_fd is None else "Restarted")
            start.ready(None)
            if not house.overseer.ready("Serving"):
                house.log.write(f"The service manager cannot be told: {house.overseer.trouble}", Severity.WARNING)
            house.from_starter = ()  # closed by now; its numbers may soon be those of other files
            while True:
                code = self._pool.keep()
                if not self._restarting:
                    return self._code or code
                self._become_new()
                if self._ending:
                    return self._code
                self._begin()
        except LoncError as error:
            house.log.write(f"Cannot serve: {error}", Severity.CRITICAL)
            raise
        except Exception as error:  # noqa: BLE001 - told as what it is; the workers see that the parent is gone
            tell_abnormal_exit(house.log, "PARENT", error)
            start.ready(f"ABNORMAL EXIT while starting: {type(error).__name__}")
            return ExitCode.CRASHED

    def _tell_pid(self, *, first: bool) -> None:
        path = self._house.config.server_path(".pid")
        if not first and read_pid(self._house.files, path) == os.getpid():
            return
        try:
            write_pid_file(self._house.files, path, os.getpid())
        except StartError as error:
            if first:
                raise
            self._house.log.write(f"Going on in spite of: {error}", Severity.CRITICAL)

    def _begin(self) -> None:
        """Make a pool and start its workers; signals are heard from here on."""
        house = self._house
        service = LondService(house.config, house.hosts, house.clock, house.leave_to_worker)
        board = self._make_board()
        pool = Pool(
            [house.listener.dup()], service, _rules(house), loop=house.loop, log=house.log, board=board,
            clock=house.clock, signals=self._signals(),
        )  # fmt: skip
        pool.on_word = self._tidings.take
        pool.pulse = house.overseer.pulse
        self._pool = pool
        self._upkeep = Upkeep(house, pool, service)
        self._show("Parent keeping the pool", "serving")
        pool.start()
        signals.restore(())

    def _make_board(self) -> Scoreboard | None:
        house = self._house
        try:
            board = Scoreboard.create(house.config.server_path(".scoreboard"), [], files=house.files)
        except ScoreboardError as error:
            raise StartError(str(error)) from error
        if board.anonymous_reason:
            text = f"Scoreboard only in memory, no tool can read it: {board.anonymous_reason}"
            house.log.write(text, Severity.WARNING)
        self._board = board
        return board

    def _show(self, what: str, word: str) -> None:
        house = self._house
        house.log.status = what
        house.header.state, house.header.since = word, house.clock.wall()
        house.header.lost_lines, house.header.last_line = house.log.lost, house.log.last_line
        self._board.write_header(house.header)
        titles.set_title(f"lond: {what} {ctime(house.clock.wall())}")

    # --- signals --------------------------------------------------------------------------------------

    def _signals(self) -> dict[int, Callable[[], object]]:
        return {
            signal.SIGTERM: lambda: self._end(ExitCode.OK),
            signal.SIGINT: lambda: self._end(ExitCode.OK),
            signal.SIGQUIT: self._end_abnormally,
            signal.SIGHUP: self._restart,
            signal.SIGUSR1: self._report,
            signal.SIGUSR2: self._read_table_again,
            signal.SIGTTIN: lambda: self._pool.resize(1),
            signal.SIGTTOU: lambda: self._pool.resize(-1),
            signal.SIGCHLD: self._reap,
            signal.SIGALRM: self._check.overdue,
        }

    def _reap(self) -> None:
        self._pool.reap()
        self._check.reap()

    def _report(self) -> None:
        self._upkeep.report()

    def _read_table_again(self) -> None:
        self._upkeep.read_table_again()

    def _restart(self) -> None:
        if not self._ending and not self._restarting:
            self._check.begin()

    def _take_over(self) -> None:
        """The check has passed: let the workers finish; behind the pool's end stands the exec."""
        if self._ending:
            return
        self._restarting = True
        self._show("Restarting", "restarting")
        self._pool.stop(False)

    def _end_abnormally(self) -> None:
        if not self._ending:
            self._house.log.write(f"{os.getpid()} PARENT ABNORMAL EXIT on signal QUIT", Severity.CRITICAL)
        self._end(ExitCode.CRASHED)

    def _end(self, code: ExitCode) -> None:
        """Let the workers finish and leave; asked for a second time: at once."""
        if not self._ending:
            self._ending = True
            self._code = code
            self._check.give_up()
            self._house.log.write("Shutting down")
            self._house.overseer.stopping("Shutting down")
            self._show("Shutting down", "stopping")
        self._restarting = False
        self._pool.stop(False)

    def _become_new(self) -> None:
        """Execute ourselves, unless the end was asked for in the last moment; return only if not."""
        mask = signals.block_all()
        # What has come since the last wait lies in the loop's own pipe, which exec would lose.
        self._house.loop.turn(0.0)
        self._restarting = False
        if not self._ending:
            restart.refuse_restart(self._house, restart.become_new(self._house))
        signals.restore(mask)


def _rules(house: House) -> PoolRules:
    config = house.config
    return PoolRules(
        program="lond", connections=config.worker_links, at_once=1, idle=config.idle_workers,
        most=config.max_workers, babysit_s=config.babysit_s, rogue_cpu_s=config.rogue_cpu_s,
        stop_timeout_s=config.server_stop_timeout_s, status_path=config.server_status_path,
    )  # fmt: skip
