"""One worker: accepts, serves its clients side by side, tells the parent how busy it is, leaves in order."""

from __future__ import annotations

from lonc.loop import Loop
from lonc.system.logs import Log
from lonc.system.scoreboard import ChildRecord


class Worker:
    """A worker as its service sees it.

    number: 1, 2, ... (0 where the process itself accepts); name: `w1`. forked: whether it is a process of its own.
    record: its counters on the scoreboard (requests, replies, bytes ...), written out a moment after a change.
    """

    number: int
    name: str
    forked: bool
    loop: Loop
    log: Log
    record: ChildRecord

    def tell(self, word: bytes) -> None:
        """Have Pool.on_word called with this word in the parent. ValueError: longer than 4 KiB."""
        raise NotImplementedError

    def show(self, text: str) -> None:
        """Show what the worker is doing: its title, its status in the log, its state on the scoreboard."""
        raise NotImplementedError

    def beat(self) -> None:
        """Tell that this worker lives: for work that takes longer than one turn of the loop."""
        raise NotImplementedError
