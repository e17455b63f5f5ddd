"""Owns what is measured with the load generator: the cases, their rows, and the goals they are held to."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.rivals import (
    CEILING,
    CROWD_CEILING,
    CROWD_LONC,
    DIRECT,
    HAPROXY,
    HAPROXY_LARGE,
    LONC,
    SOCAT,
    WINDOW_1,
    WINDOW_4096,
)

ENCRYPTED = "lonc, encrypt:"
GROWTH_SIZES = (1, 10, 100, 1000, 10000)
KIB = ("-c", "16", "-s", "1024")


@dataclass(frozen=True, slots=True)
class Row:
    """One bar: a way, and uxload's options besides those of the case."""

    label: str
    way: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio of medians must reach. field: of a Sample; above: at least the limit, else at most.

    against "": the figure itself is held to the limit.
    """

    row: str
    against: str
    limit: float
    field: str = "rate"
    above: bool = True
    text: str = ""  # in place of the words made of the rest


@dataclass(frozen=True, slots=True)
class Case:
    """Rows that are compared with each other. field: what the picture shows. clients: connections needed."""

    key: str
    title: str
    options: tuple[str, ...]
    rows: tuple[Row, ...]
    goals: tuple[Goal, ...] = ()
    field: str = "rate"
    clients: int = 64
    half_rate_of: str = ""  # open loop at half of what this row reaches in the same round: of which case


def _rows(*ways: str) -> tuple[Row, ...]:
    return tuple(Row(way, way) for way in ways)


def _goals(ceiling: float, haproxy: float, direct: float = 0.0) -> tuple[Goal, ...]:
    goals = [Goal(LONC, CEILING, ceiling), Goal(LONC, HAPROXY, haproxy)]
    return (*goals, Goal(LONC, DIRECT, direct)) if direct else tuple(goals)


def cases() -> list[Case]:
    """Return the cases with goals, in the order of a round."""
    all_ways = _rows(DIRECT, HAPROXY, WINDOW_1, LONC, CEILING)
    once = (Row(DIRECT, DIRECT, ("-H",)), *all_ways[1:])
    return [
        Case("c64", "64 clients, 32 B", ("-c", "64", "-s", "32"), all_ways, _goals(0.85, 1.6, 1.7)),
        Case("c1000", "1,000 clients, 32 B", ("-c", "1000", "-s", "32"),
             (*all_ways, Row(WINDOW_4096, WINDOW_4096)), _goals(0.85, 1.6, 1.7), clients=1000),
        Case("once", "64 clients, one request per connection", ("-c", "64", "-s", "32", "-k", "1"), once,
             _goals(0.95, 3.3, 6.0)),
        Case("one", "1 client, 32 B", ("-c", "1", "-s", "32"),
             _rows(DIRECT, SOCAT, HAPROXY, WINDOW_1, LONC, CEILING),
             (Goal(LONC, SOCAT, 1.0, "p50", False), Goal(LONC, HAPROXY, 1.1, "p50", False)), "p50", 1),
        Case("kib", "16 clients, 1 KiB", KIB,
             (*_rows(HAPROXY, LONC), Row(ENCRYPTED, LONC, ("-r", "encrypt:@")), Row(CEILING, CEILING)),
             (Goal(ENCRYPTED, LONC, 0.25),), clients=16),
        Case("mib", "4 clients, 1 MiB replies", ("-c", "4", "-r", "size:1048576"),
             (*all_ways, Row(HAPROXY_LARGE, HAPROXY_LARGE)), (*_goals(0.8, 1.35), Goal(LONC, HAPROXY_LARGE, 1.35)),
             clients=4),
        Case("open", "open loop, 64 clients, half of lonc's maximum", ("-c", "64", "-s", "32"),
             _rows(HAPROXY, LONC, CEILING),
             (Goal(LONC, "", 2000.0, "p99", False, "p99 under 2 ms"),), "p99", half_rate_of="c64"),
    ]  # fmt: skip


def growth() -> list[Case]:
    """Return the cases of the growth curves: the same load from ever more clients."""
    rows = (Row(LONC, CROWD_LONC), Row(HAPROXY, HAPROXY), Row(CEILING, CROWD_CEILING))
    return [
        Case(f"grow{size}", f"{size:,} clients" if size > 1 else "1 client", ("-c", str(size), "-s", "32"), rows,
             clients=size)
        for size in GROWTH_SIZES
    ]  # fmt: skip


def descriptors_needed(row: Row, clients: int) -> int:
    """Return how many descriptors the process that needs most of them must have open."""
    return (2 * clients if row.way in (HAPROXY, HAPROXY_LARGE) else clients) + 100
