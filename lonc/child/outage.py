"""An outage: the time without a READY link. When the peer is dialed, what is told, and when it is given up.

It begins with the child's life, and each time the last READY link is lost. On demand there is a time
without a link that is none: the last link was closed for being idle, and nobody wants another (Relay.asleep).
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from lonc.child.redial import Redial
from lonc.child.timers import NEVER, Timer
from lonc.child.uplink import NO_CONNECTION, UNRESOLVED
from lonc.errors import ExitCode
from lonc.system.logs import Severity

if TYPE_CHECKING:
    from lonc.child.child import Child


class Outage:
    """The dialing of one child. last_failure: reason and detail of what ended a link or a dial last."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.redial = Redial(child.config.redial_max_s, child.loop.now)
        self.last_failure = ""
        self._tired = False  # it has lasted long enough: the next dial that fails is the last

    def begin(self) -> None:
        """Dial at once; it counts from now."""
        self._set_give_up()
        self._child.timers.set(Timer.DIAL, self._child.loop.now)

    # --- its end, and the next ------------------------------------------------------------------------

    def over(self) -> None:
        """Note that a link is READY."""
        self._child.timers.clear(Timer.DIAL, Timer.GIVE_UP)
        self.redial.ready(self._child.loop.now)
        self.last_failure, self._tired = "", False

    def link_lost(self) -> None:
        """Note that the last READY link was lost: dial again, mostly at once."""
        self._set_give_up()
        self._dial_at(self.redial.lost(self._child.loop.now, random.random()))

    def dial_failed(self, reason: str, detail: str) -> None:
        """Tell that a dial has failed, and dial again when the time has come."""
        now = self._child.loop.now
        self._tell(reason, detail, self.redial.outage_s(now))
        dial_at = self.redial.failed(now, random.random())
        if self._tired:
            self._child.timers.set(Timer.GIVE_UP, now)
        self._dial_at(dial_at)

    def _tell(self, reason: str, detail: str, outage_s: float) -> None:
        child = self._child
        connected = reason not in (NO_CONNECTION, UNRESOLVED) and not detail.startswith("no connection")
        words = "Init failed" if connected else f"Couldn't connect to {child.host.id}"
        child.log.status = "Trying to connect"
        child.warn(f"{words} ({outage_s:.0f} secs): {detail}", reason=f"{words} {reason} {detail}", about="dial")

    # --- dialing --------------------------------------------------------------------------------------

    def _dial_at(self, at: float) -> None:
        if self._child.wants_links:
            self._child.timers.set(Timer.DIAL, at)

    def dial(self) -> None:
        """Dial now, unless there is a link or a dial is under way."""
        child = self._child
        child.timers.clear(Timer.DIAL)
        if not child.relay.ready and child.links.dialing is None:
            self.redial.dialed(child.loop.now)
            child.links.dial()
            child.report.state_changed()

    def next_try(self) -> float:
        """Return when the peer is dialed next (monotonic seconds), 0.0 when no dial is due."""
        at = self._child.timers.at(Timer.DIAL)
        return at if at < NEVER else 0.0

    def redial_now(self) -> None:
        """Dial at once if a pause is running (USR1, a peer that is said to be back)."""
        if self._child.timers.at(Timer.DIAL) < NEVER:
            self.redial.hurry()
            self.dial()

    def start(self) -> None:
        """Begin a new outage: nobody wanted a link until now."""
        self.redial.again(self._child.loop.now)
        self._set_give_up()
        self.dial()

    def rest(self) -> None:
        """Note that nobody wants a link until start(): this is no outage."""
        self.suspend()
        self.redial.rest(self._child.loop.now)

    def suspend(self) -> None:
        """Dial no more until start()."""
        self._child.timers.clear(Timer.DIAL, Timer.GIVE_UP)

    # --- giving up ------------------------------------------------------------------------------------

    def _set_give_up(self) -> None:
        config, timers = self._child.config, self._child.timers
        self._tired = False
        if config.max_attempts:
            pause = random.uniform(config.retry_min_s, max(config.retry_min_s, config.retry_max_s))
            timers.set(Timer.GIVE_UP, self._child.loop.now + pause)

    def give_up(self) -> None:
        """It has lasted for the pause of the original: end the child, after the dial under way if there is one."""
        child = self._child
        if child.links.dialing is not None:
            self._tired = True  # it may be this one that reaches the peer
        elif child.serving and not child.relay.ready:
            text = f"Giving up on {child.host.id} for now: {self.last_failure}"
            child.log.write(text, Severity.WARNING)
            child.finish(ExitCode.GAVE_UP)
