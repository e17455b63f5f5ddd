"""Looks at every worker from outside: what the process table says, and whether its beat moves (lonc.md 6).

    rogue    used rogue_cpu_s of CPU time while its beat stood still: INT, TERM, KILL at successive looks;
             one whose beat moves again, or that is found sleeping in between, is no rogue any more
    stopped  told at the first look that finds it so, killed at the second in a row
    in the kernel (state D) with a beat that stands still at two looks in a row: told once; no signal reaches it

A busy worker whose beat moves is none of these. Those that are gone without a signal, and zombies, are found by
whoever waits for them (Crew.reap), which is done before every look.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import psutil

from lonc.system.logs import Severity

STEPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_SLEEPING: Final = (psutil.STATUS_SLEEPING, psutil.STATUS_IDLE, psutil.STATUS_PARKED)
_HANGS_AT = 2  # looks in a row


@dataclass(frozen=True, slots=True)
class Seen:
    """What the process table says: psutil's word for the state, and the CPU time used, in seconds."""

    state: str
    cpu_s: float


@dataclass(slots=True)
class _Known:
    """What earlier looks have found. cpu_s: used when its beat had last moved."""

    beat: float
    cpu_s: float
    step: int = 0  # signals that it got as a rogue
    stopped: bool = False
    hangs: int = 0


def process_table(pid: int) -> Seen | None:
    """Return what is known of a process; None: it is not there (or may not be looked at)."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            used = process.cpu_times()
            return Seen(process.status(), used.user + used.system)
    except psutil.Error:
        return None


class Babysitter:
    """Judges workers by what is seen of them. looks: how often it has looked."""

    def __init__(
        self, rogue_cpu_s: float, *, tell: Callable[[str, Severity], None], send: Callable[[int, int], None],
        see: Callable[[int], Seen | None] = process_table,
    ) -> None:  # fmt: skip
        """send(pid, signum) signals a worker that may be gone by then."""
        self.looks = 0
        self._rogue_cpu_s = rogue_cpu_s
        self._tell = tell
        self._send = send
        self._see = see
        self._known: dict[int, _Known] = {}

    def look(self, workers: Iterable[tuple[str, int, float]]) -> None:
        """Look at all workers once: name, pid, last beat on the scoreboard (monotonic)."""
        self.looks += 1
        before, self._known = self._known, {}
        for name, pid, beat in workers:
            seen = self._see(pid)
            if seen is None:
                continue
            known = before.get(pid) or _Known(beat, seen.cpu_s)
            self._known[pid] = known
            moved = beat != known.beat
            known.beat = beat
            who = f"{pid} ({name})"
            if not self._is_stopped(who, pid, known, seen):
                self._judge_cpu(who, pid, known, seen, moved)
            self._judge_kernel(who, known, seen, moved)

    def state_of(self, pid: int) -> str:
        """Return a word for what is wrong with a worker; "" when nothing is known to be."""
        known = self._known.get(pid)
        if known is None:
            return ""
        return "rogue" if known.step else "stopped" if known.stopped else "hangs" if known.hangs else ""

    def _is_stopped(self, who: str, pid: int, known: _Known, seen: Seen) -> bool:
        before, known.stopped = known.stopped, seen.state == psutil.STATUS_STOPPED
        if known.stopped and before:
            self._tell(f"Worker {who} is still stopped: killed", Severity.CRITICAL)
            self._send(pid, signal.SIGKILL)
        elif known.stopped:
            text = f"Worker {who} is stopped: to be killed if it still is at the next look"
            self._tell(text, Severity.WARNING)
        elif before:
            self._tell(f"Worker {who} is not stopped any more", Severity.NONE)
        return known.stopped

    def _judge_cpu(self, who: str, pid: int, known: _Known, seen: Seen, moved: bool) -> None:
        if moved or (known.step and seen.state in _SLEEPING):
            if known.step:
                how = "its beat moves" if moved else "it sleeps"
                self._tell(f"Worker {who} is no rogue any more: {how}", Severity.NONE)
            known.step, known.cpu_s = 0, seen.cpu_s
            return
        used = seen.cpu_s - known.cpu_s
        if used > self._rogue_cpu_s and seen.state == psutil.STATUS_RUNNING:
            signum = STEPS[min(known.step, len(STEPS) - 1)]
            known.step += 1
            text = f"Worker {who} is a rogue, {used:.1f} s of CPU without a sign of life: {signum.name} sent"
            self._tell(text, Severity.CRITICAL)
            self._send(pid, signum)

    def _judge_kernel(self, who: str, known: _Known, seen: Seen, moved: bool) -> None:
        known.hangs = known.hangs + 1 if seen.state == psutil.STATUS_DISK_SLEEP and not moved else 0
        if known.hangs == _HANGS_AT:
            self._tell(f"Worker {who} hangs in the kernel (state D), where no signal reaches it", Severity.WARNING)
