"""Every engine of the store does what the interface says, also with many processes at once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.process import store_engines
from tests.process.store_checks import CHECKS
from tests.process.store_engines import ENGINES, place_for, run, start

CHECK = "tests.process.store_checks"
WRITER = "tests.process.store_writer"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine that can run here."""
    store_engines.python_for(request.param)
    return str(request.param)


@pytest.mark.parametrize("name", CHECKS)
def test_the_interface_is_kept(engine: str, name: str, tmp_path: Path) -> None:
    where = place_for(engine, tmp_path) if engine == "postgres" else str(tmp_path)
    assert run(engine, CHECK, engine, where, name).split() == [name]


def test_no_addition_of_many_writers_is_lost(engine: str, tmp_path: Path) -> None:
    where = place_for(engine, tmp_path)  # nothing is there yet: they also make database and tables at once
    writers = [start(engine, WRITER, engine, where, "count", "25") for _ in range(4)]
    for writer in writers:
        _said, errors = writer.communicate(timeout=100)
        assert writer.returncode == 0, errors.decode()
    assert run(engine, "tests.process.store_one", engine, where, "n") == "100\n"


def test_a_reader_waits_for_no_writer_that_stands_still(engine: str, tmp_path: Path) -> None:
    where = place_for(engine, tmp_path)
    run(engine, WRITER, engine, where, "count", "1")
    writer = start(engine, "tests.process.store_one", engine, where, "hold")
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"held\n"
    writer.send_signal(signal.SIGSTOP)
    try:
        assert run(engine, "tests.process.store_one", engine, where, "n") == "1\n"
    finally:
        writer.kill()
        writer.communicate(timeout=60)
    run(engine, WRITER, engine, where, "count", "1")
    assert run(engine, "tests.process.store_one", engine, where, "n") == "2\n"
