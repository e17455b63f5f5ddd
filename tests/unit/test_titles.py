"""Titles: shown in the process table, while the kernel's short name stays `lonc`. In processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.unit.processes import TREE

SHOW = """
import json, os, sys
from lonc.system.titles import set_title
{before}
shown = set_title({text!r})
cmdline = open("/proc/self/cmdline", "rb").read().decode("latin-1")
print(json.dumps([shown, open("/proc/self/comm").read(), cmdline]))
"""


def shown(text: str, before: str = "") -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(text=text, before=before)], check=True, capture_output=True, text=True,
        timeout=30, cwd=TREE,
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert isinstance(result, list)
    return result


def title_of(cmdline: str) -> str:
    return cmdline.rstrip("\0 ")


def test_the_title_is_shown_and_the_short_name_is_lonc() -> None:
    text = "lonc: msul1 Connection count: 1 Retries remaining: 5 (insecure) Fri Mar  8 03:56:19 2002"
    worked, comm, cmdline = shown(text)
    assert worked is True
    assert comm == "lonc\n"
    assert title_of(cmdline) == text


def test_a_title_is_cleaned_and_cut() -> None:
    _, comm, cmdline = shown("lonc: \x1b[2J\n" + "x" * 500)
    assert comm == "lonc\n"
    assert title_of(cmdline).startswith("lonc: \\x1b[2J\\x0axxx")
    assert len(title_of(cmdline)) == 120


def test_a_forked_process_has_its_own() -> None:
    fork = """
set_title("lonc: Parent keeping the flock")
if (pid := os.fork()):
    os.waitpid(pid, 0)
    assert "flock" in open("/proc/self/cmdline").read()
    os._exit(0)
"""
    _, comm, cmdline = shown("lonc: msul1", fork)
    assert (comm, title_of(cmdline)) == ("lonc\n", "lonc: msul1")


@pytest.mark.parametrize(
    "broken",
    [
        'sys.modules["setproctitle"] = None',
        "import setproctitle\ndef fail(*_): raise OSError(1, 'no')\nsetproctitle.setproctitle = fail",
        "import setproctitle\nsetproctitle.setproctitle = lambda title: None",
        'sys.modules["setproctitle"] = json',
    ],
)
def test_a_library_that_misbehaves_costs_only_the_title(broken: str) -> None:
    worked, _, cmdline = shown("lonc: x", broken)
    assert worked is False
    assert "python" in cmdline


def test_the_library_brings_no_work_for_each_fork() -> None:
    before = "set_title('x')\nassert not {'logging', 'threading'} & set(sys.modules), sorted(sys.modules)"
    worked, _, _ = shown("lonc: x", before)
    assert worked is True


def test_the_library_by_its_front_door_works_too() -> None:
    worked, comm, cmdline = shown("lonc: x", "import setproctitle")
    assert (worked, comm, title_of(cmdline)) == (True, "lonc\n", "lonc: x")
