"""Owns what two moments make: rates and latencies of each peer between them, and the word for its state.

A child's counters begin anew with every child. So a difference counts only from the moment that this very child
was seen at before; of a new one everything counts that it has done by now.
Used by top and by the page; metrics hands on the counters themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lonc.cli.ctl.snapshot import Life, Part, Peer, Snapshot
from lonc.system.scoreboard import LATENCY_BUCKETS, bucket_limit_s

# What a state comes to, the worst first; each has its colour and its shape.
GROUPS = ("given-up", "down", "unknown", "trying", "paused", "resting", "up")
_BY_PARENT = {
    "given up": "given-up", "backoff": "down", "starting": "trying", "stopping": "trying", "on demand": "resting",
}  # fmt: skip
_BY_LINK = {"ready": "up", "down": "down", "connecting": "trying", "greeting": "trying", "keying": "trying"}


@dataclass(frozen=True, slots=True)
class Counts:
    """The counters of one child at one moment; latencies by the scoreboard's buckets."""

    pid: int
    requests: int
    con_lost: int
    latency_us: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One peer as it is shown. Rates: per second; None: not known (no child, or seen for the first time).

    group: one of GROUPS. oldest_s: age of the oldest delayed message, None without one. p50_s and p99_s: of the
    replies between the two moments, None when there was none.
    """

    peer: str
    state: str
    group: str
    why: str
    since_s: float | None
    requests_per_s: float | None
    p50_s: float | None
    p99_s: float | None
    con_lost_per_s: float | None
    clients: int
    links: int
    in_flight: int
    queued: int
    delayed: int
    oldest_s: float | None


def counts_of(snapshot: Snapshot) -> dict[str, Counts]:
    """Return the counters of every peer whose child lives."""
    return {peer.id: _counts(peer) for peer in snapshot.peers if peer.live is not None}


def _counts(peer: Peer) -> Counts:
    live = peer.live
    assert live is not None  # asked for by counts_of alone
    return Counts(live.pid, live.requests, live.con_lost, tuple(live.latency_us))


def rows(snapshot: Snapshot, before: Mapping[str, Counts], elapsed_s: float) -> list[Row]:
    """Return what to show of every peer; before: the counters elapsed_s ago. Without a positive time no rates."""
    now = counts_of(snapshot)
    known = elapsed_s > 0
    return [
        _row(snapshot, peer, _since(now.get(peer.id), before.get(peer.id)) if known else None, elapsed_s)
        for peer in snapshot.peers
    ]


def _since(now: Counts | None, before: Counts | None) -> Counts | None:
    """Return what has been counted between two moments; None: nothing can be said."""
    if now is None or before is None:
        return None
    if now.pid != before.pid or now.requests < before.requests:
        return now
    # One bucket may be behind another's count for a moment: a reader sees each number by itself.
    latency = tuple(max(a - b, 0) for a, b in zip(now.latency_us, before.latency_us, strict=True))
    return Counts(now.pid, now.requests - before.requests, max(now.con_lost - before.con_lost, 0), latency)


def _row(snapshot: Snapshot, peer: Peer, done: Counts | None, elapsed_s: float) -> Row:
    live = peer.live
    group, state, why, since = _state(snapshot, peer)
    pile = peer.piles.delayed
    return Row(
        peer=peer.id, state=state, group=group, why=why,
        since_s=max(0.0, snapshot.at_wall - since) if since else None,
        requests_per_s=done.requests / elapsed_s if done else None,
        p50_s=quantile_s(done.latency_us, 0.5) if done else None,
        p99_s=quantile_s(done.latency_us, 0.99) if done else None,
        con_lost_per_s=done.con_lost / elapsed_s if done else None,
        clients=live.clients if live else 0,
        links=live.links if live else 0,
        in_flight=live.in_flight if live else 0,
        queued=live.queued if live else 0,
        delayed=pile.count,
        oldest_s=max(0.0, snapshot.at_wall - pile.oldest_wall) if pile.count else None,
    )  # fmt: skip


def _state(snapshot: Snapshot, peer: Peer) -> tuple[str, str, str, float]:
    """Return group, word, reason, and since when (wall seconds; 0.0: not known) of a peer's state."""
    parent, live = peer.parent, peer.live
    if snapshot.daemon.life is not Life.RUNNING:
        return "unknown", "lonc is not running", "", 0.0
    if live is not None and peer.stuck:
        return "unknown", "stuck", "the child's loop does not turn", 0.0
    if peer.paused:
        return "paused", "paused", "by the operator", live.since if live else 0.0
    if peer.part is Part.TORN or parent is None:
        return "unknown", "not known", snapshot.daemon.board_why, 0.0
    if live is None or parent.state != "up":
        return _BY_PARENT.get(parent.state, "trying"), parent.state or "starting", parent.why, parent.since
    if snapshot.config.on_demand and live.state == "down" and not live.why:
        return "resting", "resting", "", live.since
    word = "up" if live.state == "ready" else live.state
    return _BY_LINK.get(live.state, "trying"), word, "" if word == "up" else live.why, live.since


def quantile_s(buckets: Sequence[int], share: float) -> float | None:
    """Return the duration that this share of all counted ones stays below, in seconds; None without any.

    Within a bucket the counted ones are taken as spread evenly; of the last one only its lower limit is known.
    """
    total = sum(buckets)
    if not total:
        return None
    wanted, seen = share * total, 0
    for i in range(LATENCY_BUCKETS - 1):
        if buckets[i] and seen + buckets[i] >= wanted:
            low = bucket_limit_s(i - 1) if i else 0.0
            return low + (bucket_limit_s(i) - low) * (wanted - seen) / buckets[i]
        seen += buckets[i]
    return bucket_limit_s(LATENCY_BUCKETS - 2)


def sum_of(values: Iterable[float | None]) -> float | None:
    """Return the sum of those that are known, None when none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


# --- numbers for programs and for people -----------------------------------------------------------------


def as_json(row: Row) -> dict[str, object]:
    """Return a row under the names of its fields; numbers that were measured with four digits."""
    measured = ("since_s", "requests_per_s", "p50_s", "p99_s", "con_lost_per_s", "oldest_s")
    found = {name: getattr(row, name) for name in Row.__dataclass_fields__}
    for name in measured:
        if found[name] is not None:
            found[name] = float(f"{found[name]:.4g}")
    return found


def shown_rate(rate: float | None) -> str:
    """Return a rate in at most six characters: `-` unknown, `0`, `0.05`, `3.4`, `1200`, `12.3k`."""
    if rate is None:
        return "-"
    if rate < 0.005:
        return "0"
    if rate < 10:
        return f"{rate:.2f}".rstrip("0").rstrip(".") if rate < 1 else f"{rate:.1f}"
    return f"{rate:.0f}" if rate < 9999.5 else f"{rate / 1000:.1f}k"


def shown_latency(seconds: float | None) -> str:
    """Return a latency in at most six characters: `-` none, `85us`, `1.2ms`, `340ms`, `1.5s`, `>4s`."""
    if seconds is None:
        return "-"
    if seconds >= bucket_limit_s(LATENCY_BUCKETS - 2):
        return ">4s"
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f}us"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.1f}ms" if seconds < 0.00995 else f"{seconds * 1e3:.0f}ms"
    return f"{seconds:.1f}s"


def shown_age(seconds: float | None) -> str:
    """Return an age in its two largest units: `-` none, `12s`, `4m 10s`, `3h 5m`, `2d 4h`."""
    if seconds is None:
        return "-"
    left = int(seconds)
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    for i in range(3):
        (name, size), (lesser, small) = units[i], units[i + 1]
        if left >= size:
            rest = left % size // small
            return f"{left // size}{name} {rest}{lesser}" if rest else f"{left // size}{name}"
    return f"{left}s"
