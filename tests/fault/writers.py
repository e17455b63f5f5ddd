"""Owns the processes that fault tests of the log let write numbered lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unit.processes import TREE

WRITER = """
import os, sys, time
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from lonc.system.logs import Log
path, who, count, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
if len(sys.argv) > 5:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
log = Log(path, files=SystemFiles(), clock=SystemClock(), who=who)
if who == "w1":
    log.hold()
for number in range(count):
    log.write(f"line {number} {'.' * (number % 150)} end")
    time.sleep(pause)
print(log.lost)
"""


def writer(path: Path, who: str, count: int, pause: float, *more: str) -> subprocess.Popen[str]:
    """Start a process that logs `line N ...` count times and prints how many it lost; more: as nobody.

    w1 keeps its file open, as a child does in a flush; the others open it for each line.
    """
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), who, str(count), str(pause), *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=TREE,
    )  # fmt: skip
