"""Runs tests against changed modules, one forked process each, out of one that has everything at hand already.

A script of its own: `python warm.py JOBS LIMIT_S CPU_S < mutants`, in the directory of the copy of the tree. A
line of its input is a JSON list: key, name of the module, its file, the changed text, the function that is changed
(`=TABLE`: a dictionary; empty: something else), the arguments of pytest, and groups of test files, those that find
most first. A line of its output: key, exit code of pytest or minus the signal that ended it, or BROKEN. Whoever
takes longer is killed, and whoever uses more than CPU_S of processor time.

Outside of functions a change shows when the module is imported: these processes are forked before anything of
ours is. A changed function or dictionary is put into the modules that one process has imported with all tests.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

BROKEN = 70  # the exit code when something else than a test went wrong


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


class Mutant:
    """One line of the input."""

    def __init__(self, line: str) -> None:
        self.key, self.module, self.path, self.text, self.function, self.arguments, self.groups = json.loads(line)

    def judge_afresh(self) -> int:
        """Import everything, this module from its text; return the code of the first pytest that fails."""
        for name in [name for name in sys.modules if name.partition(".")[0] in ("lonc", "tests")]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Finder(self.module, self.path, self.text))
        codes = (int(pytest.main([*self.arguments, *group])) for group in self.groups)
        return next(filter(None, codes), 0)

    def judge_in_place(self, items: list[pytest.Item], seconds: dict[str, float]) -> int:
        """Put the function into the modules that are here; return 0 when all tests pass, else 1."""
        if not put_in_place(sys.modules[self.module], self.path, self.text, self.function):
            return self.judge_afresh()
        places = {test: number for number, group in enumerate(self.groups) for test in group}

        def soonest(item: pytest.Item) -> tuple[int, float]:
            return places[item.nodeid.partition("::")[0]], seconds[item.nodeid]

        return int(any(_fails(item) for item in sorted(items, key=soonest)))


def put_in_place(module: ModuleType, path: str, text: str, function: str) -> bool:
    """Give each function of that name the code that it has in the text; False when that cannot be done."""
    if function.startswith("="):
        return _exchange(module, path, text, function[1:])
    target: Any = module
    for name in function.split("."):
        target = vars(target)[name]
    parts = (target.fget, target.fset, target.fdel) if isinstance(target, property) else (target,)
    found = {code.co_firstlineno: code for code in _codes(compile(text, path, "exec", dont_inherit=True))}
    done = False
    for part in parts:
        inner = getattr(getattr(part, "__func__", part), "__wrapped__", getattr(part, "__func__", part))
        if not isinstance(inner, FunctionType):
            continue
        code = found.get(inner.__code__.co_firstlineno)
        if code is None or code.co_freevars != inner.__code__.co_freevars:
            return False
        done = done or code != inner.__code__
        inner.__code__ = code
    return done


def _exchange(module: ModuleType, path: str, text: str, name: str) -> bool:
    """Give the dictionary of that name the entries that it has in the text."""
    found = [
        one for one in ast.parse(text).body if isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == name
    ]
    value = found[0].value
    assert value is not None
    new = eval(compile(ast.Expression(value), path, "eval"), vars(module))
    table: dict[object, object] = vars(module)[name]
    table.clear()
    table.update(new)
    return True


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)


def _fails(item: pytest.Item) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


class _Instead:
    """A plugin of pytest: what is done with the collected tests instead of running them once."""

    def __init__(self, then: Callable[[list[pytest.Item], dict[str, float]], None]) -> None:
        self.then = then

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all once without a change, which must pass; then hand them on with the seconds that each took."""
        assert not session.testsfailed, "the tests cannot be collected"
        seconds = {}
        for item in session.items:
            start = time.monotonic()
            assert not _fails(item), f"{item.nodeid} fails without a change"
            seconds[item.nodeid] = time.monotonic() - start
        self.then(session.items, seconds)
        return True


class Limits:
    """How many at once, seconds of each, and of processor time; and where the answers go."""

    def __init__(self, jobs: str, limit_s: str, cpu_s: str) -> None:
        self.jobs, self.limit_s, self.cpu_s = int(jobs), float(limit_s), int(cpu_s)
        self.out = os.fdopen(os.dup(1), "w")
        self.nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(self.nothing, 1)

    def fork(self, judge: Callable[[], int]) -> int:
        """Judge one mutant in a new process; return its pid."""
        pid = os.fork()
        if pid:
            return pid
        code = BROKEN
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (self.cpu_s, self.cpu_s + 1))
            for descriptor in (0, 1, 2):
                os.dup2(self.nothing, descriptor)
            code = judge()
        finally:
            os._exit(code)

    def judge_all(self, mutants: list[Mutant], judge: Callable[[Mutant], int]) -> None:
        """Judge each in a process of its own, and tell."""
        waiting = mutants[::-1]
        running: dict[int, tuple[str, float]] = {}
        while waiting or running:
            while waiting and len(running) < self.jobs:
                mutant = waiting.pop()
                pid = self.fork(functools.partial(judge, mutant))
                running[pid] = (mutant.key, time.monotonic() + self.limit_s)
            for pid, (_key, end) in running.items():
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # whatever it has left behind
                answer = [running.pop(pid)[0], os.waitstatus_to_exitcode(status)]
                print(json.dumps(answer), file=self.out, flush=True)
            elif not pid:
                time.sleep(0.005)


def main() -> None:
    """Judge all mutants that come in."""
    importlib.import_module("hypothesis")
    sys.path[0] = os.getcwd()
    sys.dont_write_bytecode = True
    limits = Limits(*sys.argv[1:])
    mutants = [Mutant(line) for line in sys.stdin]
    limits.judge_all([one for one in mutants if not one.function], Mutant.judge_afresh)
    inside = [one for one in mutants if one.function]
    if inside:
        tests = [test for group in inside[0].groups for test in group]

        def then(items: list[pytest.Item], seconds: dict[str, float]) -> None:
            limits.judge_all(inside, lambda mutant: mutant.judge_in_place(items, seconds))

        code = pytest.main([*inside[0].arguments, "-s", *tests], plugins=[_Instead(then)])
        assert code == 0, f"pytest ended with {code}"


if __name__ == "__main__":
    main()
