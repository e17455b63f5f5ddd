"""The bare engine in a tight loop, as one process: what lond could reach if it did nothing but ask its store.

    python -m tests.bench.londalone sqlite PATH | postgresql URL

Each line that it reads is an order, `get USER SECONDS` or `put USER SECONDS`; its answer is one line of JSON. The
statements, the transaction and the durability are those of lonc/lond/store; nothing of lond's own code is run.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence

from tests.bench.londcases import CHANGED, DOMAIN, FIXED, NAMESPACE, VALUE
from tests.bench.rounds import on_cpu_ns

Work = Callable[[bytes, int], None]  # of this user, the how manieth
_NAMESPACE, _FIXED, _CHANGED = NAMESPACE.encode(), FIXED.encode(), CHANGED.encode()


def main(arguments: Sequence[str]) -> int:
    """Carry out orders until there are no more."""
    engine, where = arguments
    work = _sqlite(where) if engine == "sqlite" else _postgresql(where)
    for line in sys.stdin:
        name, user, seconds = line.split()
        print(json.dumps(_timed(work[name], user.encode(), float(seconds))), flush=True)
    return 0


def _timed(work: Work, user: bytes, seconds: float) -> dict[str, float]:
    """Do the work again and again for so long; times in microseconds, CPU time per piece of work."""
    ran, waited = on_cpu_ns(os.getpid())
    now = time.perf_counter_ns
    took: list[int] = []
    began = last = now()
    ends = began + int(seconds * 1e9)
    while last < ends:
        work(user, len(took))
        here = now()
        took.append(here - last)
        last = here
    ran_now, waited_now = on_cpu_ns(os.getpid())
    took.sort()
    count, spent = len(took), last - began
    at = {share: took[min(int(count * share), count - 1)] / 1000 for share in (0.5, 0.99, 0.999)}
    return {
        "rate": count / spent * 1e9, "p50": at[0.5], "p99": at[0.99], "p999": at[0.999],
        "longest": took[-1] / 1000, "cpu": (ran_now - ran) / count / 1000, "waited": (waited_now - waited) / spent,
    }  # fmt: skip


def _line(count: int) -> bytes:
    return b"P:%d:%s=%s" % (int(time.time()), _CHANGED, _value(count))


def _value(count: int) -> bytes:
    return (b"c0n%d" % count).ljust(len(VALUE), b".")


def _sqlite(path: str) -> dict[str, Work]:
    link = sqlite3.connect(path, timeout=10, isolation_level=None)
    link.execute("pragma journal_mode = wal")
    link.execute("pragma synchronous = full")
    select = "select value from data where name = ? and namespace = ? and key = ?"
    insert = """insert into data (name, namespace, key, value) values (?, ?, ?, ?)
       on conflict (name, namespace, key) do update set value = excluded.value"""
    note = "insert into journal (name, namespace, line) values (?, ?, ?)"

    def get(user: bytes, _count: int) -> None:
        row = link.execute(select, (user, _NAMESPACE, _FIXED)).fetchone()
        assert row == (VALUE.encode(),), row

    def put(user: bytes, count: int) -> None:
        link.execute("begin immediate")
        link.execute(insert, (user, _NAMESPACE, _CHANGED, _value(count)))
        link.execute(note, (user, _NAMESPACE, _line(count)))
        link.execute("commit")

    return {"get": get, "put": put}


def _postgresql(url: str) -> dict[str, Work]:
    import psycopg  # here: only this engine needs it

    link = psycopg.connect(url, autocommit=True)
    link.execute("set synchronous_commit to on")
    place = "domain = %s and name = %s and namespace = %s and place = %s"
    select = f"select value from lond_data where {place}".encode()
    insert = b"""insert into lond_data (domain, name, namespace, place, value) values (%s, %s, %s, %s, %s)
       on conflict (domain, name, namespace, place) do update set value = excluded.value"""
    note = b"insert into lond_journal (domain, name, namespace, line) values (%s, %s, %s, %s)"
    domain = DOMAIN.encode()

    def get(user: bytes, _count: int) -> None:
        row = link.execute(select, (domain, user, _NAMESPACE, _FIXED), binary=True).fetchone()
        assert row == (VALUE.encode(),), row

    def put(user: bytes, count: int) -> None:
        with link.pipeline():  # one round trip
            link.execute(b"begin")
            link.execute(insert, (domain, user, _NAMESPACE, _CHANGED, _value(count)))
            link.execute(note, (domain, user, _NAMESPACE, _line(count)))
            link.execute(b"commit")

    return {"get": get, "put": put}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
