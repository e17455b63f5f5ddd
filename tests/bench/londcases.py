"""Owns what is measured of lond: its cases, their rows, and what each row is compared with. No processes.

A row is a way to have the same work done: by the bare engine in a tight loop of Python, or by lond over a link.
"""

from __future__ import annotations

from tests.bench.cases import Case, Row

KEY = "lond"  # of `--only`
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
ENGINES = (SQLITE, POSTGRESQL)
IN_FLIGHT = 32
SECONDS = 0.3  # of each run of each row, at most: there are many
OWN_ID = "lond1"
DOMAIN, NAMESPACE = "msu", "environment"
USER = "bench"  # with the number of the link behind it: those of several links do not meet
ALONE_USER = "alone"  # the same for the bare engine's processes
FIXED, CHANGED = "fixed", "changed"  # the key that is read, and the one that is written
VALUE = "a_value_of_32_bytes_that_is_kept"
KEYS = 100  # of each user, beside these two
PUT_BYTES = 96  # of a request, without newline
# Why a row is: what does the work.
ENGINE, STUB, LOND = "engine", "C stub", "lond"
ALONE, ALONE_ALL = "engine alone", "engine alone, all cores"
STUB_ONE, STUB_PIPED = "C stub, lock-step", f"C stub, {IN_FLIGHT} in flight"
ONE, PIPED = "lond, lock-step", f"lond, {IN_FLIGHT} in flight"
ALL_ONE, ALL_PIPED = "lond, all cores, lock-step", f"lond, all cores, {IN_FLIGHT} in flight"
# What a row is a ratio of, where it is one.
AGAINST = {ONE: ALONE, PIPED: ALONE, ALL_ONE: ALONE_ALL, ALL_PIPED: ALONE_ALL}
AGAINST_STUB = {ONE: STUB_ONE, PIPED: STUB_PIPED}
REQUESTS = {
    "ping": ("-r", "ping", "-e", OWN_ID),
    "get": ("-r", f"get:{DOMAIN}:{USER}#:{NAMESPACE}:{FIXED}", "-e", VALUE),
    "put": ("-r", f"put:{DOMAIN}:{USER}#:{NAMESPACE}:{CHANGED}=@", "-e", "ok", "-s", str(PUT_BYTES)),
}


def lond_cases(cores: int) -> list[Case]:
    """Return the cases in the order of a round; cores: links and processes of the rows that use all of them."""
    every = (
        _row(ONE, LOND, 1, 1), _row(PIPED, LOND, 1, IN_FLIGHT),
        _row(ALL_ONE, LOND, cores, 1), _row(ALL_PIPED, LOND, cores, IN_FLIGHT),
    )  # fmt: skip
    stub = (_row(STUB_ONE, STUB, 1, 1), _row(STUB_PIPED, STUB, 1, IN_FLIGHT))
    alone = (_row(ALONE, ENGINE, 1, 1), _row(ALONE_ALL, ENGINE, cores, 1))
    found = [Case("lond-ping", "lond: ping", REQUESTS["ping"], (*stub, *every))]
    for engine in ENGINES:
        for work in ("get", "put"):
            rows = (alone[0], *every[:2], alone[1], *every[2:])
            found.append(Case(f"lond-{work}-{engine.lower()}", f"lond: {work}, {engine}", REQUESTS[work], rows))
    return found


def _row(label: str, way: str, links: int, depth: int) -> Row:
    return Row(label, way, ("-c", str(links), "-P", str(depth)))


def links_of(row: Row) -> int:
    """Return how many links, or processes of the bare engine, a row uses."""
    return int(row.options[row.options.index("-c") + 1])


def engine_of(case: Case) -> str:
    """Return the engine that a case needs: SQLite where the work needs none."""
    return next((engine for engine in ENGINES if case.key.endswith(f"-{engine.lower()}")), SQLITE)


def work_of(case: Case) -> str:
    """Return what is asked for: a key of REQUESTS."""
    return case.key.split("-")[1]


def against(case: Case, row: Row) -> str:
    """Return the label of the row that this one is a ratio of, "" for none."""
    return (AGAINST_STUB if work_of(case) == "ping" else AGAINST).get(row.label, "")
