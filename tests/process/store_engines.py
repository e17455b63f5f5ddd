"""Owns how the tests run the engines: which there are, in which Python, and processes that use them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.process import postgres
from tests.process.gdbm_python import MISSING, gdbm_environment, gdbm_python
from tests.process.waiting import TREE

ENGINES = ("sqlite", "gdbm", "postgres")


def python_for(engine: str) -> tuple[str, dict[str, str]]:
    """Return the Python, and its environment, in which the engine can run; skips when there is none."""
    if engine == "gdbm":
        python = gdbm_python()
        if python is None:
            pytest.skip(MISSING)
        return python, gdbm_environment()
    if engine == "postgres" and postgres.find_programs() is None:
        pytest.skip(postgres.MISSING)
    return sys.executable, dict(os.environ)


def start(engine: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a module of the tests in the Python of an engine, with pipes."""
    python, environment = python_for(engine)
    return subprocess.Popen(
        [python, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=TREE,
        env=environment,
    )


def run(engine: str, module: str, *arguments: str, given: bytes = b"") -> str:
    """Return what a module of the tests says when all is well, else fail with what it says."""
    process = start(engine, module, *arguments)
    said, errors = process.communicate(given, timeout=100)
    assert process.returncode == 0, (said + errors).decode("utf-8", "replace")
    return said.decode()


def place_for(engine: str, directory: object) -> str:
    """Return where the engine's data is to be: the directory, or the address of a server with nothing in it."""
    if engine != "postgres":
        return f"{directory}/lonUsers"
    python_for(engine)
    return postgres.empty(postgres.server())
