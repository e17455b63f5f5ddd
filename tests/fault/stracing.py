"""Owns strace in tests: attached to a process of a site, to count its calls, fail them, or kill at one of them.

strace counts the calls of each kind for each process by itself, so a call is named by its kind and its number.
Where tracing is forbidden (a container, another user's process) a test skips with the reason.

LONC_TEST_STRACE=all tries every call, a number so many of them (default 10), spread over all.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.process import procs
from tests.process.waiting import wait_until

SAMPLE = os.environ.get("LONC_TEST_STRACE") or "10"
ATTACH_S = 20.0
TIMEOUT_S = 3600 if "LONC_TEST_STRACE" in os.environ else 120  # of a test that tries so many
CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)
QUIET = ("-f", "-qq")

One = TypeVar("One")


def sample(found: Sequence[One], default: int = 10) -> list[One]:
    """Return all, or as many as are wanted in this run, evenly spread; default: how many in a daily run."""
    if SAMPLE == "all":
        return list(found)
    count = min(len(found), default if "LONC_TEST_STRACE" not in os.environ else int(SAMPLE))
    return [found[index * len(found) // count] for index in range(count)]


def wrapper(*options: str, output: Path | str = "/dev/null") -> list[str]:
    """Return what traces a command and all that it starts; skips where that cannot be done."""
    if not procs.strace_works():
        pytest.skip("strace cannot trace here")
    return ["strace", "-D", *QUIET, "-o", str(output), *options]


@contextmanager
def attached(pid: int, *options: str, output: Path | str = "/dev/null") -> Iterator[None]:
    """Trace a process, and what it starts, for the time of the block; skips where that may not be."""
    if not procs.strace_works():
        pytest.skip("strace cannot trace here")
    command = ["strace", *QUIET, "-o", str(output), *options, "-p", str(pid)]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: tracer.poll() is not None or procs.traced_by(tracer.pid, pid), ATTACH_S, "tracing")
        if tracer.returncode:  # 0: the process has ended, of what was injected into the call that it was in
            pytest.skip(f"strace cannot attach here: {tracer.communicate()[1]}")
        yield
    finally:
        tracer.send_signal(signal.SIGTERM)
        try:
            tracer.communicate(timeout=ATTACH_S)
        except subprocess.TimeoutExpired:  # among children that come and go it may never leave; the kernel lets go
            tracer.kill()
            tracer.communicate(timeout=ATTACH_S)


def calls_in(output: Path, kinds: frozenset[str] | None = None) -> list[tuple[str, int]]:
    """Return every call of a trace as its kind and number within its process; kinds: only these.

    Of several processes the one with the most calls of a kind counts.
    """
    most: Counter[str] = Counter()
    for (_pid, kind), count in Counter(CALL.findall(output.read_text("utf-8", "replace"))).items():
        most[kind] = max(most[kind], count)
    wanted = [kind for kind in sorted(most) if kinds is None or kind in kinds]
    return [(kind, number) for kind in wanted for number in range(1, most[kind] + 1)]


def inject(kind: str, number: int | str, what: str) -> list[str]:
    """Return the options that do this (`error=EIO`, `signal=KILL`) at the call of this kind and number."""
    return ["-e", f"trace={kind}", "-e", f"inject={kind}:{what}:when={number}"]


def paths(*found: Path) -> list[str]:
    """Return the options that leave out all calls but those on these files."""
    return [option for path in found for option in ("-P", str(path))]
