"""What a child tells the world of itself: title, status block, scoreboard; and what the world wishes of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lonc.child.wishes import DEBUG, PAUSED, wishes_for
from lonc.system.clock import ctime
from lonc.system.logs import Severity
from lonc.system.scoreboard import ChildRecord
from lonc.system.status import ProcessLine, append_block
from lonc.system.titles import set_title
from lonc.wire.link import LinkState

if TYPE_CHECKING:
    from lonc.child.child import Child


class Report:
    """Shows one child. paused: the operator wants no link to this peer."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._since_wall = child.context.clock.wall()
        self._title = ""
        self.paused = False
        self._wished_debug = False

    # --- title and status file ------------------------------------------------------------------------

    @property
    def dead(self) -> bool:
        """Return whether there is no link and the grace is over, so that every request is lost."""
        return not self._child.relay.lane.ready and self._child.relay.grace_until is None

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
            count = 1 if child.uplink.link.state is not LinkState.DOWN else 0
            left = max(0, child.config.max_attempts - child.attempts)
            title = f"lonc: {child.host.id} Connection count: {count} Retries remaining: {left} (insecure)"
        if title != self._title:
            self._title = title
            set_title(f"{title} {ctime(self._since_wall)}")

    def append_status(self) -> None:
        """Append this child's block to the status file (USR1)."""
        child = self._child
        trouble = append_block(
            child.config.status_path,
            ProcessLine(
                os.getpid(), child.host.id, child.log.status_text, child.log.last_line, child.log.trouble
            ),
            files=child.context.files,
            connections=[self.connection_state()],
        )
        if trouble:
            child.warn(f"Status file: {trouble}")

    def connection_state(self) -> str:
        """Return the state of the link in loncnew's words (spec files.md 5)."""
        child = self._child
        lane = child.relay.lane
        if child.uplink.state is not LinkState.READY or not lane.in_flight:
            return child.uplink.step
        return "SendingRequest" if lane.box else "ReceivingReply"

    # --- scoreboard -----------------------------------------------------------------------------------

    def write_board(self) -> None:
        """Write this child's part of its slot; a beat as well."""
        child = self._child
        relay, uplink, now = child.relay, child.uplink, child.loop.now
        counters = relay.counters
        child.context.board.write_child(
            child.context.slot,
            ChildRecord(
                pid=os.getpid(),
                state=child.uplink.state.value,
                step=self.connection_state(),
                since=self._since_wall,
                why=child.last_failure,
                address=uplink.address,
                version=uplink.link.peer_version,
                beat=now,
                clients=len(child.clients.open),
                in_flight=len(relay.lane.in_flight),
                queued=len(relay.queue),
                delayed=child.flush.waiting,
                oldest_delayed=child.flush.oldest_wall or 0.0,
                requests=relay.requests,
                replies=counters.replies,
                con_lost=counters.con_lost,
                rejected=counters.rejected + child.flush.rejected,
                bytes_in=uplink.bytes_in,
                bytes_out=uplink.bytes_out,
                links_opened=uplink.opened,
                delayed_sent=child.flush.sent,
                ready_since=child.redial.ready_since or 0.0,
                longest_ready_s=child.redial.longest_ready_s,
                latency_us=counters.latency_us,
                next_try=child.next_try(),
                lost_lines=child.log.lost,
                last_line=child.log.last_line,
            ),
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
        if (DEBUG in wishes) != self._wished_debug:
            self._wished_debug = child.debug = DEBUG in wishes
        if (PAUSED in wishes) != self.paused:
            self.paused = PAUSED in wishes
            child.log.write(f"{'Paused' if self.paused else 'Resumed'} by lonc.wanted", Severity.NONE)
            child.pause() if self.paused else child.resume()
