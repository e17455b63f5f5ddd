"""reinit and pushfile: only managers, only complete tables, only the right process gets the signal."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc.lond.commands import administration
from lonc.wire.words import escape
from tests.fakes.faulty_files import FaultyFiles
from tests.process.waiting import wait_until
from tests.unit.processes import Spawn, spawning
from tests.unit.resource_stage import ResourceStage, resource_stages

HOSTS = "here1:home:library:here.example:127.0.0.1\nthere:away:library:there.example:127.0.0.2\n"
DOMAINS = "# name:description\nhome:Our University:krb4:X.EDU\nsecond:The other one\naway:\tThere\n"
# Holds a lock, tells its pid, and says which signals come.
HOLDER = """
import fcntl, signal, sys, os
signal.signal(signal.SIGUSR2, lambda *_: print("USR2", flush=True))
lock = open(sys.argv[1], "w"); fcntl.flock(lock, fcntl.LOCK_EX)
lock.write(f"{os.getpid()}\\n"); lock.flush()
print("ready", flush=True)
while True: signal.pause()
"""

ORIGINAL = """
import signal
signal.signal(signal.SIGUSR2, lambda *_: print("USR2", flush=True))
print("ready", flush=True)
while True: signal.pause()
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ResourceStage]:
    for made in resource_stages(tmp_path):
        managers(made, "there\n")
        tab(made, "hosts.tab").write_text("here1:home:library:here.example:127.0.0.1\n")
        yield made


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    with spawning() as start:
        yield start


def tab(stage: ResourceStage, name: str) -> Path:
    return Path(stage.config.tab_dir, name)


def managers(stage: ResourceStage, text: str) -> None:
    tab(stage, "managers.tab").write_text(text)


def push(stage: ResourceStage, name: str, contents: str | bytes) -> str:
    data = contents if isinstance(contents, bytes) else contents.encode()
    return stage.said(f"pushfile:{name}:{escape(data).decode()}")


# --- who --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["there", "# all\n\nother\n  there  \r\n", "there:there.example:rest\n", "there # ours\n", "\xff\nthere\n"],
)
def test_managers(stage: ResourceStage, text: str) -> None:
    managers(stage, text)
    assert push(stage, "host", HOSTS) == "ok"


@pytest.mark.parametrize("text", ["", "#there\n", "there2\nx there\n", "x:there\n", "here1\n", "THERE\n"])
def test_others_are_refused(stage: ResourceStage, text: str) -> None:
    managers(stage, text)
    for line in ("reinit:lonc", "pushfile:host:x", "pushfile", "reinit"):
        assert stage.said(line) == "refused"


def test_without_managers_tab_nobody_may(stage: ResourceStage) -> None:
    tab(stage, "managers.tab").unlink()
    assert stage.said("reinit:lonc") == "refused"
    assert stage.log == ""
    tab(stage, "managers.tab").mkdir()
    assert stage.said("reinit:lonc") == "refused"
    assert "managers.tab cannot be read: " in stage.log


def test_in_clear_it_is_refused(stage: ResourceStage) -> None:
    assert stage.said("reinit:lonc", encrypted=False) == "refused"
    assert stage.said("pushfile:host:x", encrypted=False) == "refused"


# --- reinit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["lonc", "lond"])
def test_reinit_signals_who_holds_the_lock(stage: ResourceStage, spawn: Spawn, program: str) -> None:
    logs = Path(stage.config.logs_dir)
    logs.mkdir()
    assert stage.said(f"reinit:{program}") == f"error: {program} is not running"
    holder = spawn(sys.executable, "-c", HOLDER, str(logs / f"{program}.lock"))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    (logs / f"{program}.pid").write_text("1\n")  # never believed
    assert stage.said(f"reinit:{program}") == "ok"
    assert holder.stdout.readline() == "USR2\n"
    assert f"there has {program} read its tables again" in stage.log
    holder.kill()
    holder.wait()
    assert stage.said(f"reinit:{program}") == f"error: {program} is not running"


def test_reinit_of_an_original(stage: ResourceStage, spawn: Spawn) -> None:
    Path(stage.config.logs_dir).mkdir()
    original = spawn("lonc", "-c", ORIGINAL, executable=sys.executable)
    assert original.stdout is not None
    assert original.stdout.readline() == "ready\n"
    Path(stage.config.pid_path).write_text(f"{original.pid}\n")
    assert stage.said("reinit:lonc") == "ok"
    assert original.stdout.readline() == "USR2\n"


def test_a_stranger_with_that_pid_gets_no_signal(stage: ResourceStage, spawn: Spawn) -> None:
    Path(stage.config.logs_dir).mkdir()
    stranger = spawn(sys.executable, "-c", "print('ready', flush=True); input()")
    assert stranger.stdout is not None
    assert stranger.stdout.readline() == "ready\n"
    for path in (stage.config.pid_path, stage.config.lock_path, stage.config.server_path(".lock")):
        Path(path).write_text(f"{stranger.pid}\n")
    assert stage.said("reinit:lonc") == "error: lonc is not running"
    assert stage.said("reinit:lond") == "error: lond is not running"
    assert stranger.poll() is None  # USR2 would have ended it


def test_a_holder_that_changes_meanwhile(stage: ResourceStage, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = [os.getpid(), 0]
    monkeypatch.setattr(administration, "lock_holder", lambda *_: pids.pop(0))
    before = signal.signal(signal.SIGUSR2, lambda *_: pids.append(-1))
    try:
        assert stage.said("reinit:lond") == "error: lond is just being restarted"
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert pids == []


@pytest.mark.parametrize("tail", ["", ":", ":apache", ":lonc:x", ":LONC", ":../lonc"])
def test_reinit_of_what_there_is_not(stage: ResourceStage, tail: str) -> None:
    assert stage.said(f"reinit{tail}").startswith("error: ")


# --- pushfile ---------------------------------------------------------------------------------------------


def test_a_pushed_table_is_installed_and_the_old_one_kept(stage: ResourceStage) -> None:
    old = tab(stage, "hosts.tab").read_text()
    assert push(stage, "host", HOSTS) == "ok"
    assert tab(stage, "hosts.tab").read_text() == HOSTS
    assert tab(stage, "hosts.tab.before-push").read_text() == old
    assert stat.S_IMODE(tab(stage, "hosts.tab").stat().st_mode) == 0o644
    assert "hosts.tab was replaced by order of there; the old one is hosts.tab.before-push" in stage.log
    assert push(stage, "host", HOSTS) == "ok"  # twice, and the one before the change is still kept
    assert tab(stage, "hosts.tab.before-push").read_text() == old


def test_a_first_table_of_domains(stage: ResourceStage) -> None:
    assert push(stage, "domain", DOMAINS) == "ok"
    assert tab(stage, "domain.tab").read_text() == DOMAINS
    assert sorted(os.listdir(stage.config.tab_dir)) == ["domain.tab", "hosts.tab", "managers.tab"]


def test_a_link_that_the_administrator_made_stays(stage: ResourceStage) -> None:
    real = stage.root / "real.tab"
    tab(stage, "hosts.tab").rename(real)
    tab(stage, "hosts.tab").symlink_to(real)
    assert push(stage, "host", HOSTS) == "ok"
    assert tab(stage, "hosts.tab").is_symlink()
    assert real.read_text() == HOSTS


@pytest.mark.parametrize(
    ("name", "contents", "why"),
    [
        ("host", "", "it has no usable host"),
        ("host", b"\0\1\2\n" * 10, "it has no usable host"),
        ("host", HOSTS + "cut:off\n", "line 3 is malformed, or its id stands twice"),
        ("host", HOSTS[:-30], "line 2 is malformed"),
        ("host", HOSTS + "a/b:home:library:x.example:127.0.0.9\n", "line 3 is malformed"),
        ("host", HOSTS + HOSTS, "line 3 is malformed, or its id stands twice"),
        ("host", HOSTS.replace("here1", "here9"), "our own id here1 is not in it"),
        ("host", HOSTS + "x" * 64 + ":home:library:x.example:127.0.0.9\n", ""),
        ("domain", "", "a domain of this server is not in it"),
        ("domain", "away:There\n", "a domain of this server is not in it"),
        ("domain", "home:Here\n", "a domain of this server is not in it"),
        ("domain", DOMAINS + "home\n", "line 5 is malformed"),
        ("domain", DOMAINS + "more:\n", "line 5 is malformed"),
        ("domain", DOMAINS + "a/b:c\n", "line 5 is malformed"),
        ("domain", DOMAINS + "b:c\0\n", "line 5 is malformed"),
        ("domain", DOMAINS + "home:Again\n", "the domain of line 5 stands twice"),
    ],
)
def test_tables_that_cannot_be_right(stage: ResourceStage, name: str, contents: str | bytes, why: str) -> None:
    before = tab(stage, "hosts.tab").read_bytes()
    said = push(stage, name, contents)
    full = {"host": "hosts.tab", "domain": "domain.tab"}[name]
    assert said.startswith(f"error: {full} was not installed: {why}")
    assert tab(stage, "hosts.tab").read_bytes() == before
    assert sorted(os.listdir(stage.config.tab_dir)) == ["hosts.tab", "managers.tab"]


@pytest.mark.parametrize(
    "tail", ["", ":", ":host", ":hosts:x", ":../host:x", ":passwd:x", ":host:%zz", ":domain:%"]
)
def test_pushfile_with_bad_arguments(stage: ResourceStage, tail: str) -> None:
    assert stage.said(f"pushfile{tail}").startswith("error: ")


def test_every_failing_call_leaves_a_whole_table(stage: ResourceStage, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tab(stage, "hosts.tab").read_text()
    for number in range(1, 100):
        files = FaultyFiles(failing={number})
        monkeypatch.setattr(administration, "FILES", files)
        said = push(stage, "host", HOSTS)
        if len(files.calls) < number:
            break
        assert said == "error: hosts.tab was not installed: No space left on device", number
        assert tab(stage, "hosts.tab").read_text() in (old, HOSTS)
        kept = [name for name in os.listdir(stage.config.tab_dir) if name.startswith(".")]
        assert kept == [], number
        tab(stage, "hosts.tab").write_text(old)
    assert said == "ok"
    assert number > 8
    assert "hosts.tab was pushed and cannot be installed: No space left on device" in stage.log


def test_the_pushed_text_is_shown_nowhere(stage: ResourceStage) -> None:
    said = push(stage, "host", HOSTS + "secret1 secret2:x\n") + push(stage, "domain", "secret3 x:y\n")
    assert push(stage, "host", HOSTS) == "ok"
    wait_until(lambda: "replaced" in stage.log, 20, "the log")
    assert "secret" not in said + stage.log
