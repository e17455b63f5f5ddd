"""Runs tests against changed modules, one forked process each, out of one that has pytest at hand already.

A script of its own: `python warm.py JOBS LIMIT_S CPU_S < mutants`, in the directory of the copy of the tree. A
line of its input is a JSON list: key, name of the module, its file, the changed text, and the arguments
of one or more runs of pytest, of which the first that fails is the last. A line of its output: key, exit code of
pytest or minus the signal that ended it. Whoever takes longer is killed, and whoever uses more than CPU_S of
processor time.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any


class _Changed(importlib.machinery.SourceFileLoader):
    """Loads one module from a text instead of its file."""

    text = ""

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the code of the text."""
        return compile(self.text, self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds the changed module before anybody else does."""

    def __init__(self, name: str, path: str, text: str) -> None:
        self.name = name
        self.loader = _Changed(name, path)
        self.loader.text = text
        self.package = [os.path.dirname(path)] if path.endswith("__init__.py") else None

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the module's place when it is the changed one."""
        if name != self.name:
            return None
        where = self.loader.path
        return importlib.util.spec_from_file_location(
            name, where, loader=self.loader, submodule_search_locations=self.package
        )


def _judge(name: str, path: str, text: str, runs: list[list[str]]) -> int:
    """Run the tests in this process; return pytest's exit code, that of the first run that fails."""
    import pytest

    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    sys.meta_path.insert(0, _Finder(name, path, text))
    codes = (int(pytest.main(arguments)) for arguments in runs)
    return next(filter(None, codes), 0)


def _fork(mutant: list[Any], cpu_s: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
        code = _judge(*mutant[1:])
    finally:
        os._exit(code)


def main() -> None:
    """Judge all mutants that come in."""
    for name in ("hypothesis", "pytest"):  # once, for all processes forked
        importlib.import_module(name)
    sys.path[0] = os.getcwd()
    sys.dont_write_bytecode = True
    jobs, limit_s, cpu_s = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    waiting = [json.loads(line) for line in sys.stdin]
    waiting.reverse()
    running: dict[int, tuple[str, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[_fork(mutant, cpu_s)] = (mutant[0], time.monotonic() + limit_s)
        for pid, (_key, end) in running.items():
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in running:
            print(json.dumps([running.pop(pid)[0], os.waitstatus_to_exitcode(status)]), flush=True)
        elif not pid:
            time.sleep(0.005)


if __name__ == "__main__":
    main()
