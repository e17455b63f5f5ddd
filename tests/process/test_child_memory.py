"""What a child does not do after the fork, since each child would pay for it in memory of its own."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.conftest import MakeSite
from tests.process.harness import Site

# Python loads a module of this name at its start, before anything of lonc's.
WATCH = """
import json, os, sys

def note(event, arguments):
    if event in ("import", "os.register_at_fork"):
        with open({path!r}, "a") as out:
            out.write(json.dumps([os.getpid(), event, str(arguments[0])]) + "\\n")

sys.addaudithook(note)
"""


def watched(site: Site, place: Path) -> list[tuple[int, str]]:
    """Return who has imported what so far: process and module."""
    lines = (place / "imports").read_text().splitlines()
    return [(pid, what) for pid, event, what in map(json.loads, lines) if event == "import"]


def test_a_child_imports_nothing(make_site: MakeSite, tmp_path: Path) -> None:
    """Nor does what it does later import anything: requests, a name, delayed messages, reports, its end."""
    (tmp_path / "sitecustomize.py").write_text(WATCH.format(path=str(tmp_path / "imports")))
    site = make_site(["msul1", "msul2"])
    for entry in site.entries:
        site.peer(entry.id)
    site.start(env={"PYTHONPATH": str(tmp_path)})
    site.wait_ready()
    children = [site.child(entry.id) for entry in site.entries]
    parent = site.pid()
    assert site.ask("msul1", b"echo:x") == b"x"
    assert site.ask("msul2", b"encrypt:echo:y") == b"y"
    for child in children:
        os.kill(child, signal.SIGHUP)
        os.kill(child, signal.SIGUSR2)
    assert site.ask("msul1", b"echo:z") == b"z"
    site.stop()
    seen = watched(site, tmp_path)
    assert any(pid == parent for pid, _ in seen) or any(what == "lonc.parent" for _, what in seen)
    assert [what for pid, what in seen if pid in children] == []
