"""One child: the process that serves one peer. Sockets, signals and timers in; relay, link and flush out.

    turn: wait -> callbacks (clients read, link read) -> what is due -> one send for the link, one per client

Its end is a small ladder that is only climbed: SERVING, DRAINING (clients that are there are served until
they hang up, at most loncHandover), CLOSING (nobody is asked any more, everything is answered), LEAVING
(`exit` was said to lond). The stop time cuts all of it short.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from lonc import __version__
from lonc.child.connection import Clients
from lonc.child.context import ChildContext
from lonc.child.demand import Demand
from lonc.child.flush import Flush
from lonc.child.links import Links
from lonc.child.outage import Outage
from lonc.child.report import Report
from lonc.child.resolver import Resolver
from lonc.child.timers import Timer, Timers
from lonc.child.uplink import Owner, Uplink
from lonc.child.users import allowed_uids
from lonc.delayed import DelayedQueue
from lonc.errors import ExitCode
from lonc.loop import Loop
from lonc.relay import Relay
from lonc.system import allocator
from lonc.system.logs import PermLog, RepeatedWarnings, Severity, daemon_log, shown_command
from lonc.wire.link import LinkState, Note

VERSION = f"lonc-{__version__}".encode()
UPKEEP_S = 15.0  # the parent takes a child whose beat is older than twice that for stuck
FAREWELL_S = 1.0
ORPHAN_S = 1.5  # an orphan is gone within 2 s (P20)
BOARD_S = 0.1
CLOSE_S = 1.0  # for what is in flight at close_connection_exit: it is meant for links that hang


class Stage(IntEnum):
    """How far a child is on its way out."""

    SERVING = 0
    DRAINING = 1
    CLOSING = 2
    LEAVING = 3
    GONE = 4


class Child:
    """The serving of one peer, from the fork to the exit code."""

    def __init__(self, context: ChildContext) -> None:
        self.context = context
        self.config = config = context.config
        self.host = context.host
        self.log = daemon_log(config, files=context.files, clock=context.clock, who=context.host.id)
        self.loop = Loop(context.clock)
        self.timers = Timers()
        self.stage = Stage.SERVING
        self.code = ExitCode.OK
        self.attempts = context.attempts
        self.debug = False
        self.warnings = RepeatedWarnings(context.clock)
        self.relay = self._make_relay()
        self._carried = self.relay.activity  # at the last upkeep
        self.links = Links(self, config, self._make_uplink, self.loop, self.relay, self.timers)
        self.outage = Outage(self)
        self.demand = Demand(self)
        self.clients = self._make_clients()
        self.flush = self._make_flush()
        self.report = Report(self)
        self._board_due, self._board_mark = False, self.relay.activity  # due: what is new will be shown
        self._actions: dict[Timer, Callable[[], None]] = {
            Timer.UPKEEP: self._upkeep,
            Timer.DIAL: self.outage.dial,
            Timer.LINK: self.links.tick,
            Timer.PEER: self.links.look_after_peer,
            Timer.SPREAD: lambda: None,  # the turn itself looks (serve)
            Timer.IDLE: self.links.close_idle,
            Timer.ALONE: self.demand.look,
            Timer.GIVE_UP: self.outage.give_up,
            Timer.FLUSH: lambda: self.flush.advance(self.loop.now),
            Timer.BOARD: self._write_board,
            Timer.ACCEPT: self.clients.resume,
            Timer.HANDOVER: self._stop_asking,
            Timer.STOP: self._stop_now,
            Timer.QUIET: self.report.loud.due,
        }

    def _make_relay(self) -> Relay:
        config = self.config
        return Relay(
            pipeline=config.pipeline, request_timeout_s=config.request_timeout_s,
            delayed_timeout_s=config.delayed_timeout_s, grace_s=config.grace_s,
            max_line_bytes=config.max_line_bytes, client_buffer_bytes=config.client_buffer_bytes,
            now=self.loop.now, spread_after_s=config.spread_after_ms / 1000,
        )  # fmt: skip

    def _make_uplink(self, owner: Owner) -> Uplink:
        return Uplink(
            owner, self.config, self.host, VERSION, loop=self.loop, relay=self.relay, resolver=Resolver(self.loop)
        )  # fmt: skip

    def _make_clients(self) -> Clients:
        config = self.config
        return Clients(
            self.context.listener, self.loop, self.relay,
            max_clients=config.max_clients, max_line_bytes=config.max_line_bytes,
            buffer_bytes=config.client_buffer_bytes, allowed_uids=allowed_uids(config.allow_users),
            tell=self.warn, pause=lambda seconds: self.timers.set(Timer.ACCEPT, self.loop.now + seconds),
        )  # fmt: skip

    def _make_flush(self) -> Flush:
        config, files, clock = self.config, self.context.files, self.context.clock
        queue = DelayedQueue(
            config.delayed_dir, self.host.id, self.context.peers, files=files, clock=clock,
            max_line_bytes=config.max_line_bytes, retry_max_s=config.retry_max_s,
            keys_path=config.keys_path,
            tells=False if config.on_demand else None,  # what concerns no peer the parent tells then (errands)
        )  # fmt: skip
        perm_log = PermLog(config.perm_log_path, files=files, clock=clock, log=self.log)
        return Flush(
            queue, self.relay, self.log, perm_log, config, self.host.id, warn=self.warn,
            wake=lambda at: self.timers.sooner(Timer.FLUSH, at), no_reply=self._message_unanswered,
        )  # fmt: skip

    # --- the loop -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take the first step: dial, accept, report. Signal handlers are set by the caller."""
        self.loop.watch(self.context.lifeline_fd, self._parent_is_gone)
        self.clients.resume()
        self.outage.begin()
        self.demand.begin()
        self.report.read_wishes()
        self._upkeep()
        self.report.show_title()

    def serve(self) -> ExitCode:
        """Serve until the end; return how it ended."""
        loop, relay, timers, links = self.loop, self.relay, self.timers, self.links
        while self.stage is not Stage.GONE:
            now = loop.turn(min(timers.next, relay.wake_at))
            if now >= relay.wake_at:
                self._relay_due()
            if now >= timers.next:
                for timer in timers.due(now):
                    self._actions[timer]()
            if self.flush.busy:
                self.flush.advance(now)
            links.push()
            if links.may_grow and self.wants_links:
                links.spread(now)
            while relay.dirty:
                self._attend()
            if self.flush.behind:
                self.flush.meanwhile()
            if not self._board_due and relay.activity != self._board_mark:
                self._board_due = True
                timers.sooner(Timer.BOARD, now + BOARD_S)
            if relay.transactions or relay.complaints:
                self._tell_of_replies()
            if relay.link_wanted:
                self.demand.wake()
            if relay.close_asked or self.stage is not Stage.SERVING:
                self._climb()
        return self.code

    def _attend(self) -> None:
        """One send for each client that is owed something."""
        dirty, self.relay.dirty = self.relay.dirty, []
        for client in dirty:
            client.dirty = False
            if not client.gone:
                client.attend()

    def _tell_of_replies(self) -> None:
        complaints, self.relay.complaints = self.relay.complaints, []
        for text in dict.fromkeys(complaints):
            self.warn(text, about="replies")
        if self.relay.transactions:
            transactions, self.relay.transactions = self.relay.transactions, []
            for line, seconds, size in transactions:
                text = f"{shown_command(line)} answered after {seconds * 1000:.1f} ms with {size} bytes"
                self.log.write(text, Severity.SUCCESS)

    def _relay_due(self) -> None:
        grace = self.relay.grace_until
        for lane, late in self.relay.tick(self.loop.now):
            self.log.write(f"Timeout: {shown_command(late.line)}", Severity.WARNING)
            self.links.close_lane(lane, "timeout", "a request was not answered in time")
        if grace is not None and self.relay.grace_until is None and not self.relay.ready:
            self.report.state_changed()  # dead, as the title has it

    # --- what the links tell --------------------------------------------------------------------------

    def link_note(self, note: Note, *, first: bool) -> None:
        """Log what the dialogue tells; of further links only what is worth a warning."""
        if note.warning:
            self.warn(note.text)
        elif first or self.debug:
            self.log.write(note.text)

    def link_ready(self, version: str, *, first: bool) -> None:
        """A link is READY: delayed messages first, then whoever waits."""
        if first:
            self.outage.over()
            self.log.status = f"Online, version {version}" if version else "Online"
            self.log.write(f"{self.host.id} online")
            self.warnings.forget(f"{self.host.id} dial")
        else:
            self.log.write(f"{self.host.id}: {len(self.relay.ready)} links")
        self.report.state_changed()
        if self.stage < Stage.LEAVING:
            self.flush.look(self.loop.now, force=True)

    def link_lost(self, reason: str, detail: str, *, was_ready: bool, last: bool) -> None:
        """A link or a dial is over: tell it; without a READY link, dial again when the time has come."""
        self.outage.last_failure = f"{reason}: {detail}"
        if was_ready:
            self._tell_lost(detail, last=last)
            if last or self.flush.cut:
                self.flush.link_lost(self.loop.now)
            if last:
                self.outage.link_lost()
            elif self.stage < Stage.LEAVING:
                self.flush.look(self.loop.now, force=True)
        elif last:
            self.outage.dial_failed(reason, detail)
        else:
            text = f"No further link to {self.host.id}: {detail}"
            self.warn(text, reason="whatever it was this time", about="further link")
        self.report.state_changed()

    def _tell_lost(self, detail: str, *, last: bool) -> None:
        ordered = self.stage >= Stage.CLOSING or self.report.paused
        severity = Severity.NONE if ordered else Severity.CRITICAL
        if last:
            self.log.status = "Link lost"
            self.log.write(f"Link to {self.host.id} lost: {detail}", severity)
        else:
            left = len(self.relay.ready)
            self.log.write(f"Link to {self.host.id} lost, {left} left: {detail}", severity)

    def link_farewell(self, answer: str) -> None:
        """lond has answered `exit`, or not in time: leave, if that was the last link of a child that ends."""
        self.log.write(f"Closing {self.host.id}: {answer or 'no answer'}")
        if self.stage is not Stage.LEAVING:
            self.report.state_changed()
        elif not self.links.count:
            self._leave()

    def link_moved(self, old: LinkState, new: LinkState) -> None:
        """A link changed its state: the scoreboard shows where it stands, or hangs, a moment later."""
        self.timers.sooner(Timer.BOARD, self.loop.now + BOARD_S)
        if self.debug:
            self.log.write(f"Link {old.value} -> {new.value}")

    def warn(self, text: str, *, reason: str | None = None, about: str = "") -> None:
        """Log a WARNING, unless the last one about the same thing had the same reason, less than 10 min ago."""
        line = self.warnings.pass_on(f"{self.host.id} {about}", reason or text, text)
        if line is not None:
            self.log.write(line, Severity.WARNING)
        else:
            self.log.warn_again(text)

    def _message_unanswered(self) -> None:
        if self.relay.delayed_lane is not None:
            self.links.close_lane(self.relay.delayed_lane, "no_reply", "a delayed message was not answered")

    # --- links are wanted, or not ---------------------------------------------------------------------

    @property
    def wants_links(self) -> bool:
        """Return whether the peer is to be dialed when there is no link."""
        return self.stage < Stage.CLOSING and not self.report.paused

    @property
    def serving(self) -> bool:
        """Return whether nothing has ended or paused this child's work."""
        return self.stage is Stage.SERVING and not self.report.paused

    def pause(self) -> None:
        """Have no link until resume(): every request is answered con_lost, delayed messages stay."""
        self.outage.suspend()
        self.links.close("paused", "paused by the operator")
        self.relay.grace_until, self.relay.asleep = None, False
        self.relay.quit_waiting()
        self.report.state_changed()

    def resume(self) -> None:
        """Dial again after pause()."""
        self.outage.start()

    # --- upkeep ---------------------------------------------------------------------------------------

    def _upkeep(self) -> None:
        now = self.loop.now
        self.timers.set(Timer.UPKEEP, now + min(UPKEEP_S, self.config.delayed_scan_s))
        redial = self.outage.redial
        redial.count_ready(now)
        if self.attempts and redial.longest_ready_s >= self.config.stable_after_s:
            self.attempts = 0
            self.report.state_changed()
        self.flush.look(now)
        self.demand.wake_for_messages()
        self._write_board()
        if self.relay.activity != self._carried:
            self._carried = self.relay.activity
            allocator.give_back()  # a long line may have left far more than it is worth keeping

    def _write_board(self) -> None:
        self.timers.clear(Timer.BOARD)
        self._board_due, self._board_mark = False, self.relay.activity
        self.report.write_board()
        self.links.watch_peer()

    # --- the way out ----------------------------------------------------------------------------------

    def _parent_is_gone(self, _mask: int) -> None:
        self.loop.unwatch(self.context.lifeline_fd)
        self.code = ExitCode.ORPHANED
        self.log.write("The parent is gone: this child ends", Severity.WARNING)
        self.drain(ORPHAN_S)

    def drain(self, within_s: float) -> None:
        """End in order: no new clients, everything answered, `exit` to lond; all within `within_s`."""
        now = self.loop.now
        self.timers.sooner(Timer.STOP, now + within_s)
        if self.stage is Stage.SERVING:
            self.stage = Stage.DRAINING
            self.clients.stop_accepting()
            self.flush.stop()
            self.timers.clear(Timer.GIVE_UP)
            self.timers.set(Timer.HANDOVER, now + min(self.config.handover_s, within_s / 2))
            self.report.state_changed()

    def _stop_asking(self) -> None:
        """Ask nobody any more; what clients have written until now is answered."""
        self.timers.clear(Timer.HANDOVER)
        if self.stage < Stage.CLOSING:
            self.stage = Stage.CLOSING
            self.clients.stop_asking()
            self.links.push()

    def _climb(self) -> None:
        """Go on as far as the ladder goes at this moment."""
        if self.relay.close_asked and self.stage < Stage.CLOSING:
            self.log.write("Request Close Connection ... exiting", Severity.CRITICAL)
            self.code = ExitCode.CLOSED
            self.drain(CLOSE_S)
            self._stop_asking()
        if self.stage in (Stage.DRAINING, Stage.CLOSING) and not self.clients.open:
            self._stop_asking()
            if not self.relay.ready:
                self._leave()
            elif self.relay.quiet and not self.flush.busy:
                self.stage = Stage.LEAVING
                self.timers.sooner(Timer.STOP, self.loop.now + FAREWELL_S)
                self.links.farewell()
                self.links.push()
        elif self.stage is Stage.CLOSING and not self.relay.waiting and not self.flush.busy:
            self.links.farewell_idle()

    def finish(self, code: ExitCode) -> None:
        """End now: what waits is answered con_lost as far as clients take it, and the child leaves."""
        self.code = code
        self.clients.stop_accepting()
        self._stop_now()

    def _stop_now(self) -> None:
        if self.stage >= Stage.LEAVING:
            self.links.close("timeout", "no answer to exit")  # tells link_farewell
            self._leave()
            return
        self.stage = Stage.CLOSING
        self.links.close("ending", "the child ends")
        self.relay.grace_until = None
        self.relay.quit_waiting()
        self.clients.stop_asking()
        while self.relay.dirty:
            self._attend()
        self.clients.close_all()
        self._leave()

    def _leave(self) -> None:
        if self.stage is not Stage.GONE:
            self.stage = Stage.GONE
            self.links.close("ending", "the child ends")
            self.outage.redial.count_ready(self.loop.now)
            self.report.write_board()
