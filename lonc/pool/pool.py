"""The pool: the process that forks the workers, replaces them, and never accepts (unless it is the only one).

    turn: what was asked for by signals -> the dead -> what is due -> as many workers as there should be -> wait

Whatever happens only changes what is known; each turn compares the workers that there are with those that are
wanted (sizing). The table of supervision decides who starts when (crew), the babysitter who is not well.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from lonc import peers
from lonc.errors import ExitCode
from lonc.loop import Loop
from lonc.pool import letters
from lonc.pool.babysitter import Babysitter
from lonc.pool.crew import Crew
from lonc.pool.listening import OwnPath
from lonc.pool.service import PoolRules, Service
from lonc.pool.sizing import Sizing
from lonc.pool.worker import Place, Worker
from lonc.system.clock import Clock
from lonc.system.logs import Log, Severity
from lonc.system.scoreboard import Scoreboard

LEAVE_BEHIND_S = 5.0  # a killed worker that does not die (its disk hangs) is left to the kernel after this long


class Stage(Enum):
    """How far the end of the pool has come."""

    SERVING = "serving"
    FINISHING = "shutting down, workers finish their clients"
    STOPPING = "stopping"
    HARD = "stopping at once"


class Pool:
    """Workers on one or more listening sockets, and whoever looks after them.

    on_word: called in the parent with the worker's name and the word that it told. signals: what is done about
    each signal; the pool's own table unless another one was given, and may be changed until start(). pulse: called
    with the monotonic time before each wait, returns how long that may last at most (None: without end).
    """

    def __init__(
        self, listeners: Sequence[socket.socket], service: Service, rules: PoolRules, *, loop: Loop, log: Log,
        clock: Clock, board: Scoreboard | None = None, signals: Mapping[int, Callable[[], object]] | None = None,
    ) -> None:  # fmt: skip
        """listeners: from listen_tcp and listen_unix; the pool closes them, and removes the paths that it made.

        board: None: one of its own in memory. signals: None: the pool's own table; {}: the caller catches signals
        himself and calls stop(), reap() and the others.
        """
        self.on_word: Callable[[str, bytes], object] = lambda name, word: None
        self.pulse: Callable[[float], float | None] = lambda now: None
        self.signals = dict(self._own_signals() if signals is None else signals)
        self.rules, self.service, self.log, self.loop, self.clock = rules, service, log, loop, clock
        self.board = board if board is not None else Scoreboard.in_memory()
        self._listeners = list(listeners)
        self._paths = [OwnPath(listener) for listener in listeners]
        self._stage = Stage.SERVING
        self._code = ExitCode.OK
        self._fatal = ""
        self._asked: list[int] = []
        self._give_up_at: float | None = None
        self._next_look = clock.monotonic() + rules.babysit_s
        self._sizing = Sizing(rules)
        self._crew = Crew(
            self._listeners, service, rules, loop=loop, log=log, board=self.board, clock=clock,
            on_word=self._word, on_fatal=self._on_fatal,
        )  # fmt: skip
        self._babysitter = Babysitter(rules.rogue_cpu_s, tell=log.write, send=self._crew.send)
        self._alone: Worker | None = None  # the process itself, where it accepts

    def _own_signals(self) -> dict[int, Callable[[], object]]:
        return {
            signal.SIGTERM: lambda: self.stop(now=False),
            signal.SIGINT: lambda: self.stop(now=True),
            signal.SIGQUIT: lambda: self.stop(now=True),
            signal.SIGHUP: self.reload_workers,
            signal.SIGUSR1: self.call,
            signal.SIGUSR2: self._show_inner_state,
            signal.SIGTTIN: lambda: self.resize(1),
            signal.SIGTTOU: lambda: self.resize(-1),
            signal.SIGCHLD: self.reap,
        }

    @property
    def workers(self) -> dict[str, int]:
        """Return the pid of every worker that lives, by its name; empty where the process itself accepts."""
        return {name: member.pid for name, member in self._crew.members.items()}

    # --- the life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Catch the signals (unless the table is empty) and fork the first workers."""
        if self.signals:
            self.signals.setdefault(signal.SIGCHLD, self.reap)
            self.loop.catch(self.signals, self._asked.append)
        if self.rules.processes == 1 and not self.rules.idle:
            self._be_the_worker()
            return
        gc.collect()
        gc.freeze()  # workers share what is loaded now, and their collector leaves it alone
        self._adjust(self.clock.monotonic())

    def keep(self) -> int:
        """Serve until the end was asked for and every worker is gone; return the exit code."""
        try:
            while not self._at_end():
                self._attend()
                if not self._at_end():
                    self._turn()
        except BaseException:
            self._crew.abandon()  # what went wrong is told above; workers must not outlive this
            self._close_listeners()
            raise
        if self._alone is not None:
            self._alone.last_words()
        return self._code

    def _turn(self) -> None:
        now = self.loop.turn(0.0 if self._asked else self._deadline())
        if self._alone is not None:
            self._alone.attend(now)

    def _at_end(self) -> bool:
        if self._alone is not None:
            return self._alone.gone
        if self._stage is Stage.SERVING:
            return False
        members = self._crew.members
        if members and self._give_up_at is not None and self.clock.monotonic() >= self._give_up_at:
            pids = " ".join(str(member.pid) for member in members.values())
            self.log.write(f"Workers that cannot be killed are left behind: {pids}", Severity.CRITICAL)
            members.clear()
        return not members

    def _deadline(self) -> float | None:
        found = [self._crew.table.next_deadline(), self._give_up_at, self.pulse(self.clock.monotonic())]
        if self._alone is not None:
            found.append(self._alone.deadline())
        else:
            found += [self._next_look, self._sizing.next_look()]
        return min((when for when in found if when is not None), default=None)

    def _attend(self) -> None:
        """Do what this turn has brought."""
        asked = list(dict.fromkeys(self._asked))
        self._asked.clear()
        for signum in asked:
            self.signals[signum]()
        now = self.clock.monotonic()
        self._crew.on_time(now)
        if now >= self._next_look and self._alone is None:
            self.look()
        if self._stage is Stage.SERVING and self._fatal:
            self._code = ExitCode.FAILED
            self.stop(now=False)
        elif self._stage is Stage.SERVING and self._alone is None:
            self._adjust(now)

    def _on_fatal(self, text: str) -> None:
        if not self._fatal:
            self._fatal = text
            self.log.write(text, Severity.CRITICAL)

    def _word(self, name: str, word: bytes) -> None:
        self.on_word(name, word)

    def _be_the_worker(self) -> None:
        """Accept in this very process: `processes` is 1."""
        place = Place(
            number=0, listeners=self._listeners, service=self.service, rules=self.rules, log=self.log,
            clock=self.clock, board=self.board, slot=self.board.add("w0"),
        )  # fmt: skip
        self._alone = worker = Worker(place, self.loop, None)
        worker.on_word = lambda word: self.on_word(worker.name, word)
        if not worker.begin():
            self._code = ExitCode.FAILED
            self._close_listeners()

    # --- how many -------------------------------------------------------------------------------------

    def _adjust(self, now: float) -> None:
        """Have as many workers as there should be."""
        crew = self._crew
        resting = {name for name, member in crew.members.items() if member.resting}
        staff = set(crew.table.names()) - crew.leaving - resting
        busy = sum(member.busy for name, member in crew.members.items() if name in staff)
        for _ in range(self._sizing.missing(len(staff), busy)):
            if self._fatal:
                return
            crew.add()
        surplus = self._sizing.surplus(len(staff), busy, now)
        if surplus and self._sizing.idle:
            self._let_rest(staff, surplus)
        elif surplus:
            self._let_go(staff, surplus)

    def _let_rest(self, staff: set[str], count: int) -> None:
        """Ask those that have been idle for the longest time; one that has just got a client stays."""
        members = [self._crew.members[name] for name in staff if name in self._crew.members]
        idle = [member for member in members if member.ready_at is not None and not member.busy]
        for member in sorted(idle, key=lambda member: member.idle_since)[:count]:
            member.resting = True
            member.post.send(letters.REST)

    def _let_go(self, staff: set[str], count: int) -> None:
        """Have so many leave for good when they have finished: those without a process, idle ones, the latest."""
        members = self._crew.members

        def cost(name: str) -> tuple[bool, int, int]:
            return name in members, members[name].clients if name in members else 0, -int(name[1:])

        for name in sorted(staff, key=cost)[:count]:
            if name in members:
                self._crew.leaving.add(name)
                members[name].post.send(letters.RETIRE)
            else:
                self._crew.remove(name)

    def resize(self, delta: int) -> None:
        """Have so many workers more (TTIN: 1) or less (TTOU: -1); with `idle`: so many idle ones."""
        if self._alone is not None:
            self.log.write("The pool has no workers: its size cannot be changed", Severity.WARNING)
            return
        self._sizing.change(delta)
        idle = self._sizing.idle
        self.log.write(f"Idle workers wanted: {idle}" if idle else f"Workers wanted: {self._sizing.least}")

    # --- looking after them ---------------------------------------------------------------------------

    def reap(self) -> None:
        """Take note of every worker that has died (CHLD)."""
        self._crew.reap()

    def look(self) -> None:
        """Look at all workers now, as the babysitter does every babysit_s."""
        self._next_look = self.clock.monotonic() + self.rules.babysit_s
        self._crew.reap(looking=True)
        members = self._crew.members
        self._babysitter.look([(name, member.pid, self._beat(name)) for name, member in members.items()])

    def _beat(self, name: str) -> float:
        """Return when a worker's loop last turned, monotonic seconds; 0.0: never yet."""
        slot = self.board.slot_of(name)
        return 0.0 if slot is None else self.board.beat_of(slot)

    def reload_workers(self) -> None:
        """Have Service.reload called in every worker, between two requests."""
        if self._alone is not None:
            self.service.reload()
        else:
            self._crew.send_all(letters.RELOAD)

    def call(self) -> None:
        """Look after everybody: pauses over, every worker writes its block of the status file."""
        if self._alone is not None:
            self._alone.report()
        for name in self._crew.table.names():
            self._crew.give(name, peers.Called())

    def inner_state(self) -> list[str]:
        """Return what the pool knows, as lines (USR2 writes them to the log)."""
        crew, now = self._crew, self.clock.monotonic()
        where = ", ".join(map(_shown, self._listeners)) or "nowhere"
        sizing = self._sizing
        limits = f"at least {sizing.least}, {sizing.idle} idle, at most {sizing.most}"
        lines = [
            f"Pool {os.getpid()}: {self._stage.value}, listens on {where}",
            f"Workers: {len(crew.members)} live, {limits}; {self._babysitter.looks} looks",
        ]
        for name in crew.table.names():
            peer, member = crew.table.peer(name), crew.members.get(name)
            text = f"{name}: {peer.state.value} for {now - peer.since:.0f} s, {peer.attempts} deaths in a row"
            if member is not None:
                ready = "accepts" if member.accepting else "accepts nobody"
                text += f", pid {member.pid}, {member.clients} clients of {member.taken}, {ready}"
                text += f", beat {now - self._beat(name):.1f} s ago"
                text += f" {self._babysitter.state_of(member.pid)}".rstrip()
            lines.append(text)
        return lines

    def _show_inner_state(self) -> None:
        for line in self.inner_state():
            self.log.write(line)

    # --- the end --------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Close the listeners and let every worker finish its clients, however long that takes; then end."""
        if self._stage is not Stage.SERVING:
            return
        self._stage = Stage.FINISHING
        self._close_listeners()
        if self._alone is not None:
            self._alone.retire()
        self._crew.send_all(letters.RETIRE)
        for name in self._crew.table.names():
            if name in self._crew.members:
                self._crew.leaving.add(name)
            else:
                self._crew.remove(name)

    def stop(self, now: bool) -> None:
        """Close the listeners, remove their paths, end the workers; nothing is replaced any more.

        now: workers leave at once (INT); else they finish the requests in hand (TERM), killed after
        stop_timeout_s. A second call is harder than the first.
        """
        before, self._stage = self._stage, Stage.HARD if now else Stage.STOPPING
        self._crew.end_signal = signal.SIGINT if now else signal.SIGTERM
        self._close_listeners()
        if self._alone is not None:
            if now or before is Stage.STOPPING:
                self._alone.leave_now()
            else:
                self._alone.drain(self.rules.stop_timeout_s)
        elif before is Stage.STOPPING and now:
            for member in self._crew.members.values():
                self._crew.send(member.pid, signal.SIGINT)
        elif before in (Stage.STOPPING, Stage.HARD):
            for name in list(self._crew.members):
                self._crew.give(name, peers.Hurried())
        else:
            self._give_up_at = self.clock.monotonic() + self.rules.stop_timeout_s + LEAVE_BEHIND_S
            for name in self._crew.table.names():
                self._crew.remove(name)

    def _close_listeners(self) -> None:
        for path in self._paths:
            path.remove()
        if self._alone is None:  # else they are the worker's, which closes them on its way out
            for listener in self._listeners:
                listener.close()
        self._paths, self._listeners = [], []


def _shown(listener: socket.socket) -> str:
    """Return where a socket listens, for people."""
    name = listener.getsockname()
    return f"{name[0]} port {name[1]}" if isinstance(name, tuple) else str(name)
