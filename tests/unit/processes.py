"""Small processes for unit tests: started with their streams on pipes, and all ended, by pid, at the end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TREE = Path(__file__).parents[2]
Spawn = Callable[..., "subprocess.Popen[str]"]


@contextmanager
def spawning() -> Iterator[Spawn]:
    """Give a function that starts a process from its argv (executable=: run another program under that name)."""
    started: list[subprocess.Popen[str]] = []

    def start(*argv: str, executable: str | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            argv, executable=executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd=TREE,
        )  # fmt: skip
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
            process.wait()
