"""Time and the requests in flight: who waits longest, who has waited too long, which links are taken up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from lonc.relay.client import Client
from lonc.relay.lane import Lane
from lonc.wire.lines import Line

NEVER = float("inf")


def owed_since(lanes: Iterable[Lane], since: float, but: Client) -> Iterator[tuple[Client, int]]:
    """Yield client and number of every request in flight that was read by `since` and is still waited for.

    Those of the client `but` have a limit of their own.
    """
    for lane in lanes:
        for client, asked, number, _ in lane.in_flight:
            if asked <= since and client is not but and client.owed(number):
                yield client, number


def oldest_wanted(lanes: Iterable[Lane], queue: deque[tuple[Client, float, int, Line]], but: Client) -> float:
    """Return when the oldest request that somebody still waits for was read; NEVER when there is none.

    Those of the client `but` do not count.
    """
    found = queue[0][1] if queue else NEVER
    for lane in lanes:
        if lane.parked:
            found = min(found, lane.parked[0][1])
        for client, asked, number, _ in lane.in_flight:
            if client is not but and client.owed(number):
                found = min(found, asked)
    return found


def all_taken_up(lanes: Iterable[Lane], after_s: float) -> float | None:
    """Return when every link is taken up: its window full, or its oldest request has waited for `after_s`.

    0.0: all are full now. None while one of them has nothing in flight.
    """
    at = 0.0
    for lane in lanes:
        oldest = lane.oldest()
        if oldest is None:
            return None
        if lane.open:
            at = max(at, oldest + after_s)
    return at
