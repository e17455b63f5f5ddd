"""Delayed messages on their way: one flush per peer at a time, first and in order.

    IDLE      nothing to send, as far as the last look saw; clients go
    LOCKING   messages wait, another process still flushes for this peer; clients wait for a while
    DRAINING  messages wait for the clients' requests in flight to come home; new ones are held back
    SENDING   messages go out, loncDelayedPipeline at a time; clients wait

A look at the directory is made on every new link, at every upkeep, when a young message becomes old, and
on USR1. What it finds decides; what a reply means is decided by the spec's table of failures.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from lonc.config import Config
from lonc.delayed import DelayedQueue, Done, DoneKind, Entry, Gone, Look, Message, Reading, SetAside, Young
from lonc.delayed.survey import PARK_AFTER
from lonc.delayed.watch import Ages
from lonc.relay import Relay
from lonc.system.logs import Log, PermLog, Severity, perm_command, shown_command, shown_reply
from lonc.wire.lines import Line, whole
from lonc.wire.words import is_failure

LOCK_RETRY_S = 0.1
LOCK_PATIENCE_S = 5.0  # then clients go on: whoever flushes there is not an orphan about to end
HELD_S = Ages().young_s  # the longest that a client waits for a young message
FILES_PER_TURN = 100  # that turn out to be no messages: the rest of the loop must have its turn
# TIME.COUNTER.PID.WORD.PEER: lonnet makes WORD of the first characters of the command, which with a short
# domain and user reach into a password (P30). A star in its place still finds the file in a shell.
_NAME = re.compile(r"(?<![0-9.])([0-9]+\.[0-9]+\.[0-9]+)\.[^./]*\.")


def shown_names(text: str) -> str:
    """Return text with the part of every delayed file's name that holds request text as a star."""
    return _NAME.sub(r"\1.*.", text)


class Warn(Protocol):
    """Logs a WARNING, held back while one about the same thing had the same reason (Child.warn)."""

    def __call__(self, text: str, *, reason: str | None = None, about: str = "") -> None: ...


class FlushState(Enum):
    """What the flush is at; the module's docstring says what each means."""

    IDLE = "idle"
    LOCKING = "locking"
    DRAINING = "draining"
    SENDING = "sending"


class Flush:
    """Sends the delayed messages of one peer through the relay. waiting, oldest_wall: as the last look saw."""

    def __init__(
        self, queue: DelayedQueue, relay: Relay, log: Log, perm_log: PermLog, config: Config, peer: str,
        *, warn: Warn, wake: Callable[[float], None], no_reply: Callable[[], None],
    ) -> None:  # fmt: skip
        """wake(at) has `advance` called at that time; no_reply() closes the link, which failed a message."""
        self.state = FlushState.IDLE
        self.sent = 0
        self.rejected = 0
        self.waiting = 0
        self.oldest_wall: float | None = None
        self._queue = queue
        self._relay = relay
        self._log = log
        self._perm_log = perm_log
        self._config = config
        self._peer = peer
        self._warn_about = warn
        self._wake = wake
        self._no_reply = no_reply
        self._ready: deque[Entry] = deque()
        self._in_flight: deque[Message] = deque()
        self._parked: set[str] = set()  # names that stayed unanswered on PARK_AFTER links
        self._way_at: float | None = None  # a parked one on its way gives way to clients from then on
        self._locked = False
        self._lock_since: float | None = None  # since when it is wanted in vain
        self._hold_from: float | None = None  # clients that asked later wait for a young message
        self._young_until: float | None = None
        self._stopping = False
        self.behind = False  # meanwhile() has something to do
        self._untold: list[tuple[Message, bytes, Done]] = []

    # --- looks ----------------------------------------------------------------------------------------

    def look(self, now: float, *, force: bool = False) -> None:
        """Look at the directory; on a READY link begin to send what is there."""
        if self.state in (FlushState.DRAINING, FlushState.SENDING):
            return  # the look at the end of this run finds what is new
        seen = self._queue.look(now, force=force)
        self._tell(seen)
        if self._relay.ready:
            if self._going_on:
                self._begin(seen, now)
            else:
                self._rest(now)  # a link that came while the child ends still serves the clients that are left

    def _warn(self, text: str) -> None:
        """Log a WARNING about one file, which is told once: no other of its kind holds it back."""
        self._log.write(shown_names(text), Severity.WARNING)

    def _tell(self, seen: Look) -> None:
        self.waiting, self.oldest_wall = seen.waiting, seen.oldest_wall
        for name, reason in seen.set_aside:
            self._warn(f"Delayed file {name} set aside in corrupt: {reason}")
        for name in seen.foreign:
            self._warn(f"Delayed file {name} is for a host that is not in the table: it stays")
        for name in seen.links:
            self._warn(f"Delayed file {name} is a symbolic link: left alone")
        for note in seen.notes:
            self._warn(note)
        if seen.problem is not None:
            self._warn(f"Delayed directory: {seen.problem}")

    def _begin(self, seen: Look, now: float) -> None:
        self._wait_for_young(seen.young_until)
        if not seen.ready:
            self._rest(now)
            return
        self._ready = deque(seen.ready)
        self._relay.freeze()
        self._lock(now)

    def _wait_for_young(self, until: float | None) -> None:
        """Hold back clients that ask behind the first young message, until it may go (None: there is none).

        It was written HELD_S before `until` at the earliest, so nobody waits longer for it; and when young
        ones come one after the other, who came before the next one does not wait for that as well.
        """
        self._young_until = until
        self._hold_from = None
        if until is not None:
            self._hold_from = until - HELD_S
            self._wake(until)

    def _rest(self, now: float) -> None:
        """Nothing can be sent now: clients go, but for those that must wait for a young message."""
        self.state = FlushState.IDLE
        self._ready.clear()
        self._relay.thaw(now, self._hold_from)

    def _lock(self, now: float) -> None:
        """Take the peer's flush lock, at once or a little later; then wait for the link to be quiet."""
        why = ""
        if not self._locked:
            answer = self._queue.try_lock()
            self._locked, why = answer.taken, answer.detail
            for name in answer.possibly_double:
                self._warn(f"Delayed file {name} may have been sent already before a crash")
        if self._locked:
            self._lock_since = None
            self.state = FlushState.DRAINING
            return
        self.state = FlushState.LOCKING
        if self._lock_since is None:
            self._lock_since = now
        if not why and now - self._lock_since < LOCK_PATIENCE_S:
            self._wake(now + LOCK_RETRY_S)
            return
        # Clients have waited once; at later looks they are not stopped again for what may stay so.
        why = shown_names(why) or "another process holds the flush lock of this peer"
        self._warn_about(f"Delayed messages wait: {why}", about="flush lock")
        self._rest(now)

    # --- sending --------------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Take replies, send what may go; called once per turn while there is something to do."""
        while self._relay.delayed_replies:
            reply = self._relay.delayed_replies.pop(0)
            if self._in_flight:
                self._answered(self._in_flight.popleft(), reply, now)
        if not self._relay.ready:
            return
        if self.state is FlushState.LOCKING:
            self._lock(now)
        elif self.state is FlushState.IDLE and self._young_until is not None and now >= self._young_until:
            self.look(now, force=True)
        if self.state is FlushState.DRAINING and self._relay.quiet:
            self.state = FlushState.SENDING
            self._log.hold()
            self._perm_log.hold()
        if self._way_at is not None and now >= self._way_at and self._in_flight and self._relay.waiting:
            self._no_reply()  # a new link serves the clients; this is counted as one more without a reply
        elif self.state is FlushState.SENDING:
            self._send(now)

    @property
    def cut(self) -> bool:
        """Return whether the link that messages are in flight on is gone, while there may be others."""
        return bool(self._in_flight) and self._relay.delayed_lane is None

    @property
    def busy(self) -> bool:
        """Return whether advance() has something to do in this turn."""
        return self.state is not FlushState.IDLE

    @property
    def _going_on(self) -> bool:
        """Return whether another message may be begun: also while ending, when clients wait behind it."""
        return not self._stopping or bool(self._relay.waiting)

    @property
    def _may_send(self) -> bool:
        return len(self._in_flight) < self._config.delayed_pipeline and bool(self._ready) and self._going_on

    def _send(self, now: float) -> None:
        for _ in range(FILES_PER_TURN):
            if not self._may_send:
                break
            entry = self._ready.popleft()
            reading: Reading = self._queue.read(entry, now)
            match reading:
                case Message() if not self._queue.sending(reading):
                    self._locked = False  # an operator moves messages: the lock is asked for again, like his
                    self._ready.clear()
                case Message():
                    self._in_flight.append(reading)
                    self._relay.send_delayed(reading.line, now)
                    self.behind = True
                    if reading.name in self._parked:
                        self._way_at = now + self._config.grace_s
                        self._wake(self._way_at)
                case SetAside():
                    self._warn(f"Delayed file {entry.name} set aside in corrupt: {reading.reason}")
                case Young():
                    self._ready.clear()  # order: what is behind it waits too
                    self._wait_for_young(reading.until)
                case Gone():
                    pass
        if self._may_send:
            self._wake(now)
        elif not self._in_flight:
            self._end_of_run(now)

    def _end_of_run(self, now: float) -> None:
        """Look again for what came meanwhile, unless the run was ended by a young message."""
        self._finish()
        self.state = FlushState.IDLE
        if self._stopping or (self._young_until is not None and now < self._young_until):
            self._rest(now)
        else:
            self.look(now, force=True)
            self._wake(now)  # what it found is begun in the next turn, and nothing else need bring one

    def _finish(self) -> None:
        self._tell_of_done()
        self._queue.finish()
        self._log.release()
        self._perm_log.release()

    def meanwhile(self) -> None:
        """Do what need not come before the next message: tell of those that were answered, read the one to come.

        To be called in the turn of advance(), when the link has been given what there is to send: then the work
        is done while the peer is at work too, and costs the messages no time.
        """
        self.behind = False
        self._tell_of_done()
        if self._ready and self._in_flight:
            self._queue.read_ahead(self._ready[0])

    def _answered(self, message: Message, reply: Line | None, now: float) -> None:
        self._way_at = None
        text = whole(reply) if reply is not None else b""
        if text and (self._config.delete_on_any_reply or not is_failure(text)):
            self._done(message, text)
            return
        self._tell_of_done()
        if not text:
            text_shown = f"Delayed {shown_command(message.line)}: no reply, it stays"
            self._warn_about(text_shown, reason=message.name, about="no reply")
            self._unanswered(message)
            self._no_reply()
        else:
            self._rejected(message, text, now)

    def _done(self, message: Message, reply: bytes) -> None:
        """The original's order: the file goes first, then the log line, then the S record.

        These two wait until the next message has gone, in this turn: a kill in between costs them, as one
        between the deletion and the line would.
        """
        self._parked.discard(message.name)
        self._untold.append((message, reply, self._queue.done(message)))
        self.behind = True
        self.sent += 1
        self.waiting = max(0, self.waiting - 1)

    def _tell_of_done(self) -> None:
        untold, self._untold = self._untold, []
        for message, reply, outcome in untold:
            self._log.write(f"Delayed {shown_command(message.line)}: >{shown_reply(reply)}<")
            if outcome.kind is DoneKind.FAILED:
                text = f"Delayed file {message.name} cannot be removed: {outcome.detail}"
                self._log.write(shown_names(text), Severity.CRITICAL)
            elif outcome.kind is DoneKind.REPLACED:
                text = f"Delayed file {message.name} was replaced meanwhile: the new one is sent too"
                self._log.write(shown_names(text))
            self._perm_log.sent(self._peer, perm_command(message.line))

    def _rejected(self, message: Message, reply: bytes, now: float) -> None:
        self._parked.discard(message.name)
        where = self._queue.reject(message, reply, now)
        self.rejected += 1
        self.waiting = max(0, self.waiting - 1)
        self._warn(f"Delayed {shown_command(message.line)}: >{shown_reply(reply)}<; moved to {where}")
        self._perm_log.failed(self._peer, perm_command(message.line))

    def _unanswered(self, message: Message) -> None:
        times = self._queue.unanswered(message)
        if times >= PARK_AFTER:
            self._parked.add(message.name)
        if times == PARK_AFTER:
            self._warn(
                f"Delayed {shown_command(message.line)} in {message.name} stayed unanswered on {times} links:"
                " it holds nobody back any more and is tried again after the others"
            )

    # --- the end of links -----------------------------------------------------------------------------

    def link_lost(self, now: float) -> None:
        """Note that the link is gone: what was in flight on it stays for the next."""
        self.advance(now)
        for message in self._in_flight:
            self._unanswered(message)
        self._in_flight.clear()
        self._ready.clear()
        self._hold_from = None
        self._young_until = None
        self._way_at = None
        if self.state is FlushState.SENDING:
            self._finish()
        self.state = FlushState.IDLE

    def stop(self) -> None:
        """Begin no other message, unless clients wait behind it: the child ends."""
        self._stopping = True
