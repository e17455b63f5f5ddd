"""Owns what is measured with the load generator: the cases, their rows, and the goals they are held to."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.rivals import (
    CEILING,
    CROWD_CEILING,
    CROWD_HAPROXY,
    CROWD_LONC,
    DIRECT,
    HAPROXY,
    HAPROXY_LARGE,
    LINKS_10,
    LONC,
    SOCAT,
    WINDOW_1,
    WINDOW_4096,
)

ENCRYPTED = "lonc, encrypt:"
GROWTH_SIZES = (1, 10, 100, 1000, 10000)
KIB = ("-c", "16", "-s", "1024")
SLEEPER = ("-c", "1", "-r", "sleep:1000")
BESIDE = " + sleeper"
BESIDE_S = 2.2  # of a run beside a sleeper: it holds at least two of its requests from their beginning


@dataclass(frozen=True, slots=True)
class Row:
    """One bar: a way, and uxload's options besides those of the case.

    beside: the options of a second uxload that runs meanwhile and is not measured.
    """

    label: str
    way: str
    options: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio of medians must reach. field: of a Sample; above: at least the limit, else at most.

    against "": the figure itself is held to the limit. why: the known reason, told when the goal is missed.
    """

    row: str
    against: str
    limit: float
    field: str = "rate"
    above: bool = True
    text: str = ""  # in place of the words made of the rest
    why: str = ""


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
    half_rate_of: str = ""  # open loop at half of what lonc reaches in the same round: of which case
    wide: bool = False  # the figures lie so far apart that the picture shows them logarithmically


# Why goals are missed, as far as it is known; doc/performance.md has the figures.
PYTHON = "most of a request are system calls that the ceiling makes as well; the rest is Python and accounting"
CROWDED = (
    "the more clients, the longer the ceiling's turns and the less its link costs it, while Python's share stays; "
    "the row with window 4096 shows what waiting for a place in the window of 256 adds"
)
CALLS = (
    "a connection costs more calls than the ceiling's six: who asks is looked up, and Python makes objects for it"
)
WAKE_UPS = (
    "nothing is shared with anybody: two sleeps and two wake-ups of each process are nearly all of it (the C "
    "ceiling shows what they cost), and Python comes on top"
)
IDEA_BOUND = (
    "IDEA takes half of the processor time (the split stands with the case) and hexadecimal frames double the "
    "bytes on the link; more blocks in one call bring nothing, since those of a frame are one call already"
)
LONG_READS = "a reply of 1 MiB is many reads of the link, and a turn of the loop is dear beside a copy of 64 KiB"
BURSTS = "all that stands between load and stub waits when the machine does: compare the p99 of the other rows"
SPREAD = (
    "requests that were given to the sleeping one's link within loncSpreadAfter of its beginning wait for its "
    "end, and choosing among links costs time in each request"
)


def _rows(*ways: str) -> tuple[Row, ...]:
    return tuple(Row(way, way) for way in ways)


def _goals(why: str, ceiling: float, haproxy: float, direct: float = 0.0) -> tuple[Goal, ...]:
    goals = [Goal(LONC, CEILING, ceiling, why=why), Goal(LONC, HAPROXY, haproxy, why=why)]
    return (*goals, Goal(LONC, DIRECT, direct, why=why)) if direct else tuple(goals)


def cases() -> list[Case]:
    """Return the cases with goals, in the order of a round."""
    all_ways = _rows(DIRECT, HAPROXY, WINDOW_1, LONC, LINKS_10, CEILING)
    once = (Row(DIRECT, DIRECT, ("-H",)), *all_ways[1:])
    return [
        Case("c64", "64 clients, 32 B", ("-c", "64", "-s", "32"), all_ways, _goals(PYTHON, 0.85, 1.6, 1.7)),
        Case("c1000", "1,000 clients, 32 B", ("-c", "1000", "-s", "32"),
             (*all_ways, Row(WINDOW_4096, WINDOW_4096)), _goals(CROWDED, 0.85, 1.6, 1.7), clients=1000),
        Case("once", "64 clients, one request per connection", ("-c", "64", "-s", "32", "-k", "1"), once,
             _goals(CALLS, 0.95, 3.3, 6.0)),
        Case("one", "1 client, 32 B", ("-c", "1", "-s", "32"),
             _rows(DIRECT, SOCAT, HAPROXY, WINDOW_1, LONC, LINKS_10, CEILING),
             (Goal(LONC, SOCAT, 1.0, "p50", False, why=WAKE_UPS),
              Goal(LONC, HAPROXY, 1.1, "p50", False, why=WAKE_UPS)), "p50", 1),
        Case("kib", "16 clients, 1 KiB", KIB,
             (*_rows(HAPROXY, LONC, LINKS_10), Row(ENCRYPTED, LONC, ("-r", "encrypt:@")), Row(CEILING, CEILING)),
             (Goal(ENCRYPTED, LONC, 0.25, why=IDEA_BOUND),), clients=16),
        Case("mib", "4 clients, 1 MiB replies", ("-c", "4", "-r", "size:1048576"),
             (*all_ways, Row(HAPROXY_LARGE, HAPROXY_LARGE)),
             (*_goals(LONG_READS, 0.8, 1.35), Goal(LONC, HAPROXY_LARGE, 1.35, why=LONG_READS)), clients=4),
        _sleeping(),
        Case("open", "open loop, 64 clients, half of lonc's maximum", ("-c", "64", "-s", "32"),
             _rows(HAPROXY, LONC, LINKS_10, CEILING),
             (Goal(LONC, "", 2000.0, "p99", False, "p99 under 2 ms", BURSTS),), "p99", half_rate_of="c64"),
    ]  # fmt: skip


def _sleeping() -> Case:
    """Return the case in which one client asks `sleep:1000` again and again beside the others."""
    ways = (DIRECT, HAPROXY, LONC, LINKS_10)
    rows = [row for way in ways for row in (Row(way, way), Row(way + BESIDE, way, beside=SLEEPER))]
    with_it = LINKS_10 + BESIDE
    goals = (
        Goal(with_it, LINKS_10, 2.0, "p99", False, why=SPREAD),
        Goal(with_it, HAPROXY + BESIDE, 1.0, "p99", False, why=SPREAD),
    )
    title = "32 clients, 32 B, beside one that asks `sleep:1000`"
    return Case("sleep", title, ("-c", "32", "-s", "32"), tuple(rows), goals, "p99", 33, wide=True)


def growth() -> list[Case]:
    """Return the cases of the growth curves: the same load from ever more clients."""
    rows = (Row(LONC, CROWD_LONC), Row(HAPROXY, CROWD_HAPROXY), Row(CEILING, CROWD_CEILING))
    return [
        Case(f"grow{size}", f"{size:,} clients" if size > 1 else "1 client", ("-c", str(size), "-s", "32"), rows,
             clients=size)
        for size in GROWTH_SIZES
    ]  # fmt: skip


def descriptors_needed(row: Row, clients: int) -> int:
    """Return how many descriptors the process that needs most of them must have open."""
    return (2 * clients if row.way in (HAPROXY, HAPROXY_LARGE, CROWD_HAPROXY) else clients) + 100
