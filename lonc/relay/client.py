"""One client of the UNIX socket as the relay sees it: what it asked, what it is owed, and in which order.

Requests of a client are numbered as they come. `turn` is the number whose answer goes out next; an answer
that is known before its turn waits in `early`. An answer whose number has passed is dropped: that is how a
request that was given up stays in the queue, so that replies still match, without anybody hearing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lonc.wire.lines import Line, LineBuffer
from lonc.wire.outbox import Outbox
from lonc.wire.words import ENCRYPT

if TYPE_CHECKING:
    from lonc.relay.lane import Lane


class Client:
    """Requests and answers of one client. Whoever owns the socket derives its own class from this one."""

    __slots__ = (
        "box",
        "buffer",
        "dirty",
        "early",
        "finishing",
        "full",
        "gone",
        "issued",
        "lane",
        "last",
        "plain",
        "queued",
        "turn",
    )

    def __init__(self, max_line_bytes: int) -> None:
        # `encrypt:` itself does not count: the limit is the command's (spec wire.md 4).
        self.buffer = LineBuffer(max_line_bytes + len(ENCRYPT))
        self.box = Outbox(keep_lines=False)  # answers on their way out
        self.issued = 0  # number of the next request
        self.turn = 0  # number of the next answer to go out
        self.early: dict[int, Line] = {}
        self.lane: Lane | None = None  # the link that request `last` went to, when there were several
        self.last = -1
        self.queued = 0  # bytes of its requests that wait in the relay's queue, newlines included
        self.full = False  # more of it waits than may: it is read no further until that has changed
        self.plain = True  # nothing early, not gone: the hot path may write to the box directly
        self.finishing = False  # no more requests: closed when all is answered and taken
        self.gone = False  # closed; its answers are dropped
        self.dirty = False  # listed for the end of this turn

    @property
    def waiting(self) -> int:
        """Return how many of its requests have no answer yet."""
        return self.issued - self.turn

    @property
    def bound(self) -> Lane | None:
        """Return the link on which a request of this client is unanswered: the next one follows it there.

        On one connection lond works in order; on two, a client's second request might overtake its first.
        """
        lane = self.lane
        return lane if lane is not None and self.turn <= self.last and lane.ready else None

    @property
    def finished(self) -> bool:
        """Return whether nothing more will be asked or said."""
        return self.finishing and self.turn == self.issued and not self.box

    def settle(self, number: int, line: Line) -> bool:
        """Give request `number` its answer; return False when it had one already or nobody wants it."""
        if self.gone or number < self.turn or number in self.early:
            return False
        if number > self.turn:
            self.early[number] = line
            self.plain = False
            return True
        self.box.put(line)
        self.turn += 1
        while self.early and self.turn in self.early:
            self.box.put(self.early.pop(self.turn))
            self.turn += 1
        self.plain = not self.early
        return True

    def owed(self, number: int) -> bool:
        """Return whether request `number` still waits for an answer that somebody wants."""
        return not self.gone and number >= self.turn and number not in self.early

    def attend(self) -> None:
        """Send what is owed and watch what is wanted; called once per turn for those listed as dirty."""
        raise NotImplementedError("whoever owns the socket says how")

    def forget(self) -> None:
        """Note that its socket is closed: what it asked stays in the queue, what it is owed is dropped."""
        self.gone = True
        self.plain = False
        self.box.clear()
        self.early.clear()
