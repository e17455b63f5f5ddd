"""The command itself and the starter for the watchdog: from anywhere, through a link, with any Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lonc import __version__

TREE = Path(__file__).parents[2]


def test_the_command_works_from_anywhere_and_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "starter"
    link.symlink_to(TREE / "bin" / "lonc")
    environ = {"PATH": os.environ["PATH"]}
    for command in (TREE / "bin" / "lonc", link):
        argv = [sys.executable, str(command), "--version"]
        done = subprocess.run(argv, cwd="/", env=environ, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"lonc {__version__}\n", "")
    assert os.access(TREE / "bin" / "lonc", os.X_OK)
    assert os.access(TREE / "etc" / "lonDaemons-lonc", os.X_OK)


def test_the_starter_for_lon_daemons_passes_everything_on(tmp_path: Path) -> None:
    argv = [str(TREE / "etc" / "lonDaemons-lonc"), "--version"]
    environ = {"PATH": os.environ["PATH"], "LONC": str(TREE)}
    done = subprocess.run(argv, cwd="/", env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"lonc {__version__}\n")


def test_an_old_python_is_told_what_is_needed() -> None:
    script = str(TREE / "bin" / "lonc")
    code = (
        "import sys, os; sys.version_info = (3, 9, 2); os.access = lambda *a: False\n"
        f"exec(compile(open({script!r}).read(), {script!r}, 'exec'), {{'__file__': {script!r}}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("lonc: Python 3.11 or newer is needed; ")


def test_the_server_is_started_the_same_way(tmp_path: Path) -> None:
    link = tmp_path / "starter"
    link.symlink_to(TREE / "bin" / "lond")
    environ = {"PATH": os.environ["PATH"], "LONC": str(TREE)}
    for command in ([sys.executable, str(link)], [str(TREE / "etc" / "lonDaemons-lond")]):
        argv = [*command, "--version"]
        done = subprocess.run(argv, cwd="/", env=environ, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"lond {__version__}\n", "")
