"""What a child tells of single requests for a while: debug lines, transactions, the trace. Each ends by itself.

Asked for by signals (INT, USR2: lonc.md 2) or by lines of logs/lonc.wanted (wishes.py). A wish acts when it comes,
goes, or gets another end; in between a signal may say otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lonc.child.timers import NEVER, Timer
from lonc.child.trace import Trace
from lonc.child.wishes import DEBUG, TRACE

if TYPE_CHECKING:
    from lonc.child.child import Child

TIME_IS_OVER = "its time is over"


class Loud:
    """The loud times of one child."""

    def __init__(self, child: Child) -> None:
        self.trace = Trace(child)
        self._child = child
        self._lines_until = NEVER  # of debug and transactions (monotonic)
        self._trace_until = NEVER
        self._wished: dict[str, int | None] = {}  # as it was read last

    # --- signals --------------------------------------------------------------------------------------

    def toggle_debug(self) -> None:
        """Debug on or off (INT)."""
        self._set_debug(not self._child.debug, "", None)

    def toggle_transactions(self) -> None:
        """Log every transaction, or stop (USR2)."""
        child = self._child
        on = child.relay.transactions is None
        child.relay.log_transactions(on, child.loop.now)
        child.log.write(f"Transaction logging {'on' if on else 'off'}")
        self._last_for(None)

    # --- wishes ---------------------------------------------------------------------------------------

    def wish(self, wishes: dict[str, int | None]) -> None:
        """Do what is wished now, as far as it has changed since the last time."""
        wall = self._child.context.clock.wall()
        wished = {word: end for word, end in wishes.items() if end is None or end > wall}
        before, self._wished = self._wished, wished
        if DEBUG in wished and (DEBUG not in before or before[DEBUG] != wished[DEBUG]):
            self._set_debug(True, " by lonc.wanted", wished[DEBUG])
        elif DEBUG in before and DEBUG not in wished and self._child.debug:
            self._set_debug(False, " by lonc.wanted", None)
        if TRACE in wished:
            if TRACE not in before or before[TRACE] != wished[TRACE]:
                self._trace_until = self._end_of(wished[TRACE])
                self.trace.begin()
        elif self.trace.on:
            self.trace.end("as lonc.wanted says")
        self._set_timer()

    def _set_debug(self, on: bool, why: str, until: int | None) -> None:
        self._child.debug = on
        self._child.log.write(f"Debug {'on' if on else 'off'}{why}")
        self._last_for(until)

    # --- the end of it --------------------------------------------------------------------------------

    def due(self) -> None:
        """End what has lasted long enough: the watchdog counts the lines (lonc.md 7)."""
        child, now = self._child, self._child.loop.now
        if now >= self._lines_until:
            child.debug = False
            child.relay.log_transactions(False, now)
            child.log.write("Debug and transaction logging off again")
            self._lines_until = NEVER
        if self.trace.on and now >= self._trace_until:
            self.trace.end(TIME_IS_OVER)
        self._set_timer()

    def _end_of(self, until: int | None) -> float:
        """Return the monotonic time of a wish's end; at most loncDebugFor from now, whatever it says."""
        child = self._child
        longest = child.config.debug_for_s
        left = longest if until is None else min(until - child.context.clock.wall(), longest)
        return child.loop.now + left

    def _last_for(self, until: int | None) -> None:
        child = self._child
        loud = child.debug or child.relay.transactions is not None
        self._lines_until = self._end_of(until) if loud else NEVER
        self._set_timer()

    def _set_timer(self) -> None:
        due = min(self._lines_until, self._trace_until if self.trace.on else NEVER)
        if due < NEVER:
            self._child.timers.set(Timer.QUIET, due)
        else:
            self._child.timers.clear(Timer.QUIET)
