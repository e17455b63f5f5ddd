"""Looks after children whose loop no longer turns: asks for their stack, copies it into the log (P19).

A child proves that it is alive by the beat on the scoreboard, so a busy one is never taken for a stuck one. All
children share one memfd for their stacks, so only one is asked at a time; a child that is stopped cannot
answer and is not asked. The look costs the parent one wake-up in CHECK_S seconds.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from lonc.parent.house import House
from lonc.peers import Input, State, Stuck
from lonc.system.logs import Severity

CHECK_S = 15.0
STUCK_S = 30.0  # a child beats at least every 15 s (house.md 4)
ASK_AGAIN_S = 1.5  # when another one is writing its stack: longer than that takes
STACK_BYTES = 3000
_STOPPED = ("T", "t")


class Watchman:
    """Finds stuck children and tells the table; `next_look` is monotonic seconds."""

    def __init__(self, house: House, give: Callable[[str, Input], None]) -> None:
        self._house = house
        self._give = give
        self._asked = 0  # the pid whose stack is awaited
        self.next_look = house.clock.monotonic() + CHECK_S

    def look(self, now: float) -> None:
        """Report every child that is stuck; where two could both answer, the second has to wait."""
        self.next_look = now + CHECK_S
        self._house.ledger.tell_log()
        if self._asked not in self._house.children:
            self._asked = 0
        for pid, name in list(self._house.children.items()):
            peer = self._house.peers.peer(name)
            if peer.state is not State.UP or peer.kill_at is not None:
                continue
            beat = self._house.ledger.beat(name)
            age = now - max(beat, peer.since)
            if age <= STUCK_S:
                continue
            state = process_state(pid)
            if self._asked and state not in _STOPPED:
                self.next_look = now + ASK_AGAIN_S
                continue
            text = f"Child {pid} of {name} is stuck for {age:.0f} s (process state {state}): to be killed"
            self._house.log.write(text, Severity.CRITICAL)
            self._give(name, Stuck())

    def ask(self, pid: int) -> None:
        """Have a child write its stack, if it can."""
        if self._house.dump_fd < 0 or process_state(pid) in _STOPPED:
            return
        os.ftruncate(self._house.dump_fd, 0)
        os.lseek(self._house.dump_fd, 0, os.SEEK_SET)  # its descriptor shares this position
        self._asked = pid
        os.kill(pid, signal.SIGTRAP)

    def copy_answer(self, name: str, pid: int) -> None:
        """Log what the child wrote, if it is the one that was asked; it is about to be killed."""
        if pid != self._asked:
            return
        self._asked = 0
        text = os.pread(self._house.dump_fd, STACK_BYTES, 0).decode("utf-8", "replace")
        lines = " | ".join(line.strip() for line in text.splitlines() if line.strip())
        self._house.log.write(f"Stack of child {pid} of {name}: {lines or 'no answer'}", Severity.CRITICAL)


def process_state(pid: int) -> str:
    """Return the kernel's letter for what a process does (`man 5 proc`); `?` when it cannot be known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return "?"
    return stat.rpartition(")")[2].split()[0]
