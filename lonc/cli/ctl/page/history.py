"""Owns what the page remembers: samples of the last hour, kept in lonc.json and continued by the next run.

A file that is missing, damaged, of another release or far too large begins a new history: it is a picture, and
nothing depends on it. Samples are the means between two of them, so nothing between them is lost.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lonc.cli.ctl.rates import Counts, Row
from lonc.system.files import SystemFiles, open_regular, read_all
from lonc.system.scoreboard import LATENCY_BUCKETS

FORMAT = 1
SPAN_S = 3600.0
MOST_SAMPLES = 360  # of a peer
FEWEST_SAMPLES = 30
ALL_SAMPLES = 40_000  # of all peers together, which makes some 3 MB
READ_LIMIT = 1 << 26  # bytes; a larger file is none of ours
EARLY_S = 1.5  # a run may come a little early for its sample
CURVES = ("rate", "p50_ms", "p99_ms")

Values = list[float | None]


@dataclass(slots=True)
class History:
    """at: when each sample was taken, wall seconds, ascending. peers: the values of each peer, as many as at.

    base_at and base: when the last sample was taken, and the counters then; 0.0: there is none.
    """

    at: list[float] = field(default_factory=list)
    peers: dict[str, dict[str, Values]] = field(default_factory=dict)
    base_at: float = 0.0
    base: dict[str, Counts] = field(default_factory=dict)

    def elapsed_s(self, now: float) -> float:
        """Return how long ago the base was; 0.0: there is none, or the clock was set, or it is too long ago."""
        elapsed = now - self.base_at
        return elapsed if self.base_at and 0 < elapsed <= SPAN_S else 0.0

    def add(self, now: float, rows: Sequence[Row], counts: Mapping[str, Counts]) -> None:
        """Take a sample if it is time for one, and forget what is too old or of peers that are gone."""
        elapsed = self.elapsed_s(now)
        if not elapsed:
            self.base_at, self.base = now, dict(counts)
        elif elapsed >= step_s(len(rows)) - EARLY_S:
            self._append(now, rows)
            self.base_at, self.base = now, dict(counts)
        self._forget(now, len(rows))

    def _append(self, now: float, rows: Sequence[Row]) -> None:
        known = len(self.at)
        self.at.append(math.floor(now * 10) / 10)  # never later than now
        before, self.peers = self.peers, {}
        for row in rows:
            curves = before.get(row.peer) or {name: [None] * known for name in CURVES}
            new = (row.requests_per_s, _ms(row.p50_s), _ms(row.p99_s))
            for name, value in zip(CURVES, new, strict=True):
                curves[name].append(None if value is None else _short(value))
            self.peers[row.peer] = curves

    def _forget(self, now: float, peers: int) -> None:
        """Keep the last hour, and of it as many samples as so many peers may have."""
        limit, step = samples_of(peers), step_s(peers)
        kept: list[int] = []
        last = math.inf
        for i in reversed(range(len(self.at))):
            if now - self.at[i] > SPAN_S or self.at[i] > now or len(kept) >= limit:
                continue
            # More than may be are of a time with fewer peers: of those the nearest to the new step stay.
            if len(self.at) <= limit or last - self.at[i] >= step - EARLY_S:
                kept.append(i)
                last = self.at[i]
        if len(kept) != len(self.at):
            kept.reverse()
            self.at = [self.at[i] for i in kept]
            self.peers = {
                peer: {name: [values[i] for i in kept] for name, values in curves.items()}
                for peer, curves in self.peers.items()
            }

    def total_rate(self) -> Values:
        """Return the requests per second of all peers together, for each sample."""
        sums: Values = []
        for i in range(len(self.at)):
            known = [value for curves in self.peers.values() if (value := curves["rate"][i]) is not None]
            sums.append(_short(sum(known)) if known else None)
        return sums


def samples_of(peers: int) -> int:
    """Return how many samples of each of so many peers are kept."""
    return min(MOST_SAMPLES, max(FEWEST_SAMPLES, ALL_SAMPLES // max(peers, 1)))


def step_s(peers: int) -> float:
    """Return the time between two samples of so many peers, in seconds."""
    return SPAN_S / samples_of(peers)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _short(value: float) -> float:
    """Return value with three digits: it is drawn 24 dots high."""
    return float(f"{value:.3g}")


# --- the file --------------------------------------------------------------------------------------------


def as_json(history: History) -> dict[str, object]:
    """Return the part of lonc.json that the next run continues."""
    return {
        "samples": {"at": history.at, "peers": history.peers},
        "counters": {
            "at": history.base_at,
            "peers": {
                peer: {"pid": c.pid, "requests": c.requests, "con_lost": c.con_lost, "latency_us": _packed(c)}
                for peer, c in history.base.items()
            },
        },
    }


def _packed(counts: Counts) -> dict[str, int]:
    """Return the buckets that hold anything, by their number."""
    return {str(i): counts.latency_us[i] for i in range(LATENCY_BUCKETS) if counts.latency_us[i]}


def load(path: str) -> tuple[History, str]:
    """Return the history in a lonc.json, and why it could not be used (empty: it could, or there is none)."""
    files = SystemFiles()
    try:
        fd = open_regular(files, path, os.O_RDONLY)
        try:
            data = read_all(files, fd, READ_LIMIT + 1)
        finally:
            files.close(fd)
        if len(data) > READ_LIMIT:
            return History(), f"{path} is too large"
        return _parsed(json.loads(data)), ""
    except FileNotFoundError:
        return History(), ""
    except OSError as error:
        return History(), f"{path}: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return History(), f"{path} holds no history of this release"


def _parsed(document: Any) -> History:
    """Return the history of a document; anything unexpected in it is one of the errors that load knows."""
    if document["format"] != FORMAT:
        raise ValueError("another release")
    samples, counters = document["samples"], document["counters"]
    at = [_number(value) for value in samples["at"]]
    if at != sorted(at) or len(at) > MOST_SAMPLES:
        raise ValueError("not in order")
    peers = {
        str(peer): {name: _values(curves[name], len(at)) for name in CURVES}
        for peer, curves in samples["peers"].items()
    }
    base = {str(peer): _counts(found) for peer, found in counters["peers"].items()}
    return History(at, peers, _number(counters["at"]), base)


def _number(value: object) -> float:
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(value)
    return float(value)


def _values(found: Sequence[object], count: int) -> Values:
    if len(found) != count:
        raise ValueError("another number of samples")
    return [None if value is None else _number(value) for value in found]


def _counts(found: Any) -> Counts:
    latency = [0] * LATENCY_BUCKETS
    for bucket, count in found["latency_us"].items():
        if not 0 <= int(bucket) < LATENCY_BUCKETS:
            raise ValueError(bucket)
        latency[int(bucket)] = int(_number(count))
    pid, requests, con_lost = (int(_number(found[name])) for name in ("pid", "requests", "con_lost"))
    return Counts(pid, requests, con_lost, tuple(latency))
