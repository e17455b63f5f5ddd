"""Every command answers alike with each engine of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.command_lines import LINES
from tests.process.store_engines import ENGINES, place_for, python_for, run
from tests.unit.command_stage import GOOD


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_answers_alike(engine: str, tmp_path: Path) -> None:
    python_for(engine)
    where = place_for(engine, tmp_path) if engine == "postgres" else engine
    assert run(engine, "tests.process.command_lines", where) == f"{len(GOOD) + len(LINES)} commands\n"
