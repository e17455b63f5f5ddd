"""Has the status page made while the daemon runs (loncPage), by a process of its own that the parent only starts.

The process is `loncctl page`, as nice as can be, one at a time, at most one in PAGE_EVERY_S; what takes long is
made more seldom, so that it never has more than a twentieth of one processor, and what takes too long is killed. A
page that cannot be made is told once for each reason and stops nothing else.
"""

from __future__ import annotations

import os
import signal
import time

from lonc.parent.house import House
from lonc.system.logs import Severity
from lonc.system.notify import without

PAGE_EVERY_S = 10.0
PAGE_LIMIT_S = 60.0  # a page that takes longer hangs: its disk, most likely
SHARE = 20.0  # the pause is at least so many times what the last page took
_BURY_S = 0.5  # how long the end of a killed one is waited for, where it would be left unburied


class PageMaker:
    """Starts and ends the process that writes the page. Times are monotonic seconds."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._pid = 0
        self._began = 0.0
        self._killed = False
        self._told = ""
        self._next: float | None = None
        self.begin()

    @property
    def deadline(self) -> float | None:
        """When there is something to be done; None: nothing. The end of the process comes with SIGCHLD."""
        if not self._pid:
            return self._next
        return None if self._killed else self._began + PAGE_LIMIT_S

    def attend(self, now: float) -> None:
        """Bury the process if it has ended, kill it when it is overdue, start one when it is time."""
        if self._pid and not self._bury(now) and not self._killed and now >= self._began + PAGE_LIMIT_S:
            self._killed = True
            os.kill(self._pid, signal.SIGKILL)
        if not self._pid and self._next is not None and now >= self._next:
            self._start(now)

    def end(self) -> None:
        """Kill the process, if there is one, and start none again: this process ends, or becomes another."""
        self._next = None
        if not self._pid:
            return
        os.kill(self._pid, signal.SIGKILL)
        clock = self._house.clock
        give_up_at = clock.monotonic() + _BURY_S
        while os.waitpid(self._pid, os.WNOHANG)[0] == 0 and clock.monotonic() < give_up_at:
            time.sleep(0.002)
        self._pid = 0

    def begin(self) -> None:
        """Take up the work, if it is wanted: at the start, and after end() if this process goes on as it was.

        The pause after the last page is kept over a restart.
        """
        if self._house.config.page:
            age = page_age_s(self._house)
            self._next = self._house.clock.monotonic() + min(max(PAGE_EVERY_S - age, 0.0), PAGE_EVERY_S)

    def _start(self, now: float) -> None:
        self._next = now + PAGE_EVERY_S
        command = page_command(self._house)
        defaults = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        try:
            self._pid = os.posix_spawn(
                command[0], command, without(os.environ), file_actions=null, setsigmask=(), setsigdef=defaults
            )
        except OSError as error:
            self._tell(f"{command[0]}: {error.strerror}")
            return
        self._began, self._killed = now, False

    def _bury(self, now: float) -> bool:
        """Return whether the process has ended; how is told."""
        done, wait_status = os.waitpid(self._pid, os.WNOHANG)
        if not done:
            return False
        self._pid = 0
        self._next = max(self._began + PAGE_EVERY_S, now + SHARE * (now - self._began))
        code = os.waitstatus_to_exitcode(wait_status)
        if self._killed:
            self._tell(f"not done within {PAGE_LIMIT_S:g} s")
        elif code:
            self._tell(f"exit code {code}" if code > 0 else f"killed by signal {-code}")
        else:
            self._told = ""
        return True

    def _tell(self, why: str) -> None:
        if why != self._told:
            self._told = why
            text = f"Status page cannot be made: {why}; try loncctl page"
            self._house.log.write(text, Severity.WARNING)


def page_age_s(house: House) -> float:
    """Return how long ago the page was written; endless without one."""
    try:
        return house.clock.wall() - os.stat(house.config.page_path).st_mtime
    except OSError:
        return float("inf")


def page_command(house: House) -> tuple[str, ...]:
    """Return the command that makes the page: loncctl of the directory that this program was started from."""
    python, script = house.argv[:2]
    program = os.path.join(os.path.dirname(script), "loncctl")
    return (python, program, "page", "--conf-dir", house.config.conf_dir, "--background")
