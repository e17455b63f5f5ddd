"""loncctl trace: what it shows of each request, that it costs nothing when off, and that it ends by itself."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from typing import Any

import jsonschema

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.ctl_run import loncctl
from tests.process.harness import TREE, Site, wait_until

LIMIT_S = 60.0
SCHEMA = json.loads((TREE / "doc" / "schema" / "trace.json").read_text("utf-8"))


def begin(make_site: MakeSite, *rules: str, **settings: str) -> Site:
    """Return a daemon of one peer that is ready."""
    site = make_site(["msul1"], settings={"loncGrace": "0.3"} | settings)
    site.peer("msul1", *rules)
    site.start()
    site.wait_ready()
    return site


def start(site: Site, *words: str) -> subprocess.Popen[str]:
    """Begin a trace and return its process when the child traces."""
    command = [sys.executable, str(TREE / "bin" / "loncctl"), "--conf-dir", str(site.conf_dir), "trace", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    site.wait_log("Trace on", 20)
    return process


def end(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Return how a trace has ended, and its document."""
    out, errors = process.communicate(timeout=LIMIT_S)
    assert errors == ""
    document = json.loads(out)
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    return process.returncode, document


def test_each_request_is_told_with_its_client_and_its_times_and_nothing_of_its_text(make_site: MakeSite) -> None:
    site = begin(make_site, "on slow:*=late:300")
    process = start(site, "msul1", "--json", "--count", "4")
    path = site.logs_dir / "lonc.trace-msul1"
    for line in (b"put:msu:u:ns:Secret91=1", b"encrypt:auth:msu:u:Secret92", b"slow:Secret93", b"echo:Secret94"):
        assert site.ask("msul1", line) is not None
    code, document = end(process)
    assert (code, document["text"]) == (0, "as many as were wanted")
    first, sealed, slow, echo = document["requests"]
    assert [one["command"] for one in (first, sealed, slow, echo)] == ["put", "encrypt:auth", "slow", "echo"]
    assert [one["id"] for one in (first, sealed, slow, echo)] == [1, 2, 3, 4]
    assert {(one["pid"], one["uid"]) for one in (first, sealed, slow, echo)} == {(os.getpid(), os.getuid())}
    assert first["request_bytes"] == len(b"put:msu:u:ns:Secret91=1")
    assert slow["round_trip_ms"] >= 250.0
    assert echo["reply_bytes"] == len("Secret94")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert site.grep_secrets("Secret9") == []
    site.wait_log("Trace off: as lonc.wanted says")
    assert (site.logs_dir / "lonc.wanted").read_text() == ""
    size = path.stat().st_size
    assert site.ask("msul1", b"echo:x") == b"x"
    assert path.stat().st_size == size


def test_only_slow_ones_are_shown_and_lost_ones_are_told(make_site: MakeSite) -> None:
    site = begin(make_site, "on slow:*=late:400", "on lost:*=close")
    process = start(site, "msul1", "--json", "--slow", "200ms", "--count", "1")
    for line in (b"echo:x", b"lost:x", b"slow:y"):
        site.wait_ready()
        site.ask("msul1", line)
    assert [one["command"] for one in end(process)[1]["requests"]] == ["slow"]
    lines = [json.loads(line) for line in (site.logs_dir / "lonc.trace-msul1").read_text().splitlines()]
    lost = next(line for line in lines if line.get("command") == "lost")
    assert (lost["reply"], lost["reply_bytes"]) == ("con_lost", 8)
    assert lines[-1] == {"ended": "as lonc.wanted says"}


def test_words_for_people_and_an_end_by_ctrl_c(make_site: MakeSite) -> None:
    site = begin(make_site)
    process = start(site, "msul1")
    assert site.ask("msul1", b"echo:x") == b"x"
    path = site.logs_dir / "lonc.trace-msul1"
    wait_until(lambda: path.exists() and b"echo" in path.read_bytes(), 10, "a line of the trace")
    site.delay("msul1", b"put:msu:u:ns:a=1")
    wait_until(lambda: b'"delayed": true' in path.read_bytes(), 30, "a delayed message in the trace")
    procs.send(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, errors) == (0, "")
    assert " echo (6 bytes), pid " in out
    assert out.rstrip().endswith("ended by the operator")


def test_it_ends_by_itself_though_its_operator_was_killed(make_site: MakeSite) -> None:
    site = begin(make_site, loncDebugFor="2")
    process = start(site, "msul1")
    procs.send(process.pid, signal.SIGKILL)
    process.communicate(timeout=LIMIT_S)
    site.wait_log("Trace off: its time is over", 20)
    child = site.child("msul1")
    site.signal(signal.SIGUSR1, child)
    site.signal(signal.SIGTERM, child)
    wait_until(lambda: site.board("msul1").child.pid not in (0, child), 20, "another child")
    site.wait_ready()
    assert site.log_text().count("Trace on") == 1


def test_a_trace_goes_on_in_the_next_child(make_site: MakeSite) -> None:
    site = begin(make_site)
    process = start(site, "msul1", "--json", "--count", "2")
    assert site.ask("msul1", b"echo:x") == b"x"
    assert loncctl(site, "reconnect", "msul1").code == 0
    assert site.ask("msul1", b"ask:y") is not None
    code, document = end(process)
    assert (code, [one["command"] for one in document["requests"]]) == (0, ["echo", "ask"])


def test_exit_codes(site: Site) -> None:
    assert loncctl(site, "trace", "msul1").code == 3
    assert loncctl(site, "trace", "msul1", "--slow", "soon").code == 2
    site.start()
    done = loncctl(site, "trace", "nobody")
    assert (done.code, "not served" in done.errors) == (1, True)
