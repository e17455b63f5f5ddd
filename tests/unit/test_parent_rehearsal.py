"""The rehearsal before the first fork: it comes to its end and leaves nothing behind; each in its own process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.installation import Installation
from tests.unit.processes import TREE

# made: what Python tells its auditors of.
PLAY = """
import gc, json, os, signal, sys
from lonc.config import load_config
from lonc.parent import rehearsal
config = load_config(sys.argv[1])
{before}
made = set()
sys.addaudithook(lambda event, _: made.add(event))
signals = [signal.getsignal(number) for number in signal.valid_signals()]
fds = len(os.listdir("/proc/self/fd"))
played = rehearsal.rehearse(config, {times})
gc.collect()
same = [signal.getsignal(number) for number in signal.valid_signals()] == signals
print(json.dumps([played, len(os.listdir("/proc/self/fd")) - fds, same, signal.set_wakeup_fd(-1), sorted(made)]))
"""


@pytest.fixture
def installation() -> Iterator[Installation]:
    made = Installation(["p"], settings={"loncPongDelay": "5", "loncOnDemand": "on", "loncAllowUsers": "nobody"})
    yield made
    shutil.rmtree(made.root)


PATIENT = "rehearsal._LIMIT_S = 30.0"


def play(installation: Installation, times: int = 3, before: str = PATIENT) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-c", PLAY.format(times=times, before=before), str(installation.conf_dir)],
        check=False, capture_output=True, text=True, timeout=60, cwd=TREE,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert isinstance(result, list)
    return result


def files_of(root: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_mtime_ns) for path in root.rglob("*")}


def test_it_comes_to_its_end_and_leaves_nothing_behind(installation: Installation) -> None:
    before = files_of(installation.root)
    played, descriptors, same_signals, wakeup, made = play(installation)
    assert played is True
    assert (descriptors, same_signals, wakeup) == (0, True, -1)
    assert files_of(installation.root) == before
    assert not {"os.fork", "subprocess.Popen", "os.kill", "os.remove", "os.rename", "os.mkdir"} & set(made)


@pytest.mark.parametrize(
    "broken",
    [
        "import socket\ndef fail(*_, **__): raise OSError(99, 'no loopback')\nsocket.create_server = fail",
        "import lonc.child.child\ndef fail(*_): raise TypeError('x')\nlonc.child.child.Child.begin = fail",
        "rehearsal._LIMIT_S = 0.1\nrehearsal._Peer._read = lambda *_: None",
    ],
)
def test_where_it_cannot_be_played_that_is_all(installation: Installation, broken: str) -> None:
    played, descriptors, same_signals, wakeup, _ = play(installation, before=broken)
    assert played is False
    assert (descriptors, same_signals, wakeup) == (0, True, -1)


def test_without_descriptors_it_is_not_played(installation: Installation) -> None:
    few = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))"
    assert play(installation, before=few)[:2] == [False, 0]


def test_no_name_of_a_file_is_made_for_it(installation: Installation) -> None:
    play(installation, times=1)
    assert not [name for name in os.listdir(TREE) if "rehearsal" in name]


TRY = """
import sys
from lonc.config import load_config
from lonc.parent import rehearsal
config = load_config(sys.argv[1])
{before}
rehearsal.try_out(config)
"""


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (PATIENT, ""),
        ("import socket\ndef fail(*_, **__): raise OSError(99, 'no')\nsocket.create_server = fail", ""),
        ("rehearsal._LIMIT_S = 0.1\nrehearsal._Peer._read = lambda *_: None", ""),  # no time says nothing
        ("from lonc.relay import Relay\nRelay.client_gone = None", "TypeError in lonc/child/connection.py, line"),
    ],
)
def test_a_trial_tells_what_no_child_would_survive(installation: Installation, before: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRY.format(before=before), str(installation.conf_dir)],
        check=False, capture_output=True, text=True, timeout=60, cwd=TREE,
    )  # fmt: skip
    assert told in done.stderr.splitlines()[-1] if told else (done.returncode, done.stderr) == (0, "")
