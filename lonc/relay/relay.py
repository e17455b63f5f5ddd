"""Who waits for which reply.

    clients --lines--> [queue] --window--> lane.in_flight / lane.box --> link
    clients <--lines-- box <----turn------ lane.in_flight <--replies---- link

A request goes from its client straight to the link when nothing stands before it, else to the queue. The
n-th reply on a link answers the n-th request on it, so `in_flight` is a plain queue; nothing is ever taken
out of its middle (an answer nobody wants is dropped when it comes). What is in flight when a link is lost
is answered con_lost; what no byte was sent of goes back to the front of the queue and waits, for the grace.

The relay has no sockets. It changes boxes and lists clients in `dirty`; whoever owns the sockets looks at
both once per turn. Every method that needs the time is given it: `now`, monotonic seconds, one per turn.

Hot path: `client_data` for a read that is one whole line, and `replies`. Everything else is off that road.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from lonc.errors import CipherError
from lonc.relay.client import Client
from lonc.relay.counters import BUCKETS, Counters
from lonc.relay.lane import Lane, Queued, Sent, head, is_encrypted
from lonc.wire.lines import Line, length, whole
from lonc.wire.words import CLOSE_EXIT, CON_LOST, ENCRYPT, PING

# What one client may have waiting before it is read no further; one longer line is let in all the same.
CLIENT_QUEUE_BYTES = 256 * 1024
CLIENT_QUEUE_REQUESTS = 1024

_SPECIAL = (ENCRYPT, CLOSE_EXIT)
_ENC = b"enc:"
_LAST = BUCKETS - 1
_NEVER = float("inf")


class Relay:
    """The relay of one peer. Limits are seconds, bytes, and (pipeline) requests in flight on a link."""

    def __init__(
        self, *, pipeline: int, request_timeout_s: float, delayed_timeout_s: float, grace_s: float,
        max_line_bytes: int, client_buffer_bytes: int, now: float,
    ) -> None:  # fmt: skip
        self.lane = Lane(pipeline)
        self.queue: deque[Queued] = deque()
        self.dirty: list[Client] = []  # clients to look at when the turn ends
        self.counters = Counters()
        self.delayed_client = Client(max_line_bytes)  # stands for the delayed directory in `in_flight`
        self.delayed_client.plain = False
        self.delayed_replies: list[Line | None] = []  # None: too long to keep, or not to be decoded
        self.close_asked = False  # a client said close_connection_exit
        self.complaints: list[str] = []  # about replies, for the log; whoever looks empties it
        self.transactions: list[tuple[Line, float, int]] | None = None  # request, seconds, reply bytes
        self.encrypt: Callable[[bytes], bytes] = _no_link
        self.decrypt: Callable[[bytes], bytes] = _no_link
        self.grace_until: float | None = now + grace_s
        self.wake_at = now + grace_s  # tick() has nothing to do before; it may then find nothing due
        self._frozen = True  # no link, or delayed messages go first
        self._hold_from: float | None = None  # requests read at or after wait for a young delayed message
        self._direct = False  # the hot path may hand lines straight to the link
        self._request_timeout_s = request_timeout_s
        self._delayed_timeout_s = delayed_timeout_s
        self._grace_s = grace_s
        self._max_line_bytes = max_line_bytes
        self._client_buffer_bytes = client_buffer_bytes

    # --- what clients do ------------------------------------------------------------------------------

    def client_data(self, client: Client, data: bytes, now: float) -> None:
        """Take what was read from a client's socket (not empty)."""
        lane = self.lane
        if (
            self._direct
            and data.find(b"\n") == len(data) - 1
            and not client.buffer.partial
            and len(data) <= self._max_line_bytes + 1
            and not data.startswith(_SPECIAL)
            and len(lane.in_flight) < lane.window
        ):
            if not lane.in_flight:
                lane.head_since = now
                if now + self._request_timeout_s < self.wake_at:
                    self.wake_at = now + self._request_timeout_s
            lane.in_flight.append((client, now, client.issued, data))
            client.issued += 1
            lane.box.fresh.append(data)
            return
        for line in client.buffer.feed(data):
            if line is None or client.finishing or self._too_long(line):
                break
            self._request(client, line, now)
        else:
            if not client.buffer.overflow:
                return
        if not client.finishing:
            self._refuse_too_long(client)

    def client_eof(self, client: Client) -> None:
        """Note that a client will ask no more: a half-close until a write proves otherwise (spec lonc.md 4)."""
        client.finishing = True
        self._touch(client)

    def client_gone(self, client: Client) -> None:
        """Note that a client's socket is closed; replies to what it asked are read and dropped."""
        client.forget()

    def _request(self, client: Client, line: Line, now: float) -> None:
        number = client.issued
        if line == CLOSE_EXIT:
            self.close_asked = True
            client.finishing = True
            return
        client.issued += 1
        entry = Queued(client, now, number, line)
        if not self.lane.ready and self.grace_until is None:
            self._lose(client, number)
        elif not self.lane.ready and line == PING:
            # lond's `pong` brings this ping: to hold it would let two servers wait for each other (wire.md 2).
            self._lose(client, number)
        else:
            self._enqueue(entry)
            self.pump(now)

    def _enqueue(self, entry: Queued) -> None:
        self.queue.append(entry)
        entry.client.queued += length(entry.line) + 1  # an empty line takes room as well
        self._direct = False
        self.wake_at = min(self.wake_at, entry.asked + 2 * self._request_timeout_s)
        self._touch(entry.client)

    def _too_long(self, line: Line) -> bool:
        """Return whether a request is longer than it may be; its buffer has let `encrypt:` pass besides."""
        return length(line) > self._max_line_bytes and not is_encrypted(line)

    def _refuse_too_long(self, client: Client) -> None:
        text = b"error: request longer than %d bytes" % self._max_line_bytes
        number = client.issued
        client.issued += 1
        client.finishing = True
        self.counters.rejected += 1
        client.settle(number, text)
        self._touch(client)

    def wants_more(self, client: Client) -> bool:
        """Return whether a client may be read: not while too much of its own waits, unread or unanswered."""
        return not (
            client.finishing
            or client.queued > CLIENT_QUEUE_BYTES
            or (client.waiting > CLIENT_QUEUE_REQUESTS and client.queued > 0)
            or (client.box.stuck and client.box.size > self._client_buffer_bytes // 4)
        )

    # --- what the link does ---------------------------------------------------------------------------

    def link_ready(self, encrypt: Callable[[bytes], bytes], decrypt: Callable[[bytes], bytes]) -> None:
        """Note that a link is READY. Requests stay frozen until thaw(): delayed messages go first."""
        self.lane.ready = True
        self.encrypt = encrypt
        self.decrypt = decrypt
        self.grace_until = None
        self._frozen = True
        self._direct = False

    def replies(self, lines: list[Line | None], now: float) -> bool:
        """Hand reply lines to those who wait, in order; return False when one came that nobody asked for."""
        lane = self.lane
        in_flight = lane.in_flight
        if len(lines) > len(in_flight):
            return False
        dirty = self.dirty
        histogram = self.counters.latency_us
        plain = self.transactions is None
        for line in lines:
            client, asked, number, request = in_flight.popleft()
            if (
                number == client.turn
                and client.plain
                and plain
                and type(line) is bytes  # isinstance would cost twice as much
                and not line.startswith(_ENC)
            ):
                client.turn = number + 1
                client.box.fresh.append(line + b"\n")
                if not client.dirty:
                    client.dirty = True
                    dirty.append(client)
            else:
                self._reply(Sent(client, asked, number, request), line, now)
            bucket = int((now - asked) * 1e6).bit_length()
            histogram[bucket if bucket < _LAST else _LAST] += 1
        self.counters.replies += len(lines)
        lane.head_since = now
        if in_flight and in_flight[0][0] is self.delayed_client:
            self.wake_at = min(self.wake_at, now + self._delayed_timeout_s)
        if self.queue:
            self.pump(now)
        return True

    def log_transactions(self, wanted: bool, now: float) -> None:
        """Collect every transaction in `transactions` for the log, or stop; the hot path is closed meanwhile."""
        self.transactions = [] if wanted else None
        self._direct = False
        self.pump(now)

    def _reply(self, entry: Sent, line: Line | None, now: float) -> None:
        """The road off the hot path: delayed, encrypted, over-long, logged, out of turn, or unwanted."""
        if self.transactions is not None:
            size = length(line) if line is not None else 0
            self.transactions.append((entry.line, now - entry.asked, size))
        if line is None:
            self.complaints.append(f"A reply of more than {self._client_buffer_bytes} bytes was dropped")
        elif head(line, len(_ENC)) == _ENC:
            try:
                line = self.decrypt(whole(line))
            except CipherError:
                self.complaints.append("An enc: reply could not be decoded")
                line = None
        if entry.client is self.delayed_client:
            self.delayed_replies.append(line)
        elif line is None:
            self._lose(entry.client, entry.number)
        else:
            entry.client.settle(entry.number, line)
            self._touch(entry.client)

    @property
    def requests(self) -> int:
        """Return how many requests were handed to a link so far, delayed messages among them."""
        return self.counters.replies + self.counters.cut + len(self.lane.in_flight)

    @property
    def activity(self) -> tuple[int, ...]:
        """Return what differs when there is something new to count since the last look.

        No sum: a request that leaves one of these places for another would not show in it.
        """
        counts = self.counters
        return (
            counts.replies, counts.cut, counts.con_lost, counts.rejected, len(self.lane.in_flight), len(self.queue)
        )  # fmt: skip

    def link_lost(self, now: float) -> None:
        """Answer everything in flight con_lost, and keep what no byte was sent of for the next link.

        The grace begins when a READY link is lost, not when a redial fails. Delayed messages in flight are
        forgotten: whoever sent them knows.
        """
        lane = self.lane
        was_ready, lane.ready = lane.ready, False
        self._frozen, self._direct, self._hold_from = True, False, None
        kept: list[Queued] = []
        for entry, frame in lane.unsent():
            if entry.client is not self.delayed_client:
                kept.append(Queued(entry.client, entry.asked, entry.number, self._unframed(entry, frame)))
        for client, _, number, _ in lane.in_flight:
            if client is not self.delayed_client:
                self._lose(client, number)
        self.counters.cut += len(lane.in_flight)
        lane.in_flight.clear()
        for kept_entry in reversed(kept):
            self.queue.appendleft(kept_entry)
            kept_entry.client.queued += length(kept_entry.line) + 1
        if was_ready:
            self.grace_until = now + self._grace_s
            self.wake_at = min(self.wake_at, self.grace_until)

    def _framed(self, line: Line) -> Line:
        """Return what goes over the wire for a request; the key is the link's, so this is done last."""
        return self.encrypt(whole(line)[len(ENCRYPT) :]) if is_encrypted(line) else line

    def _unframed(self, entry: Sent, frame: bytes) -> Line:
        """Return the request that an unsent line on the wire stood for: the next link has another key."""
        return ENCRYPT + self.decrypt(frame) if is_encrypted(entry.line) else frame

    def quit_waiting(self) -> None:
        """Answer everything that waits in the queue con_lost: the grace is over, or the child ends."""
        while self.queue:
            entry = self.queue.popleft()
            self._unqueue(entry)
            self._lose(entry.client, entry.number)

    # --- delayed messages first -----------------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        """Return whether nothing is in flight, so that delayed messages may begin."""
        return not self.lane.in_flight

    def freeze(self) -> None:
        """Hand no more requests to the link until thaw(): delayed messages were seen."""
        self._frozen, self._direct = True, False

    def thaw(self, now: float, hold_from: float | None = None) -> None:
        """Let requests go again; those read at or after `hold_from` wait on for a young delayed message."""
        self._frozen = False
        self._hold_from = hold_from
        self.pump(now)

    def send_delayed(self, line: Line, now: float) -> None:
        """Put a delayed message on the link; its reply comes in `delayed_replies`."""
        self.lane.hand_over(Queued(self.delayed_client, now, 0, line), self._framed(line), now)
        self.wake_at = min(self.wake_at, now + self._delayed_timeout_s)

    # --- time -----------------------------------------------------------------------------------------

    def tick(self, now: float) -> Sent | None:
        """Do what is due; return the request whose time limit has passed (its link must go), or None."""
        if self.grace_until is not None and now >= self.grace_until and not self.lane.ready:
            self.grace_until = None
            self.quit_waiting()
        self._give_up_old(now)
        late: Sent | None = None
        deadlines = [self.grace_until if self.grace_until is not None else _NEVER]
        if self.lane.in_flight:
            first = Sent(*self.lane.in_flight[0])
            limit = self._delayed_timeout_s if first.client is self.delayed_client else self._request_timeout_s
            deadlines.append(self.lane.head_since + limit)
            if now >= self.lane.head_since + limit:
                late = first
        oldest = self._oldest_wanted()
        if oldest is not None:
            deadlines.append(oldest + 2 * self._request_timeout_s)
        self.wake_at = min(deadlines)
        return late

    def _give_up_old(self, now: float) -> None:
        """Answer con_lost to who has waited twice the limit; a place in flight is left, to be swallowed."""
        too_old = now - 2 * self._request_timeout_s
        for client, asked, number, _ in self.lane.in_flight:
            if asked > too_old:
                break
            if client is not self.delayed_client and client.owed(number):
                self._lose(client, number)
        while self.queue and self.queue[0].asked <= too_old:
            entry = self.queue.popleft()
            self._unqueue(entry)
            self._lose(entry.client, entry.number)

    def _oldest_wanted(self) -> float | None:
        """Return when the oldest request that somebody still waits for was read."""
        for client, asked, number, _ in self.lane.in_flight:
            if client is not self.delayed_client and client.owed(number):
                return asked
        return self.queue[0].asked if self.queue else None

    # --- the queue ------------------------------------------------------------------------------------

    def pump(self, now: float) -> None:
        """Hand over from the queue what may go; also called when the link has taken what it had refused."""
        lane, queue, hold_from = self.lane, self.queue, self._hold_from
        if self._frozen:
            return
        while queue and lane.open and (hold_from is None or queue[0].asked < hold_from):
            entry = queue.popleft()
            self._unqueue(entry)
            if entry.client.gone:
                continue
            lane.hand_over(entry, self._framed(entry.line), now)
        self.wake_at = min(self.wake_at, now + self._request_timeout_s)
        self._direct = lane.ready and not queue and hold_from is None and self.transactions is None

    def _unqueue(self, entry: Queued) -> None:
        entry.client.queued -= length(entry.line) + 1
        self._touch(entry.client)

    def _lose(self, client: Client, number: int) -> None:
        if client.settle(number, CON_LOST):
            self.counters.con_lost += 1
            self._touch(client)

    def _touch(self, client: Client) -> None:
        if not client.dirty and not client.gone:
            client.dirty = True
            self.dirty.append(client)


def _no_link(_: bytes) -> bytes:
    raise CipherError("no link, no key")
