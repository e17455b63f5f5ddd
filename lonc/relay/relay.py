"""Who waits for which reply.

    clients --lines--> [queue] --window--> lane.in_flight / lane.box --> link
    clients <--lines-- box <----turn------ lane.in_flight <--replies---- link

A request goes from its client straight to the link when nothing stands before it, else to the queue. The
n-th reply on a link answers the n-th request on it, so `in_flight` is a plain queue; nothing is ever taken
out of its middle (an answer nobody wants is dropped when it comes). What is in flight when a link is lost
is answered con_lost; what no byte was sent of goes back to the front of the queue and waits, for the grace.

There is a lane for each link; which of several a request goes to is decided in dispatch.py.

The relay has no sockets. It changes boxes and lists clients in `dirty`; whoever owns the sockets looks at
both once per turn. Every method that needs the time is given it: `now`, monotonic seconds, one per turn.

Hot path: `client_data` for a read that is one whole line, and `replies`; when the window is full, `_enqueue`
and `_pump_one` (dispatch.py). Everything else is off that road.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from lonc.errors import CipherError
from lonc.relay import deadlines
from lonc.relay.client import Client
from lonc.relay.counters import BUCKETS
from lonc.relay.dispatch import Dispatch
from lonc.relay.lane import Lane, Sent, head, is_encrypted
from lonc.wire.lines import Line, length, whole
from lonc.wire.words import CLOSE_EXIT, ENCRYPT, PING

_SPECIAL = (ENCRYPT, CLOSE_EXIT)
_ENC = b"enc:"
_LAST = BUCKETS - 1


class Relay(Dispatch):
    """The relay of one peer. Limits are seconds, bytes, and (pipeline) requests in flight on a link.

    asleep: the last link was closed because nobody needed it; the next request sets link_wanted.
    """

    def __init__(
        self, *, pipeline: int, request_timeout_s: float, delayed_timeout_s: float, grace_s: float,
        max_line_bytes: int, client_buffer_bytes: int, now: float, spread_after_s: float = 0.02,
    ) -> None:  # fmt: skip
        super().__init__(
            pipeline=pipeline, request_timeout_s=request_timeout_s, spread_after_s=spread_after_s,
            client_buffer_bytes=client_buffer_bytes, wake_at=now + grace_s,
        )  # fmt: skip
        self.delayed_client = Client(max_line_bytes)  # stands for the delayed directory in `in_flight`
        self.delayed_client.plain = False
        self.delayed_lane: Lane | None = None  # delayed messages use one link, in order
        self.delayed_replies: list[Line | None] = []  # None: too long to keep, or not to be decoded
        self.close_asked = False  # a client said close_connection_exit
        self.complaints: list[str] = []  # about replies, for the log; whoever looks empties it
        self.grace_until: float | None = now + grace_s
        self.asleep = False
        self.link_wanted = False
        self._delayed_timeout_s = delayed_timeout_s
        self._grace_s = grace_s
        self._max_line_bytes = max_line_bytes

    # --- what clients do ------------------------------------------------------------------------------

    def client_data(self, client: Client, data: bytes, now: float) -> None:
        """Take what was read from a client's socket (not empty)."""
        if (
            self.ready
            and data.find(b"\n") == len(data) - 1
            and not client.buffer.partial
            and len(data) <= self._max_line_bytes + 1
            and not client.finishing
        ):
            if data.startswith(_SPECIAL):
                self._request(client, data[:-1], now)
                return
            lane, number = self._only, client.issued
            client.issued = number + 1
            if lane is None or len(lane.in_flight) >= lane.window:
                self._enqueue(client, now, number, data[:-1])
                return
            if not lane.in_flight:
                lane.head_since = now
                if now + self._request_timeout_s < self.wake_at:
                    self.wake_at = now + self._request_timeout_s
            lane.in_flight.append((client, now, number, data))
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
        if not self.ready and self.asleep:
            self.wake(now)
        if not self.ready and (self.grace_until is None or line == PING):
            # lond's `pong` brings that ping: to hold it would let two servers wait for each other (wire.md 2).
            self._lose(client, number)
            return
        lane = self._only
        if lane is None or not lane.open:
            self._enqueue(client, now, number, line)
        else:
            self.wake_at = min(self.wake_at, now + self._request_timeout_s)
            lane.hand_over(client, now, number, line, now)

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

    # --- what links do --------------------------------------------------------------------------------

    def link_ready(
        self, lane: Lane, encrypt: Callable[[bytes], bytes], decrypt: Callable[[bytes], bytes], now: float
    ) -> None:
        """Note that a link is READY. With the first, requests wait for thaw(): delayed messages go before them."""
        for other in self.ready:
            for client, _, number, _ in other.in_flight:
                client.lane, client.last = other, number  # who asked on the only link keeps to it for now
        lane.ready, lane.encrypt, lane.decrypt = True, encrypt, decrypt
        lane.head_since = now
        self.ready.append(lane)
        self.grace_until, self.asleep = None, False
        if len(self.ready) == 1:
            self.freeze()
        else:
            self.pump(now)

    def replies(self, lane: Lane, lines: list[Line | None], now: float) -> bool:
        """Hand reply lines to those who wait, in order; return False when one came that nobody asked for."""
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
                if not plain:
                    self._note_transaction(request, line, now - asked)
                self._reply(lane, client, number, line)
            bucket = int((now - asked) * 1e6).bit_length()
            histogram[bucket if bucket < _LAST else _LAST] += 1
        self.counters.replies += len(lines)
        lane.head_since = now
        if in_flight and in_flight[0][0] is self.delayed_client:
            self.wake_at = min(self.wake_at, now + self._delayed_timeout_s)
        if self.queue or lane.parked:
            self.pump(now)
        return True

    def log_transactions(self, wanted: bool, now: float) -> None:
        """Collect every transaction in `transactions` for the log, or stop; the hot path is closed meanwhile."""
        self.transactions = [] if wanted else None
        self._only = None
        self.pump(now)

    def _note_transaction(self, request: Line, reply: Line | None, seconds: float) -> None:
        assert self.transactions is not None
        self.transactions.append((request, seconds, length(reply) if reply is not None else 0))

    def _reply(self, lane: Lane, client: Client, number: int, line: Line | None) -> None:
        """The road off the hot path: delayed, encrypted, over-long, logged, out of turn, or unwanted."""
        if line is None:
            self.complaints.append(f"A reply of more than {self._client_buffer_bytes} bytes was dropped")
        elif line.startswith(_ENC) if type(line) is bytes else head(line, len(_ENC)) == _ENC:
            try:
                line = lane.decrypt(whole(line))
            except CipherError:
                self.complaints.append("An enc: reply could not be decoded")
                line = None
        if client is self.delayed_client:
            self.delayed_replies.append(line)
        elif line is None:
            self._lose(client, number)
        else:
            client.settle(number, line)
            self._touch(client)

    @property
    def requests(self) -> int:
        """Return how many requests were handed to a link so far, delayed messages among them."""
        return self.counters.replies + self.counters.cut + self.in_flight

    @property
    def activity(self) -> tuple[int, ...]:
        """Return what differs when there is something new to count since the last look.

        No sum: a request that leaves one of these places for another would not show in it.
        """
        counts = self.counters
        return (
            counts.replies, counts.cut, counts.con_lost, counts.rejected, len(self.queue), self.in_flight
        )  # fmt: skip

    def link_lost(self, lane: Lane, now: float) -> None:
        """Answer everything in flight on it con_lost; what no byte was sent of waits for another link.

        The grace begins when the last READY link is lost, not when a redial fails. Delayed messages in flight
        are forgotten: whoever sent them knows.
        """
        was_ready, lane.ready = lane.ready, False
        if was_ready:
            self.ready.remove(lane)
        if lane is self.delayed_lane:
            self.delayed_lane = None
        kept = [entry for entry in lane.take_back() if entry.client is not self.delayed_client]
        lane.forget_key()
        for client, _, number, _ in lane.in_flight:
            if client is not self.delayed_client:
                self._lose(client, number)
        self.counters.cut += len(lane.in_flight)
        lane.in_flight.clear()
        for entry in kept:
            entry.client.queued += length(entry.line) + 1
        if kept or lane.parked:  # in the order in which they were read, among those that wait for other links
            self.queue = deque(sorted([*kept, *lane.parked, *self.queue], key=lambda entry: entry[1]))
            lane.parked.clear()
        self._only, self._room = None, False
        if self.ready:
            self.pump(now)
        else:
            self._frozen, self._hold_from = True, None
            if was_ready:
                self._begin_grace(now)

    def _begin_grace(self, now: float) -> None:
        self.grace_until = now + self._grace_s
        self.wake_at = min(self.wake_at, self.grace_until)

    def sleep(self) -> None:
        """Note that no link is to be had until somebody asks: the last one was closed for being idle."""
        self.grace_until, self.asleep = None, True

    def wake(self, now: float) -> None:
        """Ask for a link after sleep(); who asks now waits for the grace at most."""
        self.asleep, self.link_wanted = False, True
        self._begin_grace(now)

    # --- delayed messages first -----------------------------------------------------------------------

    def send_delayed(self, line: Line, now: float) -> None:
        """Put a delayed message on a READY link, the one of the last if there is one; see delayed_replies."""
        lane = self.delayed_lane or self.ready[0]
        self.delayed_lane = lane
        lane.hand_over(self.delayed_client, now, 0, line, now)
        self.wake_at = min(self.wake_at, now + self._delayed_timeout_s)

    # --- time -----------------------------------------------------------------------------------------

    def tick(self, now: float) -> list[tuple[Lane, Sent]]:
        """Do what is due; return the links that must go, each with its first request, which is over its limit."""
        if self.grace_until is not None and now >= self.grace_until and not self.ready:
            self.grace_until = None
            self.quit_waiting()
        self._give_up_old(now)
        due = [(self.limit_of(lane), lane) for lane in self.lanes if lane.in_flight]
        oldest = deadlines.oldest_wanted(self.lanes, self.queue, self.delayed_client)
        self.wake_at = min(
            self.grace_until if self.grace_until is not None else deadlines.NEVER,
            oldest + 2 * self._request_timeout_s,
            *(when for when, _ in due),
        )
        return [(lane, Sent(*lane.in_flight[0])) for when, lane in due if now >= when]

    def limit_of(self, lane: Lane) -> float:
        """Return when the first request in flight on a link has passed its limit."""
        delayed = lane.in_flight[0][0] is self.delayed_client
        return lane.head_since + (self._delayed_timeout_s if delayed else self._request_timeout_s)

    def _give_up_old(self, now: float) -> None:
        """Answer con_lost to who has waited twice the limit; a place in flight is left, to be swallowed."""
        too_old = now - 2 * self._request_timeout_s
        for client, number in deadlines.owed_since(self.lanes, too_old, self.delayed_client):
            self._lose(client, number)
        self._lose_waiting(too_old)
