"""Owns the order in which everything is checked, and the summary. Started by bin/test, in the environment.

Parts: lint, types, unit (with the coverage of the pure modules), process (process and fault tests, six at a
time), timing (the tests marked so, alone on the machine). A part that fails does not stop the others. The
last line is the sum of all pytest runs in the form of pytest's own closing line.

A few tests with real processes that fail beside others are run once more, alone, and named: a machine that
stands still for a second can make one fail, a defect fails again. More than RETRIED are never run again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as Xml
from collections import Counter
from pathlib import Path

from tests.rules import PURE, pure_files

TREE = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
NOTHING_COLLECTED = 5  # pytest's exit status
WIDTH = 100
RUNNING = [PYTHON, "-m", "pytest", "--tb=short", "--durations=5", "--durations-min=5"]
# Tests with real processes, and those that try very much.
SYSTEM = [f"tests/{name}" for name in ("process", "fault", "conformance", "fuzz", "machine", "security")]
RETRIED = 4  # so many failures of a part may be the machine's
# Most of these tests wait most of the time: two processors carry six. Each worker gets one after the other.
SIDE_BY_SIDE = ["-n", "6", "--maxschedchunk", "1"]

results: list[tuple[str, bool, float]] = []
counts: Counter[str] = Counter()


def run(name: str, *commands: list[str], passes: tuple[int, ...] = (0,)) -> bool:
    """Run all commands, note name and time, and return whether each ended with one of these statuses."""
    print(f"\n===== {name}", flush=True)
    began = time.monotonic()
    null = subprocess.DEVNULL
    ends = [subprocess.run(command, cwd=TREE, stdin=null, check=False).returncode for command in commands]
    good = all(end in passes for end in ends)
    results.append((name, good, time.monotonic() - began))
    return good


def scripts() -> list[str]:
    """Return the Python programs in bin/, which have no ending that would tell."""
    found = [path for path in sorted((TREE / "bin").iterdir()) if path.is_file()]
    return [str(path.relative_to(TREE)) for path in found if b"python" in path.read_bytes()[:40]]


def pytest(
    name: str, *arguments: str, before: tuple[str, ...] = (), after: tuple[list[str], ...] = ()
) -> Counter[str]:
    """Run pytest as one part and return its counts, which are in the sum already.

    before: what runs it instead of python -m; after: further commands of the part.
    """
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        written = Path(place) / "results.xml"
        command = [PYTHON, *before, *RUNNING[1:], f"--junitxml={written}", *arguments]
        run(name, command, *after, passes=(0, NOTHING_COLLECTED))
        if written.exists():
            found = count(written)
            counts.update(found)
    return found


def count(written: Path) -> Counter[str]:
    """Return the results of one pytest run."""
    found: Counter[str] = Counter()
    for suite in Xml.parse(written).getroot().iter("testsuite"):
        wrong = {"failed": int(suite.get("failures", 0)), "errors": int(suite.get("errors", 0))}
        skipped = int(suite.get("skipped", 0))
        found.update(wrong | {"skipped": skipped})
        found["passed"] += int(suite.get("tests", 0)) - skipped - sum(wrong.values())
    return found


def system(name: str, *arguments: str) -> None:
    """Run tests with real processes as one part; a few that fail decide it by a second run, alone."""
    found = pytest(name, *SYSTEM, *arguments)
    if not 0 < found["failed"] <= RETRIED or found["errors"]:
        return
    print(f"\n{found['failed']} failed in part {name}, see above: once more, alone", flush=True)
    _name, _good, seconds = results.pop()
    counts["failed"] -= found["failed"]
    pytest(f"{name}, {found['failed']} of them a second time", *SYSTEM, "--last-failed", "-m", arguments[1])
    again = results.pop()
    results.append((again[0], again[1], seconds + again[2]))


def lint() -> None:
    """Check style."""
    run("lint", [PYTHON, "-m", "ruff", "check", "lonc", "tests", *scripts()])


def types() -> None:
    """Check types."""
    run("types", [PYTHON, "-m", "mypy"])


def of_pure_modules() -> list[str]:
    """Return the unit tests of the pure modules: named after a file or a directory of theirs, and one more."""
    names = {word for path in pure_files(TREE) for word in Path(path).with_suffix("").parts}
    found = sorted((TREE / "tests" / "unit").glob("test_*.py"))
    named = [str(path.relative_to(TREE)) for path in found if path.stem.split("_")[1] in names]
    return [*named, "tests/unit/test_ctl_trace.py"]  # of relay/traced.py


def unit() -> None:
    """Run the unit tests and the rules of the house; those of a pure module must reach each of its branches."""
    coverage = [PYTHON, "-m", "coverage"]
    include = "--include=" + ",".join(pure_files(TREE))
    watched = of_pure_modules()
    pytest(
        "unit, pure modules",
        *watched,
        before=("-m", "coverage", "run", "--source=" + ",".join(PURE)),
        after=([*coverage, "report", include, "--skip-covered", "--fail-under=100"],),
    )
    others = [f"--ignore={path}" for path in watched]
    pytest("unit, all others", "tests/unit", "tests/test_architecture.py", *others, "-n", "2")


def process() -> None:
    """Run the tests with real processes that may run side by side."""
    system("process", "-m", "not timing", *SIDE_BY_SIDE)


def timing() -> None:
    """Run the tests that measure time or load, one by one."""
    system("timing", "-m", "timing")


PARTS = {"lint": lint, "types": types, "unit": unit, "process": process, "timing": timing}


def summary(began: float) -> int:
    """Print the parts and the closing line and return the exit status."""
    print("\n===== summary")
    for name, good, seconds in results:
        print(f"{'ok    ' if good else 'FAILED'} {name} ({seconds:.1f} s)")
    if counts:
        words = [f"{counts[word]} {word}" for word in ("failed", "errors", "passed", "skipped") if counts[word]]
        line = f" {', '.join(words) or 'no tests ran'} in {time.monotonic() - began:.2f}s "
        print(f"{line:=^{WIDTH}}", flush=True)
    return 0 if all(good for _name, good, _seconds in results) else 1


def main(arguments: list[str]) -> int:
    """Run the parts named, all of them by default; anything else goes to one run of pytest."""
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    # Compiled once: the tests start some ten thousand interpreters, half of whose start would be compiling.
    subprocess.run([PYTHON, "-m", "compileall", "-q", "lonc", "tests"], cwd=TREE, check=False)
    if any(argument not in PARTS for argument in arguments):
        places = [] if any(Path(TREE, one.partition("::")[0]).exists() for one in arguments) else ["tests"]
        return subprocess.run([*RUNNING, *places, *arguments], cwd=TREE, check=False).returncode
    began = time.monotonic()
    for name, part in PARTS.items():
        if not arguments or name in arguments:
            part()
    return summary(began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
