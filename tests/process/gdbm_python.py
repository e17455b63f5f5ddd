"""Owns the search for a Python that has GDBM: often only the system's own has, and the tests run in another.

Tests of the GDBM engine run it in a process of that Python, with this tree and the libraries of the virtual
environment on its path; so its version must be ours.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import sysconfig

from tests.process.waiting import TREE

MISSING = (
    "no Python {0}.{1} with dbm.gnu was found (Debian: apt-get install python3-gdbm, if python3 there is {0}.{1})"
).format(*sys.version_info)
_QUESTION = "import sys, dbm.gnu; print(*sys.version_info[:2])"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@functools.cache
def gdbm_python() -> str | None:
    """Return the path of a Python of our version that has dbm.gnu, our own if it has; None when there is none."""
    version = "{}.{}".format(*sys.version_info)
    for python in (sys.executable, "/usr/bin/python3", f"/usr/bin/python{version}", "/usr/local/bin/python3"):
        if os.access(python, os.X_OK):
            asked = _run(python, "-c", _QUESTION)
            if asked.stdout.split() == version.split("."):
                return python
    return None


def gdbm_environment() -> dict[str, str]:
    """Return the environment in which that Python finds this tree and our libraries."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TREE), sysconfig.get_path("purelib")])}


@functools.cache
def perl_gdbm() -> str | None:
    """Return the path of a perl that has GDBM_File, as the original needs it; None when there is none."""
    asked = _run("/usr/bin/env", "perl", "-MGDBM_File", "-e", "print $^X")
    return asked.stdout if asked.returncode == 0 else None
