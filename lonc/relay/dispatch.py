"""What waits for a link, and which link it goes to.

With one READY link the queue is left in order. With several a request goes to the one with the fewest in
flight, but never to one whose oldest has waited for longer than loncSpreadAfter while another will do: lond
is at work on something slow there. The requests of one client follow each other on one link while any of
them is unanswered, so that lond works on them in their order.
"""

from __future__ import annotations

from collections import deque

from lonc.relay import deadlines
from lonc.relay.client import Client
from lonc.relay.counters import Counters
from lonc.relay.lane import LINK_HIGH_WATER, Lane
from lonc.wire.lines import Line, length
from lonc.wire.words import CON_LOST, ENCRYPT

# What one client may have waiting before it is read no further; one longer line is let in all the same.
CLIENT_QUEUE_BYTES = 256 * 1024
CLIENT_QUEUE_REQUESTS = 1024


class Dispatch:
    """The queue of one peer and its links.

    lanes: one for each link there may be; ready: those that are READY, in the order in which they became so.
    dirty: clients to look at when the turn ends.
    """

    def __init__(
        self, *, pipeline: int, request_timeout_s: float, spread_after_s: float,
        client_buffer_bytes: int, wake_at: float,
    ) -> None:  # fmt: skip
        self.lanes: list[Lane] = []
        self.ready: list[Lane] = []
        self.queue: deque[tuple[Client, float, int, Line]] = deque()
        self.dirty: list[Client] = []
        self.counters = Counters()
        self.transactions: list[tuple[Line, float, int]] | None = None  # request, seconds, reply bytes
        self.wake_at = wake_at  # tick() has nothing to do before; it may then find nothing due
        self.pump_due = False  # before links are given what is due
        self._frozen = True  # no link, or delayed messages go first
        self._hold_from: float | None = None  # requests read at or after wait for a young delayed message
        self._only: Lane | None = None  # the one READY link, when nothing stands before it
        self._room = False  # when the queue was last looked at a new request might have gone at once
        self._pipeline = pipeline
        self._request_timeout_s = request_timeout_s
        self._spread_after_s = spread_after_s
        self._client_buffer_bytes = client_buffer_bytes

    def add_lane(self) -> Lane:
        """Return the lane of one more link, which is not READY yet."""
        self.lanes.append(Lane(self._pipeline))
        return self.lanes[-1]

    @property
    def in_flight(self) -> int:
        """Return how many requests are in flight, on all links together."""
        total = 0
        for lane in self.lanes:
            total += len(lane.in_flight)
        return total

    @property
    def waiting(self) -> int:
        """Return how many requests wait for a link, those for one certain link among them."""
        return len(self.queue) + sum(len(lane.parked) for lane in self.lanes)

    @property
    def quiet(self) -> bool:
        """Return whether nothing is in flight on any link, so that delayed messages may begin."""
        return not any(lane.in_flight for lane in self.lanes)

    def crowded_at(self) -> float | None:
        """Return since when, or from when on, one more link would serve: every READY one is taken up.

        Taken up is a link whose window is full, or whose oldest request has waited for loncSpreadAfter. None
        while one of them has nothing to do, and while requests have to wait for something else.
        """
        if self._frozen or not self.ready:
            return None
        return deadlines.all_taken_up(self.ready, self._spread_after_s)

    def spare(self, lane: Lane, now: float) -> bool:
        """Return whether a READY link may be closed when it is idle: nothing would call for another at once.

        The only one may; one whose READY neighbours are all taken up may not: the next request is for it.
        """
        others = [other for other in self.ready if other is not lane]
        taken_up_at = deadlines.all_taken_up(others, self._spread_after_s)
        return not others or taken_up_at is None or taken_up_at > now

    # --- in -------------------------------------------------------------------------------------------

    def _enqueue(self, client: Client, now: float, number: int, line: Line) -> None:
        if not self.queue:
            self.wake_at = min(self.wake_at, now + 2 * self._request_timeout_s)
        self.queue.append((client, now, number, line))
        client.queued += length(line) + 1  # an empty line takes room as well
        self._only = None
        if client.queued > CLIENT_QUEUE_BYTES or client.issued - client.turn > CLIENT_QUEUE_REQUESTS:
            client.full = True
            self._touch(client)
        if self._room and len(self.ready) > 1:
            self.pump_due = True  # which of several links each goes to is decided for all of a turn at once
        elif self._room:
            self.pump(now)

    def wants_more(self, client: Client) -> bool:
        """Return whether a client may be read: not while too much of its own waits, unread or unanswered."""
        return not (
            client.finishing
            or client.queued > CLIENT_QUEUE_BYTES
            or (client.waiting > CLIENT_QUEUE_REQUESTS and client.queued > 0)
            or (client.box.stuck and client.box.size > self._client_buffer_bytes // 4)
        )

    def freeze(self) -> None:
        """Hand no more requests to links until thaw(): delayed messages were seen."""
        self._frozen, self._only, self._room = True, None, False

    def thaw(self, now: float, hold_from: float | None = None) -> None:
        """Let requests go again; those read at or after `hold_from` wait on for a young delayed message."""
        self._frozen = False
        self._hold_from = hold_from
        self.pump(now)

    def quit_waiting(self) -> None:
        """Answer everything that waits in the queue con_lost: the grace is over, or the child ends."""
        self._lose_waiting(deadlines.NEVER)

    def _lose_waiting(self, asked_by: float) -> None:
        """Answer what waits con_lost, as far as it was read by that time."""
        for waiting in (self.queue, *(lane.parked for lane in self.lanes)):
            while waiting and waiting[0][1] <= asked_by:
                client, _, number, line = waiting.popleft()
                self._unqueue(client, line)
                self._lose(client, number)

    # --- out ------------------------------------------------------------------------------------------

    def pump(self, now: float) -> None:
        """Hand over from the queue what may go; also called when a link has taken what it had refused."""
        self.pump_due = False
        if self._frozen or not self.ready:
            return
        first = self.ready[0]
        alone = len(self.ready) == 1 and not first.parked and self._hold_from is None
        if self.queue or not alone:
            if alone:
                self._pump_one(first, now)
            else:
                self._pump_several(now)
            self.wake_at = min(self.wake_at, now + self._request_timeout_s)
        self._room = not self.queue
        self._only = first if alone and self._room and self.transactions is None else None

    def _pump_one(self, lane: Lane, now: float) -> None:
        """With one link and a full window every request comes this way."""
        queue, in_flight, box = self.queue, lane.in_flight, lane.box
        if not in_flight:
            lane.head_since = now
        while queue and len(in_flight) < lane.window and box.held < LINK_HIGH_WATER:
            client, asked, number, line = queue.popleft()
            if type(line) is bytes and not client.full:
                client.queued -= len(line) + 1
            else:
                self._unqueue(client, line)
            if client.gone:
                continue
            if type(line) is bytes and not line.startswith(ENCRYPT):
                in_flight.append((client, asked, number, line))
                box.fresh.append(line + b"\n")
            else:
                lane.hand_over(client, asked, number, line, now)

    def _pump_several(self, now: float) -> None:
        """Leave none in the queue while a link is open: who waits for another one is parked there."""
        queue = self.queue
        hold_from = deadlines.NEVER if self._hold_from is None else self._hold_from
        for lane in self.ready:
            while lane.parked and lane.open and lane.parked[0][1] < hold_from:
                self._hand_over(lane, *lane.parked.popleft(), now)
        lanes = [lane for lane in self.ready if lane.open]
        loads = [lane.load(now - self._spread_after_s) for lane in lanes]
        while queue and lanes and queue[0][1] < hold_from:
            client, asked, number, line = queue.popleft()
            own = client.bound if client.turn <= client.last else None
            if own is not None and not own.open:
                client.last = number
                own.parked.append((client, asked, number, line))
                continue
            at = loads.index(min(loads)) if own is None else lanes.index(own)
            lane = lanes[at]
            self._hand_over(lane, client, asked, number, line, now)
            if lane.open:
                loads[at] += 1
            else:
                del lanes[at], loads[at]

    def _hand_over(self, lane: Lane, client: Client, asked: float, number: int, line: Line, now: float) -> None:
        if type(line) is bytes and not client.full:
            client.queued -= len(line) + 1
        else:
            self._unqueue(client, line)
        if client.gone:
            return
        client.lane, client.last = lane, number
        if type(line) is bytes and not line.startswith(ENCRYPT):
            if not lane.in_flight:
                lane.head_since = now
            lane.in_flight.append((client, asked, number, line))
            lane.box.fresh.append(line + b"\n")
        else:
            lane.hand_over(client, asked, number, line, now)

    def _unqueue(self, client: Client, line: Line) -> None:
        client.queued -= length(line) + 1
        if client.full:
            client.full = not self.wants_more(client)
            self._touch(client)

    def _lose(self, client: Client, number: int) -> None:
        if client.settle(number, CON_LOST):
            self.counters.con_lost += 1
            self._touch(client)

    def _touch(self, client: Client) -> None:
        if not client.dirty and not client.gone:
            client.dirty = True
            self.dirty.append(client)
