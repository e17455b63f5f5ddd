"""kill -9 of writers, of PostgreSQL and of its processes, at any moment: what was acknowledged is there."""

from __future__ import annotations

import contextlib
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import postgres, store_engines
from tests.process.store_engines import run, start
from tests.process.waiting import wait_until

WRITER = "tests.process.store_writer"
ROUNDS = {"sqlite": 8, "gdbm": 6}


@contextlib.contextmanager
def loads(engine: str, where: str, name: str, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run so many writers, and end them."""
    writers = [start(engine, WRITER, engine, where, "load", f"{name}{number}") for number in range(count)]
    try:
        yield writers
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate(timeout=60)


def some_lines(writer: subprocess.Popen[bytes], count: int) -> list[bytes]:
    """Return the next acknowledged keys."""
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(count)]
    assert all(line.endswith(b"\n") for line in lines), "the writer ended by itself"
    return lines


def killed(writers: list[subprocess.Popen[bytes]]) -> list[bytes]:
    """Kill the writers and return what else they had acknowledged."""
    for writer in writers:
        writer.kill()
    lines: list[bytes] = []
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stderr is not None
        lines += writer.stdout.readlines()  # not communicate: what readline has buffered would be lost
        errors = writer.stderr.read()
        assert not errors, errors.decode()
    return lines


@pytest.mark.parametrize("engine", ROUNDS)
def test_a_killed_writer_loses_nothing_acknowledged(engine: str, tmp_path: Path) -> None:
    store_engines.python_for(engine)
    where = f"{tmp_path}/lonUsers"
    chance = random.Random(engine)
    acknowledged: list[bytes] = []
    for number in range(ROUNDS[engine]):
        with loads(engine, where, f"r{number}w", 2) as writers:
            for writer in writers:
                acknowledged += some_lines(writer, chance.randint(1, 6))
            time.sleep(chance.random() * 0.02)  # any moment of a change
            acknowledged += killed(writers)
        run(engine, WRITER, engine, where, "check", given=b"".join(acknowledged))
    assert list(Path(where).rglob(".*")) == []  # no copy is left lying about


@pytest.fixture
def own_server() -> Iterator[postgres.Postgres]:
    """A server that may be killed."""
    store_engines.python_for("postgres")
    server = postgres.Postgres()
    yield server
    server.end()


def test_a_killed_postgresql_loses_nothing_acknowledged(own_server: postgres.Postgres) -> None:
    acknowledged: list[bytes] = []
    with loads("postgres", own_server.url, "w", 2) as writers:
        for _ in range(3):
            for writer in writers:
                acknowledged += some_lines(writer, 10)
            own_server.kill()
            own_server.start()
            for writer in writers:
                acknowledged += some_lines(writer, 10)
            for pid in own_server.backends()[:1]:
                own_server.kill(pid)  # the postmaster ends all of them and recovers
            wait_until(own_server.serves, 60, "PostgreSQL has recovered")
        for writer in writers:
            acknowledged += some_lines(writer, 10)
        acknowledged += killed(writers)
    run("postgres", WRITER, "postgres", own_server.url, "check", given=b"".join(acknowledged))
