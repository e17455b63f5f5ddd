"""Owns measuring lond's throughput: two servers and the bare engines, and the interleaved rounds of their rows.

A lond over SQLite, one over a PostgreSQL of its own, the stub, and for each engine as many processes with a tight
loop as there are cores. All run at once and wait; one row at a time is asked. Every other round goes backwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Self

from lonc.config import load_config
from lonc.errors import LoncError
from lonc.lond.store import Owner, open_store
from lonc.lond.store.sqlite import FILE_NAME
from tests.bench.cases import Case, Row
from tests.bench.kit import TREE, Kit, Stub, load
from tests.bench.londcases import (
    ALONE_USER,
    DOMAIN,
    ENGINE,
    FIXED,
    KEYS,
    LOND,
    NAMESPACE,
    OWN_ID,
    POSTGRESQL,
    SECONDS,
    SQLITE,
    USER,
    VALUE,
    engine_of,
    links_of,
    work_of,
)
from tests.bench.rivals import Cores, Missing
from tests.bench.rounds import on_cpu_ns
from tests.bench.sums import Sample
from tests.process.lond_site import LondSite
from tests.process.postgres import MISSING, Postgres, find_programs
from tests.process.waiting import wait_until

WARM_UP_S = 0.1
PATIENCE_S = 30.0
Figures = Mapping[str, float]


class Server:
    """A running lond with as many workers as links are used, and users that have data. store: londStore."""

    def __init__(self, store: str, links: int) -> None:
        workers = max(2, links)
        self.site = LondSite(
            own_id=OWN_ID,
            settings={"londStore": store, "londIdleWorkers": str(workers), "londMaxWorkers": str(workers)},
        )
        try:
            self._fill(links)
            self.site.start()
            wait_until(lambda: len(self.site.workers()) == workers, PATIENCE_S, f"{workers} workers")
            self.workers = tuple(self.site.workers())
        except BaseException:
            self.close()
            raise

    def _fill(self, links: int) -> None:
        """Make the users of lond's rows and those of the bare engine's."""
        store = open_store(load_config(str(self.site.conf_dir)))
        try:
            for name in [f"{kind}{number}" for kind in (USER, ALONE_USER) for number in range(links)]:
                owner = Owner(DOMAIN.encode(), name.encode())
                assert store.create_account(owner, b"internal:")
                with store.writing(owner, NAMESPACE.encode(), b"P:0:filled") as space:
                    space.put(FIXED.encode(), VALUE.encode())
                    for key in range(KEYS):
                        space.put(b"key%d" % key, VALUE.encode())
        finally:
            store.close()

    def target(self) -> list[str]:
        """Return uxload's options for this server, the whole dialogue among them."""
        return ["-a", self.site.address, "-p", str(self.site.port), "-i", OWN_ID, "-H"]

    def close(self) -> None:
        """End the server and remove its files."""
        self.site.cleanup()


class Alone:
    """One process that does the work on the bare engine. arguments: of londalone."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.bench.londalone", *arguments]
        self.process = subprocess.Popen(
            command, cwd=TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def begin(self, work: str, user: str, seconds: float) -> None:
        """Have it work for so long."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{work} {user} {seconds}\n")

    def found(self) -> Figures:
        """Return what came of it, once it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the bare engine's process has ended"
        figures: Figures = json.loads(line)
        return figures

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


class LondRounds:
    """Runs lond's cases and keeps their samples; skipped, failed: what was left out or went wrong, and why."""

    def __init__(self, kit: Kit, cores: Cores, seconds: float) -> None:
        self.samples: dict[tuple[str, str], list[Sample]] = {}
        self.skipped: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self._kit = kit
        self._cores = cores
        self._all = sorted(os.sched_getaffinity(0))
        self._seconds = min(seconds, SECONDS)
        self._stack = ExitStack()
        stub = self._stack.enter_context(Stub(kit, own_id=OWN_ID))
        cores.pin(stub.process.pid)
        self._stub = ["-p", str(stub.port), "-i", OWN_ID, "-H"]
        self._servers: dict[str, Server] = {}
        self._alone: dict[str, list[Alone]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, cases: Sequence[Case], rounds: int) -> None:
        """Run all rows so many times; what fails is noted, the rest goes on."""
        possible = [case for case in cases if self._ready(case)]
        for number in range(rounds):
            print(f"lond, round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for case in possible:
                for row in reversed(case.rows) if number % 2 else case.rows:
                    try:
                        self._run(case, row)
                    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
                        self.failed[f"{case.title}, {row.label}, round {number + 1}"] = str(error)[:500]

    def _ready(self, case: Case) -> bool:
        """Return whether the case's engine is there, started if it was not."""
        engine = engine_of(case)
        if engine not in self._servers and engine not in self.skipped | self.failed:
            try:
                self._start(engine)
            except Missing as reason:
                self.skipped[f"lond, {engine}"] = str(reason)
            except (AssertionError, LoncError, OSError, subprocess.TimeoutExpired) as error:
                self.failed[f"lond, {engine}"] = str(error)[:500]
        return engine in self._servers

    def _start(self, engine: str) -> None:
        store = "sqlite"
        if engine == POSTGRESQL:
            if find_programs() is None:
                raise Missing(MISSING)
            postgres = Postgres()
            self._stack.callback(postgres.end)
            store = postgres.url
        server = Server(store, len(self._all))
        self._stack.callback(server.close)
        where = str(server.site.root / "users" / DOMAIN / FILE_NAME) if engine == SQLITE else store
        for _ in self._all:
            alone = Alone(engine.lower(), where)
            self._stack.callback(alone.close)
            self._alone.setdefault(engine, []).append(alone)
        self._servers[engine] = server

    def _run(self, case: Case, row: Row) -> None:
        key = (case.key, row.label)
        if key not in self.samples:
            self._measure(case, row, WARM_UP_S)
        self.samples.setdefault(key, []).append(self._measure(case, row, self._seconds))

    def _measure(self, case: Case, row: Row, seconds: float) -> Sample:
        if row.way == ENGINE:
            return self._by_engine(case, row, seconds)
        return self._by_load(case, row, seconds)

    def _by_engine(self, case: Case, row: Row, seconds: float) -> Sample:
        """Have the bare engine's processes work side by side: rates are added up, times are the slowest's."""
        links = links_of(row)
        working = self._alone[engine_of(case)][:links]
        for number, alone in enumerate(working):
            core = self._cores.daemon if links == 1 else self._all[number]
            os.sched_setaffinity(alone.process.pid, {core})
            alone.begin(work_of(case), f"{ALONE_USER}{number}", seconds)
        found = [alone.found() for alone in working]
        worst = {name: max(one[name] for one in found) for name in ("p50", "p99", "p999", "longest")}
        rate = sum(one["rate"] for one in found)
        cpu = sum(one["cpu"] * one["rate"] for one in found) / rate
        return Sample(rate=rate, **worst, cpu=cpu, waited=None)

    def _by_load(self, case: Case, row: Row, seconds: float) -> Sample:
        server = self._servers[engine_of(case)] if row.way == LOND else None
        alone_on_core = links_of(row) == 1
        workers = server.workers if server else ()
        for pid in workers:
            os.sched_setaffinity(pid, {self._cores.daemon} if alone_on_core else self._all)
        wrapper = self._cores.load_wrapper() if alone_on_core else ()
        before = [on_cpu_ns(pid) for pid in workers]
        began = time.monotonic_ns()
        target = server.target() if server else self._stub
        found = load(self._kit, *target, *case.options, *row.options, "-t", f"{seconds:g}", wrapper=wrapper)
        assert found.good, f"{case.title}, {row.label}: {found.line} {found.errors}"
        spent = time.monotonic_ns() - began
        after = [on_cpu_ns(pid) for pid in workers]
        ran, waited = (sum(now[at] - then[at] for then, now in zip(before, after, strict=True)) for at in (0, 1))
        figures = found.figures
        quiet = alone_on_core and server is not None and engine_of(case) == SQLITE  # nothing of ours on that core
        return Sample(
            rate=figures["req/s"], p50=figures["p50"], p99=figures["p99"], p999=figures["p99.9"],
            longest=figures["max"], cpu=ran / figures["requests"] / 1000 if server else None,
            waited=waited / spent if quiet else None,
        )  # fmt: skip
