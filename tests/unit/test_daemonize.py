"""The starter and its daemon: what the command line does not show (test_daemon_cli has the rest)."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lonc.system.daemonize import Readiness

TREE = Path(__file__).parents[2]
HEAD = "import os, sys, time\nfrom lonc.system.daemonize import start_detached\n"


def run(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]  # options: preexec_fn
        [sys.executable, "-c", HEAD + code], cwd=TREE, capture_output=True, text=True, timeout=30, check=False,
        **options,
    )  # fmt: skip


def test_a_daemon_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    done = run(
        "def silent(ready):\n    time.sleep(1)\n    ready(None)\n    return 0\n"
        f"sys.exit(start_detached(silent, errors_path={str(tmp_path / 'errors')!r}, wait_s=0.2))"
    )
    assert done.returncode == 1
    assert "has not said for 0.2 s whether it runs; it was left alone" in done.stderr


@pytest.mark.parametrize("kind", ["missing", "fifo", "link", "directory"])
def test_errors_go_nowhere_when_their_file_cannot_be_had(kind: str, tmp_path: Path) -> None:
    path, foreign = tmp_path / "errors", tmp_path / "foreign"
    foreign.write_text("")
    if kind == "missing":
        path = tmp_path / "none" / "errors"
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(foreign)
    else:
        path.mkdir()
    done = run(
        "def noisy(ready):\n    os.write(2, b'noise')\n    ready(os.readlink('/proc/self/fd/2'))\n    return 7\n"
        f"sys.exit(start_detached(noisy, errors_path={str(path)!r}))"
    )
    assert (done.returncode, done.stderr) == (7, "lonc: /dev/null\n")
    assert foreign.read_text() == ""


def test_errors_of_one_start_follow_those_of_the_last(tmp_path: Path) -> None:
    path = tmp_path / "errors"
    path.write_text("old\n")
    run(
        "def noisy(ready):\n    os.write(2, b'new\\n')\n    ready(None)\n    return 0\n"
        f"sys.exit(start_detached(noisy, errors_path={str(path)!r}))"
    )
    assert path.read_text() == "old\nnew\n"


def test_closing_all_possible_descriptors_takes_no_time(tmp_path: Path) -> None:
    def raise_limit() -> None:
        # A million where the machine lets us, else as many as we may have.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))

    code = (
        "before = time.monotonic()\nimport daemon\n"
        "def quick(ready):\n    ready(None)\n    return 0\n"
        f"code = start_detached(quick, errors_path={str(tmp_path / 'errors')!r})\n"
        "print(code, time.monotonic() - before)"
    )
    times = []
    for _ in range(3):  # the best of them: a busy machine may take its time for one
        text, took = run(code, preexec_fn=raise_limit).stdout.split()
        assert text == "0"
        times.append(float(took))
    assert min(times) < 0.5


def test_a_report_is_made_once_and_a_gone_starter_is_no_error() -> None:
    reader, writer = os.pipe()
    ready = Readiness(writer)
    ready("no \udcff")
    ready(None)
    assert ready.told
    assert os.read(reader, 100) == b"-no \xff"
    assert os.read(reader, 100) == b""
    os.close(reader)
    reader, writer = os.pipe()
    os.close(reader)
    Readiness(writer)("nobody reads this")


def test_a_long_report_arrives_whole(tmp_path: Path) -> None:
    before = time.monotonic()
    done = run(
        "def talkative(ready):\n    ready('x' * 60000)\n    return 2\n"
        f"sys.exit(start_detached(talkative, errors_path={str(tmp_path / 'errors')!r}))"
    )
    assert (done.returncode, done.stderr) == (2, "lonc: " + "x" * 60000 + "\n")
    assert time.monotonic() - before < 5
