"""The parent's life: wait, and turn signals, deaths and deadlines into inputs of the supervision table.

    turn: wait -> what was asked for by signals (the end first) -> the dead -> what is due

A signal only notes what is asked for; everything is done here, between two waits, so no order of signals can
meet a half-done job. Once the end was asked for nothing else counts (P21).
Sources: lonc.md 2 (the table of signals), house.md 3.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable

from lonc import peers
from lonc.errors import ExitCode
from lonc.parent import restart
from lonc.parent.errands import Errands
from lonc.parent.house import House
from lonc.parent.page_maker import PageMaker
from lonc.parent.perform import Performer
from lonc.parent.tables import read_table_again
from lonc.peers import State
from lonc.system import status, titles
from lonc.system.check import Check
from lonc.system.clock import ctime
from lonc.system.logs import Severity

# A killed child that does not die (its disk hangs) is left to the kernel after this long.
LEAVE_BEHIND_S = 5.0
MOST_ROUNDS = 2  # of checks for one restart: a storm of HUPs must not put it off for ever
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
NOT_TOLD = frozenset({*ExitCode} - {ExitCode.CONFIG, ExitCode.FAILED})  # the child has logged it itself


class Flock:
    """The parent at work, from the first children to the exit code."""

    def __init__(self, house: House, asked: list[int]) -> None:
        """asked: where the loop puts the numbers of signals that have come; emptied here."""
        self.house = house
        self.performer = Performer(house)
        self.errands = Errands(house, self.performer.give)
        self.page = PageMaker(house)
        self.handing_over: set[int] = set()  # children of the former self that have not left yet
        self._asked = asked
        self._check: Check | None = None
        self._check_again = False
        self._rounds = 0  # of checks since the first HUP
        self._passed = False  # the check: this turn ends with exec
        self._give_up_at: float | None = None  # set when the end was asked for
        self._code = ExitCode.OK
        self._orders: dict[int, Callable[[], None]] = {
            signal.SIGTERM: lambda: self._end(ExitCode.OK),
            signal.SIGINT: lambda: self._end(ExitCode.OK),
            signal.SIGQUIT: self._end_abnormally,
            signal.SIGHUP: self._restart,
            signal.SIGUSR1: self._call,
            signal.SIGUSR2: self._read_table_again,
            signal.SIGCHLD: self.reap,
        }

    # --- the loop -------------------------------------------------------------------------------------

    def keep(self) -> ExitCode:
        """Serve until the end was asked for and every child is gone; return how it ended."""
        show_state(self.house, "Parent keeping the flock", "serving")
        self.reap()  # who died during exec was told to nobody
        while self._give_up_at is None or self.house.children:
            self._attend()
            if not self._at_end():
                self.house.loop.turn(0.0 if self._asked else self._deadline())
        return self._code

    def _at_end(self) -> bool:
        if self._give_up_at is None:
            return False
        if self.house.children and self.house.clock.monotonic() >= self._give_up_at:
            pids = " ".join(map(str, self.house.children))
            self.house.log.write(f"Children that cannot be killed are left behind: {pids}", Severity.CRITICAL)
            self.house.children.clear()
        return not self.house.children

    def _deadline(self) -> float | None:
        found = [self.house.peers.next_deadline(), self._give_up_at, self.page.deadline]
        if self._give_up_at is None:
            found.append(self.errands.next_look)
        if self._check is not None and not self._check.overdue:
            found.append(self._check.deadline)
        if self.house.children:
            found.append(self.performer.watchman.next_look)
        found.append(self.house.overseer.pulse(self.house.clock.monotonic(), self._count_peers))
        return min((when for when in found if when is not None), default=None)

    def _attend(self) -> None:
        """Do what this turn has brought."""
        asked = list(dict.fromkeys(self._asked))
        self._asked.clear()
        for signum in sorted(asked, key=ENDS.__contains__, reverse=True):
            if signum == signal.SIGCHLD or signum in ENDS or self._give_up_at is None:
                self._orders[signum]()
        if self._passed and self._check is None and self._give_up_at is None:
            self._take_over()
        now = self.house.clock.monotonic()
        if self._check is not None and now >= self._check.deadline and not self._check.overdue:
            self._check.kill(overdue=True)
        self.performer.perform(self.house.peers.on_time(now))
        if now >= self.performer.watchman.next_look:
            self.performer.watchman.look(now)
        if self._give_up_at is None and self.errands.due(now):
            self.errands.look(now)
        self.page.attend(now)

    # --- the dead -------------------------------------------------------------------------------------

    def reap(self) -> None:
        """Take note of every child that has died; only pids that we forked are ever waited for."""
        for pid, name in list(self.house.children.items()):
            done, wait_status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self.house.children[pid]
                self._buried(pid, name, os.waitstatus_to_exitcode(wait_status))
        if self._check is not None:
            done, wait_status = os.waitpid(self._check.pid, os.WNOHANG)
            if done:
                check, self._check = self._check, None
                self._checked(check.finish(wait_status))

    def _buried(self, pid: int, name: str, code: int) -> None:
        peer = self.house.peers.peer(name)
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if code == ExitCode.IDLE:
            how = "was idle"
        if peer.state is State.UP and code not in NOT_TOLD:
            self.house.log.write(f"Child {pid} is dead: that of {name} {how}", Severity.WARNING)
        ready_s = self.house.ledger.bury(name, pid, how)
        self.performer.give(name, peers.ChildExited(code, ready_s))
        self.errands.child_left(name, idle=code == ExitCode.IDLE)
        if pid in self.handing_over:
            self.handing_over.discard(pid)
            if not self.handing_over and self._give_up_at is None:
                self.house.log.write("Done starting initial servers")

    # --- USR1 -----------------------------------------------------------------------------------------

    def _call(self) -> None:
        """Look after everybody: counts to 0, pauses over, those given up are started, all report."""
        self.house.log.write("Going to check on the children")
        self._begin_report()
        for name in self.house.peers.names():
            self.performer.give(name, peers.Called())
        self.errands.hurry()

    def _read_table_again(self) -> None:
        read_table_again(self.house, self.performer)
        self.errands.hurry()

    def _count_peers(self) -> str:
        """Return how many peers are in which state, for people."""
        table = self.house.peers
        counts = Counter(table.peer(name).state for name in table.names())
        shown = ", ".join(f"{counts[state]} {state.value}" for state in State if counts[state])
        return f"Peers: {shown or 'none'}"

    def _begin_report(self) -> None:
        house = self.house
        states = {name: house.peers.peer(name).state for name in house.peers.names()}
        log = house.log
        line = status.ProcessLine(os.getpid(), log.who, log.status_text, log.last_line, log.trouble)
        more = [self._count_peers()]
        # They are started again right behind this, but whoever reads it wants to know who they were.
        more += [f"Skipped {name}" for name, state in states.items() if state is State.GIVEN_UP]
        trouble = status.start_report(
            house.config.status_path, line, files=house.files, clock=house.clock, more=more
        )
        if trouble:
            log.write(f"Status file cannot be written: {trouble}", Severity.WARNING)

    # --- HUP ------------------------------------------------------------------------------------------

    def _restart(self) -> None:
        """Check what is on disk, then become it. A second HUP meanwhile has it checked once more."""
        if self._check is not None or self._passed:
            self._check_again = True
            return
        self.house.log.write("Restarting")
        self.house.overseer.reloading("Restarting")
        self._rounds = 0
        self._begin_check()

    def _begin_check(self) -> None:
        self._check_again = False
        self._rounds += 1
        try:
            self._check = Check(self.house.argv, self.house.clock.monotonic())
        except OSError as error:
            self._refuse_restart(f"{self.house.argv[0]}: {error.strerror}")

    def _checked(self, problem: str | None) -> None:
        if self._check_again and self._rounds < MOST_ROUNDS:  # it may have read what was there before that HUP
            self._begin_check()
        elif problem is not None:
            self._refuse_restart(problem)
        else:
            self._passed = True

    def _take_over(self) -> None:
        """Become the new self, unless the end was asked for in the last moment; return only if not."""
        self._passed = False
        with restart.quiet():
            # What has come since the last wait lies in the loop's own pipe, which exec would lose.
            self.house.loop.turn(0.0)
            if any(signum in self._asked for signum in ENDS):
                return
            if signal.SIGUSR1 in self._asked:  # all else that can have been asked for is part of a restart
                os.kill(os.getpid(), signal.SIGUSR1)
            self.page.end()
            self._refuse_restart(restart.become_new(self.house))
            self.page.begin()
            self._asked.append(signal.SIGCHLD)  # whatever else has come was told by a wait that is over

    def _refuse_restart(self, problem: str) -> None:
        text = f"Restart refused, the running one goes on: {problem}"
        self.house.log.write(text, Severity.CRITICAL)
        self.house.ledger.tell_log()
        self.house.overseer.ready(text)

    # --- the end --------------------------------------------------------------------------------------

    def _end_abnormally(self) -> None:
        if self._give_up_at is None:
            text = f"{os.getpid()} PARENT ABNORMAL EXIT on signal QUIT"
            self.house.log.write(text, Severity.CRITICAL)
        self._end(ExitCode.CRASHED)

    def _end(self, code: ExitCode) -> None:
        """Tell every child to leave; asked for a second time: kill what is left."""
        if self._give_up_at is not None:
            for name in set(self.house.children.values()):
                self.performer.give(name, peers.Hurried())
            return
        self._code = code
        self._give_up_at = self.house.clock.monotonic() + self.house.config.stop_timeout_s + LEAVE_BEHIND_S
        self.house.log.write("Shutting down")
        self.house.overseer.stopping("Shutting down")
        show_state(self.house, "Shutting down", "stopping")
        if self._check is not None:
            self._check.kill()
        self.page.end()
        for name in self.house.peers.names():
            self.performer.give(name, peers.Removed())


def show_state(house: House, what: str, word: str) -> None:
    """Show what the parent is doing, and since when: title, status in the log, scoreboard (one word)."""
    house.log.status = what
    house.ledger.tell_state(word)
    titles.set_title(f"lonc: {what} {ctime(house.clock.wall())}")
