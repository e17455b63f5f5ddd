"""The workers that live, and the deeds of the supervision table: fork, signal, forget, tell.

The table is `lonc.peers`, the one that the daemon's parent uses: each worker is a peer of it, named w1, w2 and so
on. It says who is started when; a pool has nothing to listen on per worker, so those outputs mean nothing here.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lonc import peers
from lonc.errors import ExitCode, ScoreboardError
from lonc.loop import Loop
from lonc.peers import Fact, Order, Peers, Rules, State
from lonc.pool import letters
from lonc.pool.letters import Post
from lonc.pool.service import PoolRules, Service
from lonc.pool.worker import Place, Worker, fresh_process
from lonc.system.clock import Clock
from lonc.system.forking import fork_child
from lonc.system.logs import Log, Severity
from lonc.system.scoreboard import NO_SLOT, ParentRecord, Scoreboard

# A crash loop forks each worker every 0.25, 0.5, 1, 2, then every 4 s.
RESTART_MIN_S = 0.25
STABLE_AFTER_S = 5.0  # ready for so long, a worker's end begins a new count
TEMPORARY = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOBUFS})
# Signals of the worker's own making: it would do the same again.
_OWN_FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT})
_TOLD_ITSELF = frozenset({ExitCode.OK, ExitCode.IDLE, ExitCode.CRASHED, ExitCode.FAILED, ExitCode.ORPHANED})


@dataclass(slots=True)
class Member:
    """A worker that was forked and is not buried. clients, accepting, taken: as it has last told."""

    name: str
    pid: int
    post: Post
    since: float  # monotonic: when it was forked
    ready_at: float | None = None
    clients: int = 0
    accepting: bool = True
    taken: int = 0
    idle_since: float = 0.0
    resting: bool = False  # it was asked to leave if it has nobody

    @property
    def busy(self) -> bool:
        """Return whether a client that comes now would have to go to another worker."""
        return self.clients > 0 or not self.accepting


class Crew:
    """Forks, signals and buries the workers, as the table says."""

    def __init__(
        self, listeners: Sequence[socket.socket], service: Service, rules: PoolRules, *, loop: Loop, log: Log,
        board: Scoreboard, clock: Clock, on_word: Callable[[str, bytes], None], on_fatal: Callable[[str], None],
    ) -> None:  # fmt: skip
        """on_fatal(text): no worker can be forked, and trying again would not help."""
        self.members: dict[str, Member] = {}
        self.end_signal = signal.SIGTERM  # what a worker that has to leave is sent
        self.leaving: set[str] = set()  # those that nobody is to follow
        self._listeners, self._service, self._rules = listeners, service, rules
        self._loop, self._log, self._board, self._clock = loop, log, board, clock
        self._on_word, self._on_fatal = on_word, on_fatal
        self._forks_fail_since: float | None = None
        self.table = Peers(
            Rules(
                max_attempts=0, restart_min_s=RESTART_MIN_S, stable_after_s=STABLE_AFTER_S, ended_min_s=0.0,
                stop_timeout_s=rules.stop_timeout_s,
            )
        )  # fmt: skip
        self._deeds: dict[type[peers.Output], Callable[..., None]] = {
            peers.Spawn: self._spawn,
            peers.Tell: self._tell,
            peers.Forget: lambda output: self._board.free(output.peer),
            peers.Say: self._say,
        }

    # --- the table ------------------------------------------------------------------------------------

    def add(self) -> None:
        """Have one worker more, with the lowest number that is free."""
        number = 1
        while f"w{number}" in self.table:
            number += 1
        self._perform(self.table.add(f"w{number}", self._clock.monotonic()))

    def give(self, name: str, what: peers.Input) -> None:
        """Tell the table what happened to a worker, and do what follows from it."""
        self._perform(self.table.on_input(name, what, self._clock.monotonic()))
        self._note(name)

    def remove(self, name: str) -> None:
        """Have nobody follow a worker, and end it if it lives; no error when it is gone."""
        self.leaving.discard(name)
        if name in self.table:
            self.give(name, peers.Removed())

    def on_time(self, now: float) -> None:
        """Do what is due."""
        self._perform(self.table.on_time(now))

    def _perform(self, outputs: Iterable[peers.Output]) -> None:
        for output in outputs:
            deed = self._deeds.get(type(output))
            if deed is not None:
                deed(output)
                self._note(output.peer)

    def _note(self, name: str) -> None:
        """Show on the scoreboard what the table knows of a worker."""
        if name not in self.table:
            return
        peer, now = self.table.peer(name), self._clock.monotonic()
        record = ParentRecord(
            peer=name, pid=peer.pid, state=peer.state.value, since=self._clock.wall() - (now - peer.since),
            attempts=peer.attempts, next_start=peer.start_at or 0.0, spawned_at=max(peer.last_start, 0.0),
        )  # fmt: skip
        self._board.write_parent(self._slot(name), record)

    def _slot(self, name: str) -> int:
        try:
            return self._board.add(name)
        except ScoreboardError as error:
            self._log.write(f"No slot for {name}: {error}", Severity.WARNING)
            return NO_SLOT

    # --- births ---------------------------------------------------------------------------------------

    def _spawn(self, output: peers.Spawn) -> None:
        name = output.peer
        slot = self._slot(name)
        try:
            ours, theirs = letters.pair()
            with theirs:
                try:
                    pid = fork_child(lambda: self._live(name, slot, ours, theirs), self._log, name)
                except OSError:
                    ours.close()
                    raise
        except OSError as error:
            self._forks_fail(error)
            self.give(name, peers.SpawnFailed())
            return
        self._forks_work()
        post = Post(ours, self._loop, lambda kind, text: self._letter(name, kind, text), lambda: None)
        now = self._clock.monotonic()
        self.members[name] = Member(name, pid, post, since=now, idle_since=now)
        if self._rules.verbose:
            self._log.write(f"Worker {pid} ({name}) is born")
        self.give(name, peers.Spawned(pid))

    def _live(self, name: str, slot: int, ours: socket.socket, theirs: socket.socket) -> int:
        """The worker: let go of all that is the parent's, then serve."""
        fresh_process()
        self._loop.close()
        ours.close()
        for member in self.members.values():
            member.post.leave_to_parent()
        place = Place(
            number=int(name[1:]), listeners=self._listeners, service=self._service, rules=self._rules,
            log=self._log.for_process(name), clock=self._clock, board=self._board, slot=slot,
        )  # fmt: skip
        return Worker(place, Loop(self._clock), theirs).live()

    def _forks_fail(self, error: OSError) -> None:
        """Tell the first of a series; one that will not pass by itself ends the pool."""
        if error.errno not in TEMPORARY:
            self._on_fatal(f"No worker can be forked: {error.strerror}; the pool ends")
        elif self._forks_fail_since is None:
            self._forks_fail_since = self._clock.monotonic()
            text = f"No worker can be forked: {error.strerror}; tried again every second"
            self._log.write(text, Severity.CRITICAL)

    def _forks_work(self) -> None:
        if self._forks_fail_since is not None:
            lasted = self._clock.monotonic() - self._forks_fail_since
            self._forks_fail_since = None
            self._log.write(f"Workers can be forked again after {lasted:.0f} s")

    # --- letters --------------------------------------------------------------------------------------

    def _letter(self, name: str, kind: bytes, text: bytes) -> None:
        member = self.members[name]
        if kind == letters.WORD:
            self._on_word(name, text)
        elif kind == letters.READY:
            member.ready_at = self._clock.monotonic()
        elif kind == letters.STATE:
            clients, accepting, taken = map(int, text.split())
            if taken != member.taken:
                member.resting = False  # a client was faster than the letter, which it may have passed over
            if member.clients and not clients:
                member.idle_since = self._clock.monotonic()
            member.clients, member.accepting, member.taken = clients, bool(accepting), taken

    def send_all(self, kind: bytes) -> None:
        """Send every worker a letter."""
        for member in list(self.members.values()):
            member.post.send(kind)

    # --- signals --------------------------------------------------------------------------------------

    def _tell(self, output: peers.Tell) -> None:
        meant = {Order.END: self.end_signal, Order.DIE: signal.SIGKILL, Order.REPORT: signal.SIGUSR1}
        self.send(output.pid, meant[output.order])

    def send(self, pid: int, signum: int) -> None:
        """Signal a worker, unless somebody else has taken note of its death: its pid may be another one's."""
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            os.kill(pid, signum)
        except OSError:  # gone; reap() will find it
            return

    def abandon(self) -> None:
        """Tell every worker to leave; the parent ends by an error and waits for nobody."""
        for member in self.members.values():
            self.send(member.pid, signal.SIGTERM)

    # --- deaths ---------------------------------------------------------------------------------------

    def reap(self, *, looking: bool = False) -> None:
        """Bury every worker that has died. looking: no signal has told of them."""
        for member in list(self.members.values()):
            try:
                done, wait_status = os.waitpid(member.pid, os.WNOHANG)
            except ChildProcessError:
                text = f"Worker {member.pid} ({member.name}) is missing: counts as dead"
                self._log.write(text, Severity.WARNING)
                self._bury(member, None)
                continue
            if done:
                code = os.waitstatus_to_exitcode(wait_status)
                if looking:
                    text = f"Worker {member.pid} ({member.name}) is a zombie that no signal has told of"
                    self._log.write(text, Severity.WARNING)
                self._bury(member, code)

    def _bury(self, member: Member, code: int | None) -> None:
        member.post.read(1 << 16)  # its last words
        member.post.close()
        del self.members[member.name]
        now = self._clock.monotonic()
        ready_s = now - member.ready_at if member.ready_at is not None else 0.0
        if code is None:
            code = ExitCode.CRASHED
        else:
            self._tell_death(member, code)
        if code < 0 and -code not in _OWN_FAULTS and member.ready_at is not None:
            ready_s = float("inf")  # killed by somebody: no fault of its own, and no crash loop
        for_good = code == ExitCode.IDLE or member.name in self.leaving
        self.give(member.name, peers.ChildExited(code, ready_s))
        if for_good:
            self.remove(member.name)

    def _tell_death(self, member: Member, code: int) -> None:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        unexpected = self.table.peer(member.name).state is State.UP and code not in _TOLD_ITSELF
        if unexpected or self._rules.verbose:
            severity = Severity.WARNING if unexpected else Severity.NONE
            self._log.write(f"Worker {member.pid} ({member.name}) is dead: it {how}", severity)

    def _say(self, output: peers.Say) -> None:
        if output.fact is Fact.RETRY and output.attempts > 1:
            text = f"Worker {output.peer} is started again, {output.attempts} deaths in a row"
            self._log.write(text, Severity.WARNING)
        elif output.fact is Fact.OVERDUE:
            limit = self._rules.stop_timeout_s
            self._log.write(f"Worker {output.peer} has not left within {limit:g} s: killed", Severity.WARNING)
