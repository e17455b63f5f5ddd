"""What a child tells the world of itself: title, status block, scoreboard; and what the world wishes of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lonc.child.loud import Loud
from lonc.child.uplink import Uplink
from lonc.child.wishes import PAUSED, wishes_for
from lonc.system.clock import ctime
from lonc.system.logs import Severity
from lonc.system.scoreboard import ChildRecord
from lonc.system.status import ProcessLine, append_block
from lonc.system.titles import set_title
from lonc.wire.link import LinkState

if TYPE_CHECKING:
    from lonc.child.child import Child


def connection_state(uplink: Uplink) -> str:
    """Return the state of a link in loncnew's words (spec files.md 5)."""
    if uplink.state is not LinkState.READY or not uplink.lane.in_flight:
        return uplink.step
    return "SendingRequest" if uplink.lane.box else "ReceivingReply"


class Report:
    """Shows one child. paused: the operator wants no link to this peer."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._since_wall = child.context.clock.wall()
        self._title = ""
        self.paused = False
        self.loud = Loud(child)

    # --- title and status file ------------------------------------------------------------------------

    @property
    def dead(self) -> bool:
        """Return whether there is no link and the grace is over, so that every request is lost."""
        relay = self._child.relay
        return not relay.ready and not relay.asleep and relay.grace_until is None

    def state_changed(self) -> None:
        """Show a new state at once in the title and on the scoreboard."""
        self._since_wall = self._child.context.clock.wall()
        self.show_title()
        self.write_board()

    def show_title(self) -> None:
        """Set the title if what it says has changed (spec files.md 6)."""
        child = self._child
        if self.dead:
            title = f"lonc: {child.host.id} >>> DEAD !!!! <<<"
        else:
            left = max(0, child.config.max_attempts - child.attempts)
            count = f"Connection count: {child.links.count}"
            title = f"lonc: {child.host.id} {count} Retries remaining: {left} (insecure)"
        if title != self._title:
            self._title = title
            set_title(f"{title} {ctime(self._since_wall)}")

    def append_status(self) -> None:
        """Append this child's block to the status file (USR1)."""
        child = self._child
        trouble = append_block(
            child.config.status_path,
            ProcessLine(os.getpid(), child.host.id, child.log.status_text, child.log.last_line, child.log.trouble),
            files=child.context.files,
            connections=self._connection_states(),
        )
        if trouble:
            child.warn(f"Status file: {trouble}")

    def _connection_states(self) -> list[str]:
        """Return the state of every link that is not DOWN; of the one to show when all are."""
        links = self._child.links
        up = [uplink for uplink in links.uplinks if uplink.state is not LinkState.DOWN]
        return [connection_state(uplink) for uplink in up or [links.shown]]

    # --- scoreboard -----------------------------------------------------------------------------------

    def write_board(self) -> None:
        """Write this child's part of its slot; a beat as well."""
        self.loud.trace.flush()
        self._child.context.board.write_child(self._child.context.slot, self._record())

    def _record(self) -> ChildRecord:
        child = self._child
        relay, shown, now = child.relay, child.links.shown, child.loop.now
        uplinks, redial, counters = child.links.uplinks, child.outage.redial, relay.counters
        return ChildRecord(
            pid=os.getpid(),
            state=shown.state.value,
            step=connection_state(shown),
            since=self._since_wall,
            why=child.outage.last_failure,
            address=shown.address,
            version=shown.link.peer_version,
            beat=now,
            clients=len(child.clients.open),
            links=len(relay.ready),
            in_flight=relay.in_flight,
            queued=relay.waiting,
            delayed=child.flush.waiting,
            oldest_delayed=child.flush.oldest_wall or 0.0,
            requests=relay.requests,
            replies=counters.replies,
            con_lost=counters.con_lost,
            rejected=counters.rejected + child.flush.rejected,
            bytes_in=sum(uplink.bytes_in for uplink in uplinks),
            bytes_out=sum(uplink.bytes_out for uplink in uplinks),
            links_opened=sum(uplink.opened for uplink in uplinks),
            delayed_sent=child.flush.sent,
            ready_since=redial.ready_since or 0.0,
            longest_ready_s=redial.longest_ready_s,
            latency_us=counters.latency_us,
            next_try=child.outage.next_try(),
            down_since=redial.since or 0.0,
            waiting_since=min((lane.head_since for lane in relay.ready if lane.in_flight), default=0.0),
            lost_lines=child.log.lost,
            last_line=child.log.last_line,
            log_trouble=child.log.trouble,
            warning=child.log.warning,
            warned=child.log.warned,
        )

    # --- wishes ---------------------------------------------------------------------------------------

    def read_wishes(self) -> None:
        """Read what the operator wishes for this peer, and act when it has changed."""
        child = self._child
        try:
            wishes = wishes_for(child.config.wanted_path, child.host.id, child.context.files)
        except OSError as error:
            child.warn(f"{child.config.wanted_path} cannot be read: {error.strerror}")
            return
        self.loud.wish(wishes)
        paused = wishes.get(PAUSED, 0) is None  # a pause has no end of its own
        if paused != self.paused:
            self.paused = paused
            child.log.write(f"{'Paused' if self.paused else 'Resumed'} by lonc.wanted", Severity.NONE)
            child.pause() if self.paused else child.resume()
