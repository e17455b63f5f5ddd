"""Turns a snapshot into Prometheus's metric families: names, units and meanings stand in one table.

Labels: `peer`, and `state` where a state is told as one 0 or 1 for each (besides Prometheus's own `le`, and the
version in lonc_build_info). What only a living child can tell is left out where none lives: a counter that is
gone is no counter at 0. A child's counters begin anew with it, as Prometheus expects of a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from lonc import __version__
from lonc.cli.ctl.rates import GROUPS, rows
from lonc.cli.ctl.snapshot import Life, Peer, Snapshot
from lonc.system.scoreboard import LATENCY_BUCKETS, ChildRecord, bucket_limit_s

# All below is one bucket: nothing comes back over a network within 64 us, and every bucket costs every peer.
FIRST_BUCKET = 6
LABEL_PEER = ["peer"]
# What the replies of a bucket took on the average, in parts of its upper limit, for the sum.
_MEAN_OF_BUCKET = 0.75


@dataclass(frozen=True, slots=True)
class Plain:
    """A family without labels. value: None leaves it out."""

    name: str
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily]
    about: str
    value: Callable[[Snapshot], float | None]
    unit: str = ""


@dataclass(frozen=True, slots=True)
class OfPeer:
    """A family with one series for each peer. value: None leaves the peer out."""

    name: str
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily]
    about: str
    value: Callable[[Snapshot, Peer], float | None]
    unit: str = ""


def _header(name: str) -> Callable[[Snapshot], float | None]:
    """Return what reads a field of the parent's record; a time of 0.0 is none."""

    def value(snapshot: Snapshot) -> float | None:
        header = snapshot.daemon.header
        found = None if header is None else float(getattr(header, name))
        return None if name == "started" and not found else found

    return value


def _descriptors(name: str) -> Callable[[Snapshot], float | None]:
    def value(snapshot: Snapshot) -> float | None:
        found = snapshot.daemon.descriptors
        return None if found is None else float(getattr(found, name))

    return value


def _live(name: str) -> Callable[[Snapshot, Peer], float | None]:
    """Return what reads a field of a living child's record."""
    return lambda _snapshot, peer: None if peer.live is None else float(getattr(peer.live, name))


def _pile(name: str) -> Callable[[Snapshot, Peer], float | None]:
    return lambda _snapshot, peer: float(getattr(peer.piles, name).count)


def _oldest_s(snapshot: Snapshot, peer: Peer) -> float:
    pile = peer.piles.delayed
    return max(0.0, snapshot.at_wall - pile.oldest_wall) if pile.count else 0.0


def _attempts(_snapshot: Snapshot, peer: Peer) -> float | None:
    return None if peer.parent is None else float(peer.parent.attempts)


def _changed(_snapshot: Snapshot, peer: Peer) -> float | None:
    record = peer.live or peer.parent
    return None if record is None or not record.since else record.since


_GAUGE, _COUNTER = GaugeMetricFamily, CounterMetricFamily

PLAIN = (
    Plain("lonc_up", _GAUGE, "1 if lonc runs (its parent holds the lock), else 0",
          lambda snapshot: float(snapshot.daemon.life is Life.RUNNING)),
    Plain("lonc_start_time_seconds", _GAUGE, "When lonc was started, seconds since 1970", _header("started"),
          "seconds"),
    Plain("lonc_restarts", _COUNTER, "Restarts in place since lonc was started", _header("restarts")),
    Plain("lonc_parent_lost_log_lines", _COUNTER, "Lines of the parent that could not be written to the log",
          _header("lost_lines")),
    Plain("lonc_open_fds", _GAUGE, "Open file descriptors of the parent", _descriptors("open")),
    Plain("lonc_max_fds", _GAUGE, "File descriptors that the parent may open", _descriptors("limit")),
    Plain("lonc_scoreboard_readable", _GAUGE, "1 if the scoreboard could be read, else 0",
          lambda snapshot: float(not snapshot.daemon.board_why)),
    Plain("lonc_hosts_table_usable", _GAUGE, "1 if hosts.tab can be used, else 0",
          lambda snapshot: float(snapshot.table is not None)),
    Plain("lonc_hosts_table_warnings", _GAUGE, "Lines of hosts.tab that were passed over with a warning",
          lambda snapshot: None if snapshot.table is None else float(len(snapshot.table.warnings))),
    Plain("lonc_delayed_directory_readable", _GAUGE, "1 if the delayed directory can be listed, else 0",
          lambda snapshot: float(not snapshot.delayed_why)),
    Plain("lonc_stray_messages", _GAUGE, "Delayed messages for ids that nobody has",
          lambda snapshot: float(snapshot.strays.delayed.count)),
    Plain("lonc_disk_free_bytes", _GAUGE, "Room on the fullest file system that lonc writes to",
          lambda snapshot: min((float(room.bytes_free) for room in snapshot.room), default=None), "bytes"),
)  # fmt: skip

OF_PEER = (
    OfPeer("lonc_peer_up", _GAUGE, "1 if a link to the peer is ready, else 0",
           lambda _snapshot, peer: float(peer.up)),
    OfPeer("lonc_peer_state_change_time_seconds", _GAUGE, "When the state last changed, seconds since 1970",
           _changed, "seconds"),
    OfPeer("lonc_peer_beat_age_seconds", _GAUGE, "Time since the loop of the peer's child last turned",
           lambda _snapshot, peer: peer.beat_age_s, "seconds"),
    OfPeer("lonc_peer_attempts", _GAUGE, "Restarts of the child that count towards giving up", _attempts),
    OfPeer("lonc_peer_clients", _GAUGE, "Clients connected", _live("clients")),
    OfPeer("lonc_peer_links", _GAUGE, "Links that are ready", _live("links")),
    OfPeer("lonc_peer_in_flight_requests", _GAUGE, "Requests sent whose reply is awaited", _live("in_flight")),
    OfPeer("lonc_peer_queued_requests", _GAUGE, "Requests that wait to be sent", _live("queued")),
    OfPeer("lonc_peer_delayed_messages", _GAUGE, "Delayed messages that wait on the disk", _pile("delayed")),
    OfPeer("lonc_peer_delayed_oldest_age_seconds", _GAUGE, "Age of the oldest delayed message, 0 without one",
           _oldest_s, "seconds"),
    OfPeer("lonc_peer_rejected_messages", _GAUGE, "Messages on the disk that the peer refused", _pile("rejected")),
    OfPeer("lonc_peer_corrupt_messages", _GAUGE, "Messages on the disk that cannot be sent", _pile("corrupt")),
    OfPeer("lonc_peer_held_messages", _GAUGE, "Messages on the disk held by the operator", _pile("held")),
    OfPeer("lonc_peer_requests", _COUNTER, "Requests of clients", _live("requests")),
    OfPeer("lonc_peer_replies", _COUNTER, "Replies handed to clients", _live("replies")),
    OfPeer("lonc_peer_con_lost", _COUNTER, "Requests answered with con_lost", _live("con_lost")),
    OfPeer("lonc_peer_rejections", _COUNTER, "Requests and messages that were refused", _live("rejected")),
    OfPeer("lonc_peer_received_bytes", _COUNTER, "Bytes received from the peer", _live("bytes_in"), "bytes"),
    OfPeer("lonc_peer_sent_bytes", _COUNTER, "Bytes sent to the peer", _live("bytes_out"), "bytes"),
    OfPeer("lonc_peer_links_opened", _COUNTER, "Links that were opened", _live("links_opened")),
    OfPeer("lonc_peer_delayed_sent", _COUNTER, "Delayed messages sent and answered", _live("delayed_sent")),
    OfPeer("lonc_peer_lost_log_lines", _COUNTER, "Lines of the peer's child that could not be written to the log",
           _live("lost_lines")),
)  # fmt: skip

BUILD = ("lonc_build", "The release of the tool that tells this")
STATE = ("lonc_peer_state", "1 for the state that the peer is in, 0 for the others")
LATENCY = (
    "lonc_peer_latency_seconds",
    "From a request's sending to its reply; the sum is estimated from the buckets",
)  # fmt: skip


class SnapshotCollector(Collector):
    """Gives the registry the families of a snapshot that is taken at every collection."""

    def __init__(self, take: Callable[[], Snapshot]) -> None:
        self._take = take

    def collect(self) -> Iterator[Metric]:
        """Return all families at this moment."""
        return families(self._take())

    def describe(self) -> list[Metric]:
        """Return no names beforehand, so that nothing is taken when this is registered."""
        return []


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Return every family of a snapshot, in the order of the tables; one without any series is left out."""
    build = InfoMetricFamily(*BUILD)
    build.add_metric([], {"version": __version__})
    yield build
    for plain in PLAIN:
        value = plain.value(snapshot)
        if value is not None:
            family = plain.kind(plain.name, plain.about, labels=[], unit=plain.unit)
            family.add_metric([], value)
            yield family
    for of_peer in OF_PEER:
        family = of_peer.kind(of_peer.name, of_peer.about, labels=LABEL_PEER, unit=of_peer.unit)
        for peer in snapshot.peers:
            value = of_peer.value(snapshot, peer)
            if value is not None:
                family.add_metric([peer.id], value)
        if family.samples:
            yield family
    if snapshot.peers:
        yield _states(snapshot)
    if any(peer.live for peer in snapshot.peers):
        yield _latencies(snapshot)


def _states(snapshot: Snapshot) -> Metric:
    family = GaugeMetricFamily(*STATE, labels=["peer", "state"])
    for row in rows(snapshot, {}, 0.0):
        for group in GROUPS:
            family.add_metric([row.peer, group], float(row.group == group))
    return family


def _latencies(snapshot: Snapshot) -> Metric:
    family = HistogramMetricFamily(*LATENCY, labels=LABEL_PEER, unit="seconds")
    for peer in snapshot.peers:
        if peer.live is not None:
            family.add_metric([peer.id], _buckets(peer.live), _sum_s(peer.live))
    return family


def _limits() -> list[str]:
    """Return the upper limits of the buckets as they are told; `+Inf` is the last."""
    numbers = range(FIRST_BUCKET, LATENCY_BUCKETS - 1)
    return [*(repr(bucket_limit_s(number)) for number in numbers), "+Inf"]


_LIMITS = _limits()


def _buckets(record: ChildRecord) -> list[tuple[str, float]]:
    """Return limit and count of each bucket, every one with all below it."""
    total = sum(record.latency_us[:FIRST_BUCKET])
    found: list[tuple[str, float]] = []
    for limit, count in zip(_LIMITS, record.latency_us[FIRST_BUCKET:], strict=True):
        total += count
        found.append((limit, float(total)))
    return found


def _sum_s(record: ChildRecord) -> float:
    """Return what all replies took together, guessed from the buckets; of the last the lower limit counts."""
    inner = LATENCY_BUCKETS - 1
    guessed = sum(record.latency_us[i] * bucket_limit_s(i) * _MEAN_OF_BUCKET for i in range(inner))
    return guessed + record.latency_us[inner] * bucket_limit_s(inner - 1)
