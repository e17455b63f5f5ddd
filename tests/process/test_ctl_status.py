"""`status` and the ids of messages with real daemons: exit codes, no waiting, and a log as JSON."""

from __future__ import annotations

import json
import os
import signal
import time

from lonc.catalogue import find
from tests.conftest import MakeSite
from tests.process import procs
from tests.process.ctl_run import document, loncctl
from tests.process.harness import wait_until

QUICK = {"loncGrace": "0.3"}


def test_exit_codes_over_a_daemons_life(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK)
    site.peer("msul1")
    assert loncctl(site, "status").code == 3
    pid = site.start()
    site.wait_ready()
    done = loncctl(site, "status")
    assert done.code == 0
    assert done.out.startswith(f"lonc of own1 runs as process {pid}, up for ")
    assert "\nmsul1  ready" in done.out
    site.signal(signal.SIGHUP)
    wait_until(lambda: document(site, "status")["daemon"]["restarts"] == 1, 30, "the restart")
    site.wait_ready()
    assert "restarted once, " in loncctl(site, "status").out
    site.stop()
    assert loncctl(site, "status").code == 3
    site.pid_path.write_text(f"{pid}\n")
    assert loncctl(site, "status").code == 1
    assert document(site, "status")["daemon"]["pid_file"] == pid


def test_nobody_is_waited_for(make_site: MakeSite) -> None:
    """Parent and children are stopped: what they said last is shown."""
    site = make_site(settings=QUICK)
    site.peer("msul1")
    pid = site.start()
    site.wait_ready()
    stopped = [pid, *site.children()]
    for one in stopped:
        procs.send(one, signal.SIGSTOP)
    try:
        began = time.monotonic()
        done = loncctl(site, "status")
        assert time.monotonic() - began < 30
        assert done.code == 0
        assert "msul1  ready" in done.out
    finally:
        for one in stopped:
            procs.send(one, signal.SIGCONT)


def test_nothing_is_changed_by_looking(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK)
    site.peer("msul1")
    site.start()
    site.wait_ready()
    before = {path: path.stat().st_mtime_ns for path in site.root.rglob("*") if path.name == "lonc.log"}
    names = sorted(map(str, site.root.rglob("*")))
    loncctl(site, "status")
    loncctl(site, "status", "--json")
    assert sorted(map(str, site.root.rglob("*"))) == names
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_log_with_ids_and_as_json(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK | {"loncLogIds": "on", "loncJsonLog": "on"})
    site.peer("msul1")
    site.start()
    site.wait_ready()
    site.signal(signal.SIGUSR1)
    site.signal(signal.SIGINT, site.child("msul1"))
    site.wait_log("Debug on (LONC-3")
    site.wait_log(": msul1 online")
    text = site.log_text()
    assert "msul1 online (LONC-" not in text  # the originals say so
    lines = [json.loads(line) for line in (site.logs_dir / "lonc.json.log").read_text("ascii").splitlines()]
    assert {"PARENT", "msul1"} == {line["who"] for line in lines}
    assert {line["pid"] for line in lines} == {site.pid(), *site.children()}
    assert len(lines) == len(site.log())
    assert [line["message"] for line in lines if line["id"] is None] == []
    for line in lines:
        found = find(line["message"])
        assert found is not None
        assert found.message.id == line["id"]
    assert os.stat(site.logs_dir / "lonc.json.log").st_mode & 0o777 == 0o640
