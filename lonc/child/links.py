"""All links of a child: which is dialed, when one more is worth having, which is closed for being idle.

One dial is under way at a time. Without a READY link that is the outage's dial (outage.py). With one, a
further link is dialed when all that are READY are taken up (Relay.crowded_at), up to loncMaxConnections; one
that fails disturbs nobody and is not tried again before a pause. A link on which nothing was in flight for
loncIdleTimeout is closed with `exit`, one per second, the last one only with loncOnDemand.
Source: lonc.md 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lonc.child.demand import Demand
from lonc.child.redial import STEADY_S
from lonc.child.tcp import LOOKS_PER_LIMIT
from lonc.child.timers import Timer, Timers
from lonc.child.uplink import Owner, Uplink
from lonc.config import Config
from lonc.loop import Loop
from lonc.relay import Lane, Relay
from lonc.wire.link import LinkState, Note

CLOSE_EVERY_S = 1.0
FIRST_PAUSE_S = 1.0  # after a further link that failed; doubled up to loncRedialMax
_DIALING = (LinkState.CONNECTING, LinkState.GREETING, LinkState.KEYING)


class LinksOwner(Protocol):
    """What the owner of all links is told. `first`: there was no READY link before; `last`: there is none now."""

    def link_moved(self, old: LinkState, new: LinkState) -> None:
        """The state of some link has changed."""

    def link_note(self, note: Note, *, first: bool) -> None:
        """Log what the dialogue has to tell."""

    def link_ready(self, version: str, *, first: bool) -> None:
        """A link is READY."""

    def link_lost(self, reason: str, detail: str, *, was_ready: bool, last: bool) -> None:
        """A link, or a dial, is over."""

    def link_farewell(self, answer: str) -> None:
        """A link was closed in order; lond said `answer`, perhaps nothing."""

    @property
    def demand(self) -> Demand:
        """Who says whether the last link may be closed when it is idle, and is told when it was."""


class Links(Owner):
    """The links of one child. down_since: monotonic; when it was last left without a READY link."""

    def __init__(
        self, owner: LinksOwner, config: Config, make: Callable[[Owner], Uplink],
        loop: Loop, relay: Relay, timers: Timers,
    ) -> None:  # fmt: skip
        """make(self) returns a new uplink."""
        self._owner = owner
        self._config = config
        self._make = make
        self._loop = loop
        self._relay = relay
        self._timers = timers
        self.uplinks = [make(self)]
        self.down_since = loop.now
        self.may_grow = False  # a further link may be dialed: spread() is to be called once per turn
        self._current = self.uplinks[0]  # the one to show: READY, or dialed last
        self._pause_s = 0.0
        self._not_before = 0.0  # of a further dial
        self._closed_at = 0.0  # an idle one
        self._ready_at: dict[Uplink, float] = {}

    # --- what there is --------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Return how many links are not DOWN."""
        return sum(uplink.state is not LinkState.DOWN for uplink in self.uplinks)

    @property
    def dialing(self) -> Uplink | None:
        """Return the one that is on its way to READY, if any."""
        return next((uplink for uplink in self.uplinks if uplink.state in _DIALING), None)

    @property
    def shown(self) -> Uplink:
        """Return the link that speaks for all: one that is READY, else the one dialed last."""
        if self._current.state is not LinkState.READY:
            ready = (uplink for uplink in self.uplinks if uplink.state is LinkState.READY)
            self._current = next(ready, self.dialing or self._current)
        return self._current

    def _of(self, lane: Lane) -> Uplink:
        return next(uplink for uplink in self.uplinks if uplink.lane is lane)

    # --- dialing --------------------------------------------------------------------------------------

    def dial(self) -> None:
        """Dial, unless that is being done already; its end is told."""
        if self.dialing is not None:
            return
        down = next((uplink for uplink in self.uplinks if uplink.state is LinkState.DOWN), None)
        if down is None and len(self.uplinks) >= self._config.max_connections:
            down = next((uplink for uplink in self.uplinks if uplink.state is LinkState.CLOSING), None)
            if down is None:
                return
            down.close("ending", "no answer to exit")  # a link that leaves holds nobody up
        if down is None:
            down = self._make(self)
            self.uplinks.append(down)
        down.dial()

    def spread(self, now: float) -> None:
        """Dial a further link if all that are READY are taken up; else wake up when they may be."""
        at = self._relay.crowded_at()
        if at is None:
            return
        at = max(at, self._not_before)
        if at > now:
            self._timers.sooner(Timer.SPREAD, at)
        else:
            self.dial()

    def _weigh(self) -> None:
        """See whether a further link may be dialed at all."""
        room = self._config.max_connections > 1 and bool(self._relay.ready)
        self.may_grow = room and self.count < self._config.max_connections and self.dialing is None

    def _pause(self, now: float) -> None:
        """A further link failed, or was of no use: wait before the next."""
        self._pause_s = min(max(FIRST_PAUSE_S, self._pause_s * 2), self._config.redial_max_s)
        self._not_before = now + self._pause_s

    # --- once per turn, and by timers -----------------------------------------------------------------

    def push(self) -> None:
        """Give the kernel what is due on each link."""
        if self._relay.pump_due:
            self._relay.pump(self._loop.now)
        for uplink in self.uplinks:
            if uplink.lane.box or uplink.link.state is not LinkState.READY:
                uplink.push()

    def tick(self) -> None:
        """A time limit of connecting, of a dialogue, or of a farewell has passed."""
        now = self._loop.now
        for uplink in self.uplinks:
            if uplink.deadline is not None and uplink.deadline <= now:
                uplink.tick()
        self.link_deadline()

    def watch_peer(self) -> None:
        """While requests are in flight: have the peer looked after in a while, unless that is due already."""
        if not self._relay.quiet:
            self._timers.sooner(Timer.PEER, self._loop.now + self._config.keepalive_s / LOOKS_PER_LIMIT)

    def look_after_peer(self) -> None:
        """End every link whose peer takes nothing and answers no probe either."""
        for uplink in list(self.uplinks):
            uplink.look_after_peer()
        self.watch_peer()

    # --- closing --------------------------------------------------------------------------------------

    def close(self, reason: str, detail: str) -> None:
        """End every link and dial at once, for `reason` (a fixed word)."""
        for uplink in list(self.uplinks):
            uplink.close(reason, detail)

    def close_lane(self, lane: Lane, reason: str, detail: str) -> None:
        """End the link of a lane at once."""
        self._of(lane).close(reason, detail)

    def farewell(self) -> None:
        """Say `exit` on every READY link, with nothing in flight; end what is being dialed."""
        for uplink in list(self.uplinks):
            if uplink.state is LinkState.READY:
                uplink.farewell()
            else:
                uplink.close("ending", "the child ends")

    def farewell_idle(self) -> None:
        """Say `exit` on READY links that nobody needs any more, while others have requests in flight."""
        idle = [lane for lane in self._relay.ready if not lane.in_flight]
        if len(idle) < len(self._relay.ready):
            for lane in idle:
                self._of(lane).farewell()

    def close_idle(self) -> None:
        """Close the link that has been idle for longest, if one has been for long enough; set the next look."""
        now, limit = self._loop.now, self._config.idle_timeout_s
        closable = len(self._relay.ready) > 1 or (self._config.on_demand and self._owner.demand.may_sleep())
        due = now + limit
        if closable and not self._relay.queue:
            idle = [lane for lane in self._relay.ready if not lane.in_flight]
            longest = min(idle, key=lambda lane: lane.head_since, default=None)
            if longest is not None:
                due = max(longest.head_since + limit, self._closed_at + CLOSE_EVERY_S)
                if due <= now:
                    due = now + CLOSE_EVERY_S
                    if self._relay.spare(longest, now):
                        self._closed_at = now
                        self._of(longest).farewell()
                    if not self._relay.ready:
                        self._owner.demand.fell_asleep()
        if len(self._relay.ready) > 1 or (self._config.on_demand and self._relay.ready):
            self._timers.set(Timer.IDLE, due)

    # --- what each link tells -------------------------------------------------------------------------

    def link_deadline(self) -> None:
        """Set the timer for the earliest deadline of all links."""
        deadlines = [uplink.deadline for uplink in self.uplinks if uplink.deadline is not None]
        if deadlines:
            self._timers.set(Timer.LINK, min(deadlines))
        else:
            self._timers.clear(Timer.LINK)

    def link_moved(self, uplink: Uplink, old: LinkState, new: LinkState) -> None:
        """Pass it on; a link that leaves READY may be the last."""
        if old is LinkState.READY and not self._relay.ready:
            self.down_since = self._loop.now
        self._weigh()
        self._owner.link_moved(old, new)

    def link_note(self, uplink: Uplink, note: Note) -> None:
        """Pass it on."""
        self._owner.link_note(note, first=not self._relay.ready)

    def link_ready(self, uplink: Uplink, version: str) -> None:
        """Pass it on."""
        now, first = self._loop.now, len(self._relay.ready) == 1
        self._ready_at[uplink] = now
        self._weigh()
        if not first or self._config.on_demand:
            self._timers.sooner(Timer.IDLE, now + self._config.idle_timeout_s)
        self._owner.link_ready(version, first=first)

    def link_lost(self, uplink: Uplink, reason: str, detail: str, was_ready: bool) -> None:
        """Pass it on, and see that a further link that fails is not dialed in a loop."""
        now, last = self._loop.now, not self._relay.ready
        lasted_s = now - self._ready_at.pop(uplink, now)
        if last or lasted_s >= STEADY_S:
            self._pause_s = 0.0
        else:
            self._pause(now)
        self._weigh()
        self._owner.link_lost(reason, detail, was_ready=was_ready, last=last)

    def link_farewell(self, uplink: Uplink, answer: str) -> None:
        """Pass it on."""
        self._ready_at.pop(uplink, None)
        self._weigh()
        self._owner.link_farewell(answer)
