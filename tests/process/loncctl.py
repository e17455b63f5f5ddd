"""Owns the running of loncctl in tests: to its end, with its output."""

from __future__ import annotations

import subprocess
import sys

from tests.process.installation import Installation
from tests.process.waiting import TREE


def command(site: Installation, *arguments: str) -> list[str]:
    """Return the command line of a verb for this site."""
    return [sys.executable, str(TREE / "bin" / "loncctl"), *arguments, "--conf-dir", str(site.conf_dir)]


def run(site: Installation, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end and return status, output and stderr."""
    return subprocess.run(
        command(site, *arguments), capture_output=True, text=True, timeout=timeout_s, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
