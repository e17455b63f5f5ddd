"""Owns the run of our own mutants and its results: build/mutation/PART/own.json, exit codes by key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

from tests.mutation.functions import TOLD_S
from tests.mutation.ground import ARGUMENTS
from tests.mutation.operators import Change, changes
from tests.mutation.parts import Part
from tests.mutation.results import SURVIVED, Mutant, difference, verdict
from tests.mutation.warm import BROKEN

_KEPT_EVERY = 20  # results are written at least so often
LEAST_LIMIT_S = 120.0  # for a mutant that waits for ever
CPU_S = 20  # for one that computes for ever: the tests of a part need a few seconds


def run(part: Part, jobs: int, *, tests_changed: bool) -> None:
    """Run every mutant that has no verdict yet; what survived is tried again when a test has changed."""
    codes = _load(part)
    if tests_changed:
        codes = {key: code for key, code in codes.items() if verdict(code) != SURVIVED}
    mutants = {_key(file, change): (file, change) for file, change in _all(part)}
    codes = {key: code for key, code in codes.items() if key in mutants}
    lines = [_line(part, key, *mutants[key]) for key in mutants if key not in codes]
    limits = [str(_limit_s(part)), str(CPU_S)]
    command = [sys.executable, str(Path(__file__).with_name("warm.py")), str(jobs), *limits]
    wanted = part.ground / "own-wanted.jsonl"
    wanted.write_text("".join(lines), "utf-8")
    told = time.monotonic()
    done = 0
    with (
        wanted.open(encoding="utf-8") as stream,
        subprocess.Popen(
            command, cwd=part.ground, env=_alone(), stdin=stream, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for answer in process.stdout:
            key, code = json.loads(answer)
            if code == BROKEN:
                raise RuntimeError(f"{key} could not be judged")
            codes[key] = code
            done += 1
            if done % _KEPT_EVERY == 0:
                _save(part, codes)
            if time.monotonic() - told > TOLD_S:
                told = time.monotonic()
                print(f"{part.name}: outside of functions, and statements: {done} of {len(lines)}", flush=True)
    _save(part, codes)
    if process.returncode:
        raise RuntimeError(f"the run of our own mutants ended with status {process.returncode}")


def found(part: Part) -> list[Mutant]:
    """Return every mutant of our own, in the order of the files."""
    codes = _load(part)
    return [
        Mutant(file, one.function, *difference(one.before, one.after), verdict(codes.get(_key(file, one))))
        for file, one in _all(part)
    ]


def _all(part: Part) -> list[tuple[str, Change]]:
    files = [(name, part.ground / name) for name in part.source_files(part.ground)]
    return [(name, change) for name, place in files for change in changes(place.read_text("utf-8"))]


def _key(file: str, change: Change) -> str:
    return f"{file}:{change.key}"


def _line(part: Part, key: str, file: str, change: Change) -> str:
    module = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    groups = [group for group in _groups(part, module) if group]
    place = str(part.ground / file)
    return json.dumps([key, module, place, change.text, change.inside, ARGUMENTS, groups]) + "\n"


@cache
def _groups(part: Part, module: str) -> tuple[list[str], ...]:
    """Return the tests by how soon they find a change: named after the module, using it, all others."""
    groups: tuple[list[str], ...] = ([], [], [])
    for test in part.test_files(part.ground):
        uses = module in (part.ground / test).read_text("utf-8")
        groups[0 if module.rpartition(".")[2] in test else 1 if uses else 2].append(test)
    return groups


def _alone() -> dict[str, str]:
    """Return an environment in which pytest looks for no plugins: that takes longer than many a test."""
    return {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _limit_s(part: Part) -> float:
    """Return the time limit of one mutant: far above what the tests need; AssertionError if they fail."""
    start = time.monotonic()
    command = [sys.executable, "-m", "pytest", *ARGUMENTS, *part.test_files(part.ground)]
    done = subprocess.run(command, cwd=part.ground, env=_alone(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return max(LEAST_LIMIT_S, 20 * (time.monotonic() - start))


def _load(part: Part) -> dict[str, int]:
    try:
        codes: dict[str, int] = json.loads((part.ground / "own.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return codes


def _save(part: Part, codes: dict[str, int]) -> None:
    place = part.ground / "own.json.new"
    place.write_text(json.dumps(codes, indent=1), "utf-8")
    place.replace(part.ground / "own.json")
