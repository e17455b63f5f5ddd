"""On demand (loncOnDemand): what a child gives back when nobody needs it, first its last link, then itself.

    link READY --- idle for loncIdleTimeout ---> asleep --- a request, a delayed message ---> dialing
    neither client nor link nor message for loncIdleTimeout ---> the child ends (ExitCode.IDLE)

The parent watches the socket of a peer without a child. A child accepts only in its loop and looks at its
clients there, so whoever connects after the last look waits in the socket's backlog for the next child.
Source: lonc.md 3; the order of both is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lonc.child.timers import Timer
from lonc.errors import ExitCode

if TYPE_CHECKING:
    from lonc.child.child import Child


class Demand:
    """Whether anybody needs a link, or this child."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def begin(self) -> None:
        """Look from now on whether the child is needed, if it is one on demand."""
        if self._child.config.on_demand:
            self.look()

    def look(self) -> None:
        """End the child if it has been alone for long enough; else look again when it may have been."""
        child, limit = self._child, self._child.config.idle_timeout_s
        now = child.loop.now
        alone = not child.clients.open and not child.relay.ready and self.may_sleep()
        due = max(child.clients.empty_since, child.links.down_since) + limit if alone else now + limit
        if alone and due <= now:
            child.log.write(f"Nobody asks for {child.host.id}: its child ends until somebody does")
            child.finish(ExitCode.IDLE)
        else:
            child.timers.set(Timer.ALONE, due)

    def may_sleep(self) -> bool:
        """Return whether the last link may be closed: no delayed message waits for it."""
        flush = self._child.flush
        return self._child.serving and not flush.busy and not flush.waiting

    def fell_asleep(self) -> None:
        """Note that the last link was closed for being idle: the next request has the peer dialed."""
        child = self._child
        child.relay.sleep()
        child.outage.rest()
        child.log.status = "Idle"
        child.report.state_changed()

    def wake_for_messages(self) -> None:
        """Have the peer dialed if a delayed message was seen meanwhile."""
        if self._child.relay.asleep and self._child.flush.waiting:
            self._child.relay.wake(self._child.loop.now)

    def wake(self) -> None:
        """Dial: somebody has asked."""
        self._child.relay.link_wanted = False
        self._child.outage.start()
