"""Takes features away, one at a time and each in a copy of the tree, and sees whether a test notices.

    python -m tests.proof.removal               every removal of the table
    python -m tests.proof.removal P7 T3 P30.2   those of these promises, or one of them by its number
    python -m tests.proof.removal --jobs 4      several side by side
    python -m tests.proof.removal --control     the same tests in the tree as it is: none may fail

A removal counts as noticed when one of its tests fails. It does not when all pass or are skipped, nor when it
breaks more than it should: an edit that fits no more, a module that cannot be compiled, a program that cannot
start, a daemon that answers no request, a test that cannot be collected. All of that is a violation.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.proof.promises import PROMISES, Promise, Removal

TREE = Path(__file__).resolve().parents[2]
COPIES = TREE / "build" / "removal"
LEFT_OUT = (".venv", ".git", "build", "dist", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")
TEST_LIMIT_S = 90  # of each test, but for those that set their own
LIMIT_S = 400.0  # of all tests of a removal
PULSE_LIMIT_S = 60.0
SHOWN = 200  # characters of what a test said
PULSE = """
from tests.process.harness import Site
site = Site()
try:
    site.peer("msul1")
    site.start()
    site.wait_ready()
    assert site.ask("msul1", b"echo:x") == b"x"
finally:
    site.cleanup()
"""


class BrokenError(Exception):
    """The removal takes away more than it says, or cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """What came of one removal.

    noticed: a test failed as it should. test: its node id. message: the first line of its assertion, or what is
    wrong with the removal. broken: it is the removal that must be mended, not a test.
    """

    promise: str
    what: str
    noticed: bool
    test: str
    message: str
    broken: bool
    seconds: float


def run(promise: Promise, removal: Removal) -> RemovalResult:
    """Take one feature away in a copy of the tree and run its tests there; the copy is gone afterwards."""
    began = time.monotonic()
    COPIES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{promise.name}-", dir=COPIES) as place:
        tree = Path(place) / "tree"
        broken, test, message = False, "", ""
        try:
            copy_tree(tree)
            take_away(tree, removal)
            still_lives(tree)
            test, message = first_failure(tree, removal.tests)
        except BrokenError as error:
            broken, message = True, str(error)
    noticed = bool(test)
    seconds = round(time.monotonic() - began, 1)
    return RemovalResult(promise.name, removal.what, noticed, test, message, broken, seconds)


# --- the copy ---------------------------------------------------------------------------------------------


def copy_tree(tree: Path) -> None:
    """Copy all but what is made, with times, so that compiled modules are still good; link what costs to make."""
    try:
        shutil.copytree(TREE, tree, ignore=_left_out, symlinks=True, copy_function=_copy_if_there)
    except shutil.Error as error:
        raise BrokenError(f"the tree cannot be copied: {error}") from error
    (tree / ".venv").symlink_to(TREE / ".venv")
    (tree / "build").mkdir()
    bench = TREE / "build" / "bench"
    bench.mkdir(parents=True, exist_ok=True)
    (tree / "build" / "bench").symlink_to(bench)


def _copy_if_there(source: str, target: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # somebody works in the tree: a file may just have gone
        shutil.copy2(source, target, follow_symlinks=False)


def _left_out(folder: str, names: list[str]) -> set[str]:
    return set(names).intersection(LEFT_OUT) if Path(folder) == TREE else set()


def take_away(tree: Path, removal: Removal) -> None:
    """Make the edits. Raises BrokenError when one does not fit, or what it makes is no Python."""
    for path, before, after in removal.edits:
        place = tree / path
        text = place.read_text("utf-8")
        if text.count(before) != 1:
            raise BrokenError(f"{path}: the text of the edit occurs {text.count(before)} times")
        place.write_text(text.replace(before, after), "utf-8")
    for path in {path for path, _, _ in removal.edits}:
        try:
            compile((tree / path).read_text("utf-8"), path, "exec")
        except SyntaxError as error:
            raise BrokenError(f"{path} is no Python any more: {error}") from error


def still_lives(tree: Path) -> None:
    """See that the program starts and that a daemon answers a request. Raises BrokenError."""
    python = str(tree / ".venv" / "bin" / "python")
    for command, what in (([python, "bin/lonc", "--version"], "--version"), ([python, "-c", PULSE], "a request")):
        code, said = _command(tree, command, PULSE_LIMIT_S)
        if code != 0:
            raise BrokenError(f"{what} fails: {said.strip().splitlines()[-1:]}")


# --- the tests --------------------------------------------------------------------------------------------


def first_failure(tree: Path, tests: Sequence[str]) -> tuple[str, str]:
    """Return the node id of the first test that fails and its first line, "" and why not when none does.

    Raises BrokenError when no test has run, or one could not be run.
    """
    report = tree / "build" / "removal.xml"
    command = [
        str(tree / ".venv" / "bin" / "python"), "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
        "-o", "timeout_method=signal", "--timeout", str(TEST_LIMIT_S), f"--junitxml={report}", *tests,
    ]  # fmt: skip
    code, said = _command(tree, command, LIMIT_S)
    if not report.exists():
        raise BrokenError(f"pytest ended with {code} and no report: {said.strip().splitlines()[-1:]}")
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    for case in cases:
        failure, error = case.find("failure"), case.find("error")
        if failure is not None:
            return _node(case), _first_line(failure.get("message", ""))
        if error is not None:
            raise BrokenError(f"{_node(case)} cannot be run: {_first_line(error.get('message', ''))}")
    ran = [case for case in cases if case.find("skipped") is None]
    if not ran:
        raise BrokenError(f"no test has run: {said.strip().splitlines()[-1:]}")
    return "", f"{len(ran)} tests pass without it"


def _node(case: ElementTree.Element) -> str:
    return f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '')}"


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:SHOWN]


def _command(tree: Path, command: Sequence[str], limit_s: float) -> tuple[int, str]:
    """Return the exit code and the output of a command in the copy; one that takes too long is ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LONC_", "PYTEST_"))}
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            command, cwd=tree, env=kept, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        out.seek(0)
        return code, out.read().decode("utf-8", "replace")


# --- the command ------------------------------------------------------------------------------------------


def chosen(words: Sequence[str]) -> Iterator[tuple[str, Promise, Removal]]:
    """Yield what is meant: `P7` all of it, `P7.2` its second removal, nothing everything. Raises ValueError."""
    known = {promise.name for promise in PROMISES}
    for word in words:
        if word.partition(".")[0] not in known:
            raise ValueError(f"{word} is no promise")
    for promise in PROMISES:
        for number, removal in enumerate(promise.removals, 1):
            name = f"{promise.name}.{number}"
            if not words or promise.name in words or name in words:
                yield name, promise, removal


def control(steps: Sequence[tuple[str, Promise, Removal]], jobs: int) -> int:
    """Run the tests of these removals in the tree as it is; return pytest's exit code: 0, none fails."""
    tests = dict.fromkeys(test for _, _, removal in steps for test in removal.tests)
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(jobs), *tests]
    return subprocess.run(command, cwd=TREE, check=False).returncode


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out removals, print a line for each; return 1 when one was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof.removal", description=__doc__.splitlines()[0])
    parser.add_argument("promises", nargs="*", metavar="PROMISE", help="P7, or P7.2 for one of its removals")
    parser.add_argument("--jobs", type=int, default=1, help="so many side by side")
    parser.add_argument("--control", action="store_true", help="run the tests in the tree as it is")
    options = parser.parse_args(argv)
    steps = list(chosen(options.promises))
    if options.control:
        return control(steps, options.jobs)
    began, failed = time.monotonic(), 0
    with ThreadPoolExecutor(options.jobs) as pool:
        results = pool.map(lambda step: run(step[1], step[2]), steps)
        for (name, _, _), result in zip(steps, results, strict=True):
            word = "noticed" if result.noticed else "BROKEN" if result.broken else "NOT NOTICED"
            failed += not result.noticed
            print(f"{name:6} {word:11} {result.seconds:6.1f} s  {result.what}")
            print(f"{'':28}{result.test} {result.message}")
            sys.stdout.flush()
    print(f"{len(steps)} removals, {failed} of them not noticed, in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
