"""The command `lonc` up to the parent: real processes, with a stand-in for lonc.parent that tells what it met."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lonc.cli.daemon as cli
from lonc import __version__
from lonc.config import SETTINGS, load_config
from lonc.errors import StartError
from lonc.system import user
from lonc.system.files import SystemFiles
from lonc.system.lock import DaemonLock

TREE = Path(__file__).parents[2]
ME = pwd.getpwuid(os.geteuid()).pw_name
NAMED = ("HUP", "INT", "TERM", "USR1", "USR2", "QUIT", "CHLD")

# A stand-in for the parent: says what it was started with and in which surroundings, then acts as MODE says.
STAND_IN = f"""
import sys
sys.path[0] = {str(TREE)!r}
import ctypes, json, os, resource, signal, sys, time, types
module = types.ModuleType("lonc.parent")

def facts(start):
    lines = open("/proc/self/status").read().splitlines()
    status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
    mask = os.umask(0)
    os.umask(mask)
    return dict(
        pid=os.getpid(), sid=os.getsid(0), cwd=os.getcwd(), umask=mask, argv=start.argv,
        foreground=start.foreground, resume_fd=start.resume_fd, own=start.config.host_id, sys_argv=sys.argv,
        hosts=[host.id for host in start.table.hosts], core=resource.getrlimit(resource.RLIMIT_CORE),
        blocked=int(status["SigBlk"], 16), ignored=int(status["SigIgn"], 16),
        fds={{fd: os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd")
             if os.path.lexists("/proc/self/fd/" + fd)}},
        owner=os.stat("/proc/self/mem").st_uid, dumpable=ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    )

def serve(start):
    mode = os.environ.get("MODE", "serve")
    if mode == "error":
        from lonc.errors import StartError
        raise StartError("no place\\nto be")
    if mode == "tell":
        start.ready("told why")
        return 1
    if mode == "crash":
        raise ZeroDivisionError("secret")
    if mode == "leave":
        return 0
    if mode in ("die", "die-with-child"):
        if mode == "die-with-child" and os.fork() == 0:
            time.sleep(15)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    with open(os.path.join(start.config.logs_dir, "facts"), "w") as file:
        json.dump(facts(start), file)
    start.ready(None)
    start.ready("later calls do nothing")
    print("to stdout", flush=True)
    print("to stderr", file=sys.stderr, flush=True)
    if mode == "serve":
        signal.sigwait({{signal.SIGTERM}})
    return 0

def load_or_keep(conf_dir, notes_fd):
    from lonc.config import load_config, load_hosts
    config = load_config(conf_dir)
    return types.SimpleNamespace(config=config, table=load_hosts(config), troubles=())

module.serve, module.load_or_keep, module.try_out = serve, load_or_keep, lambda config: None
sys.modules["lonc.parent"] = module
from lonc.cli.daemon import main
sys.exit(main())
"""


class Place:
    """An installation in a temporary directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "logs").mkdir()
        self.script = root / "lonc"
        self.script.write_text(STAND_IN)
        (root / "loncapa.conf").write_text(
            "PerlSetVar lonHostID me\nPerlSetVar lonDaemons .\nPerlSetVar lonTabDir .\n"
            f"PerlSetVar lonSockDir sockets\nPerlSetVar loncUser {ME}\n"
        )
        (root / "hosts.tab").write_text("me:d:library:localhost:127.0.0.1\n")

    def run(self, *args: str, mode: str = "serve", **options: object) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, str(self.script), "--conf-dir", str(self.root), *args]
        return self.call(argv, mode, **options)

    def call(self, argv: list[str], mode: str = "serve", **options: object) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.environ["PATH"], "MODE": mode}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]  # options: cwd, pass_fds, preexec_fn
            argv, env=environ, capture_output=True, text=True, timeout=30, check=False, **options
        )

    def facts(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.root / "logs" / "facts").read_text())
        return found

    def end(self) -> None:
        if not (self.root / "logs" / "facts").exists():
            return
        pid = int(str(self.facts()["pid"]))
        cmdline = Path(f"/proc/{pid}/cmdline")
        if cmdline.exists() and str(self.root).encode() in cmdline.read_bytes():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.end()


def signal_bits(*names: str) -> int:
    return sum(1 << (signal.Signals[f"SIG{name}"] - 1) for name in names)


def test_a_start_makes_a_daemon_and_tells_the_truth(place: Place) -> None:
    done = place.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    facts = place.facts()
    assert facts["sid"] == facts["pid"]
    assert facts["cwd"] == "/"
    assert facts["umask"] == 0o022
    assert facts["core"] == [0, 0]
    assert (facts["dumpable"], facts["owner"]) == (0, 0)  # /proc/PID belongs to root
    assert facts["foreground"] is False
    assert facts["resume_fd"] is None
    assert (facts["own"], facts["hosts"]) == ("me", ["me"])
    assert facts["argv"] == [sys.executable, str(place.script), "--conf-dir", str(place.root)]
    fds = facts["fds"]
    assert isinstance(fds, dict)
    assert fds["0"] == fds["1"] == "/dev/null"
    assert fds["2"] == str(place.root / "logs" / "lonc_errors")
    assert sum(target.startswith("pipe:") for target in fds.values()) == 1  # the readiness pipe
    assert len(fds) <= 6
    assert os.stat(place.root / "logs" / "lonc_errors").st_mode & 0o777 == 0o640
    assert os.path.exists(f"/proc/{facts['pid']}")


def test_signals_of_the_starter_are_not_inherited(place: Place) -> None:
    def spoil() -> None:
        for name in NAMED:
            if name != "CHLD":
                signal.signal(signal.Signals[f"SIG{name}"], signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    assert place.run(preexec_fn=spoil).returncode == 0
    facts = place.facts()
    ignored, blocked = facts["ignored"], facts["blocked"]
    assert isinstance(ignored, int)
    assert isinstance(blocked, int)
    assert ignored & signal_bits(*NAMED) == 0
    # Blocked until the parent has its handlers: what comes during the start is carried out after it.
    assert blocked & signal_bits(*NAMED) == signal_bits(*NAMED)


def test_stray_descriptors_are_closed_and_a_redirected_stderr_is_kept(place: Place) -> None:
    stray = os.open(place.root / "stray", os.O_RDWR | os.O_CREAT)
    watchdog = open(place.root / "watchdog", "w")  # noqa: SIM115 - closed below
    argv = [sys.executable, str(place.script), "--conf-dir", str(place.root)]
    done = subprocess.run(
        argv, stderr=watchdog, stdout=subprocess.PIPE, pass_fds=(stray,), timeout=30, check=False
    )  # the pipe's end of file shows that the daemon does not keep it
    os.close(stray)
    watchdog.close()
    assert done.returncode == 0
    fds = place.facts()["fds"]
    assert isinstance(fds, dict)
    assert str(place.root / "stray") not in fds.values()
    assert fds["2"] == str(place.root / "watchdog")
    deadline = time.monotonic() + 5
    while (place.root / "watchdog").read_text() != "to stderr\n":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_closed_standard_descriptors_do_no_harm(place: Place) -> None:
    script = 'exec "$@" <&- >&- 2>&-'
    argv = ["/bin/sh", "-c", script, "sh", sys.executable, str(place.script), "--conf-dir", str(place.root)]
    assert place.call(argv).returncode == 0
    fds = place.facts()["fds"]
    assert isinstance(fds, dict)
    assert fds["0"] == fds["1"] == "/dev/null"


@pytest.mark.parametrize(
    ("mode", "code", "text"),
    [
        ("error", 1, "lonc: no place\nto be\n"),
        ("tell", 1, "lonc: told why\n"),
        ("crash", 70, "lonc: ABNORMAL EXIT while starting: ZeroDivisionError (details in {errors})\n"),
        ("leave", 1, "lonc: the daemon ended while starting, with exit code 0\n"),
        ("die", 1, "lonc: the daemon was killed by signal 9 while it started\n"),
        ("die-with-child", 1, "lonc: the daemon was killed by signal 9 while it started\n"),
    ],
)
def test_a_failed_start_is_told_by_the_starter(place: Place, mode: str, code: int, text: str) -> None:
    errors = place.root / "logs" / "lonc_errors"
    before = time.monotonic()
    done = place.run(mode=mode)
    assert (done.returncode, done.stderr) == (code, text.format(errors=errors))
    assert time.monotonic() - before < 12  # not held up by the child that keeps the pipe open
    assert ("ZeroDivisionError" in errors.read_text()) == (mode == "crash")


def test_foreground_stays_and_keeps_its_streams(place: Place) -> None:
    done = place.run("-n", mode="pass", cwd=place.root)
    assert (done.returncode, done.stdout, done.stderr) == (
        0, "to stdout\n", "lonc: later calls do nothing\nto stderr\n",
    )  # fmt: skip
    facts = place.facts()
    assert facts["foreground"] is True
    assert facts["cwd"] == "/"
    assert facts["sid"] == os.getsid(0)
    assert facts["argv"] == [
        sys.executable, str(place.script), "--conf-dir", str(place.root), "--foreground",
    ]  # fmt: skip
    blocked = facts["blocked"]
    assert isinstance(blocked, int)
    assert blocked & signal_bits("TERM", "HUP") == signal_bits("TERM", "HUP")
    assert place.run("-n", mode="error").returncode == 1


def test_resume_keeps_descriptors_mask_and_session(place: Place) -> None:
    notes = os.memfd_create("notes")

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    # A resumed start forks nothing and asks neither for user nor lock: it has them.
    lock = DaemonLock.acquire(str(place.root / "logs" / "lonc.lock"), SystemFiles())
    done = place.run("--resume", str(notes), mode="pass", pass_fds=(notes,), preexec_fn=block)
    lock.close()
    assert done.returncode == 0
    facts = place.facts()
    assert facts["resume_fd"] == notes
    fds, blocked = facts["fds"], facts["blocked"]
    assert isinstance(fds, dict)
    assert "memfd:notes" in fds[str(notes)]
    assert isinstance(blocked, int)
    assert blocked & signal_bits("TERM", "USR1") == signal_bits("TERM", "USR1")
    assert (facts["dumpable"], facts["owner"]) == (0, 0)
    os.close(notes)


def test_a_second_start_names_the_holder(place: Place) -> None:
    lock = DaemonLock.acquire(str(place.root / "logs" / "lonc.lock"), SystemFiles())
    for args in ((), ("-n",)):
        done = place.run(*args)
        assert done.returncode == 1
        assert done.stderr == f"lonc: lonc is already running: process {os.getpid()} holds {lock.path}\n"
    lock.close()


def test_the_wrong_user_is_refused(place: Place) -> None:
    with open(place.root / "loncapa.conf", "a") as file:
        file.write("PerlSetVar loncUser no-such_user\n")
    done = place.run()
    assert done.returncode == 1
    assert done.stderr == (
        f"lonc: User ID mismatch. lonc must be run as user no-such_user, not as {ME} "
        "(there is no user no-such_user on this machine)\n"
    )


def test_the_wrong_user_is_mailed_about(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(place.root / "loncapa.conf", "a") as file:
        file.write("PerlSetVar loncUser daemon\nPerlSetVar lonAdmEMail a@b\nPerlSetVar lonSysEMail c@d\n")
    sent: list[tuple[object, ...]] = []
    monkeypatch.setattr(user, "send_mail", lambda *args: sent.append(args))
    with pytest.raises(StartError):
        user.require_user(load_config(str(place.root)), "lonc")
    ((to, subject, text),) = sent
    assert (to, subject) == (("a@b", "c@d"), "LON: User ID mismatch")
    assert "must be run as user daemon" in str(text)


def test_a_user_may_be_a_number() -> None:
    assert user.user_id("12345") == 12345
    assert user.user_id(ME) == os.geteuid()
    assert user.user_id("no-such_user") is None


def test_check_says_what_it_checked(place: Place) -> None:
    with open(place.root / "loncapa.conf", "a") as file:
        file.write("PerlSetVar loncSpreadAfter 5\n")
    with open(place.root / "hosts.tab", "a") as file:
        file.write("junk\n")
    done = place.run("-t", mode="crash")
    lines = done.stdout.replace(f"{place.root}/", "").splitlines()
    assert done.returncode == 0
    assert done.stderr == ""
    assert lines[0].endswith(": configuration of me")
    assert lines[1:4] == [
        "files: loncapa.conf, hosts.tab",
        f"settings: 6 given, {len(SETTINGS) - 6} at their defaults",
        "hosts: 1 usable",
    ]
    assert lines[4] == "WARNING: loncapa.conf:6: loncSpreadAfter 5 has no effect while loncMaxConnections is 1"
    assert lines[5].startswith("WARNING: hosts.tab:2: malformed line")
    assert lines[6] == "The configuration can be used."
    assert not (place.root / "logs" / "facts").exists()


def test_check_warns_of_what_a_start_would_stumble_over(place: Place) -> None:
    (place.root / "logs").rmdir()
    with open(place.root / "loncapa.conf", "a") as file:
        file.write("PerlSetVar loncUser no-such_user\n")
    done = place.run("-t")
    (place.root / "logs").mkdir()
    assert done.returncode == 0
    assert f"WARNING: {place.root}/logs is no directory\n" in done.stdout
    assert "WARNING: loncUser no-such_user is no user of this machine\n" in done.stdout


def test_configuration_errors_end_with_2_and_all_lines(place: Place) -> None:
    with open(place.root / "loncapa.conf", "a") as file:
        file.write("PerlSetVar loncGrace 2x\nPerlSetVar loncPong 7\n")
    for args in (("-t",), (), ("-n",)):
        done = place.run(*args)
        assert done.returncode == 2
        told = done.stderr.replace(f"{place.root}/", "").splitlines()
        assert told == [
            "lonc: loncapa.conf:6: loncGrace is '2x'; a number of seconds from 0 to 60 is allowed",
            "lonc: loncapa.conf:7: loncPong is '7'; on or off is allowed",
        ]


def test_a_bad_table_ends_with_2(place: Place) -> None:
    (place.root / "hosts.tab").write_text("")
    assert place.run("-t").returncode == 2
    done = place.run()
    assert (done.returncode, "hosts.tab: no usable host" in done.stderr) == (2, True)


def test_a_program_that_cannot_be_imported_is_told(place: Place) -> None:
    broken = STAND_IN.replace('sys.modules["lonc.parent"] = module', 'sys.modules["lonc.parent"] = None')
    place.script.write_text(broken)
    for args in (("-t",), ("-n",), ()):
        done = place.run(*args)
        assert done.returncode == 1
        assert done.stderr.startswith(f"lonc: the program is incomplete for {sys.executable}: ")
        assert "lonc.parent" in done.stderr


def test_the_environment_names_the_directory_and_a_relative_one_survives(place: Place) -> None:
    argv = [sys.executable, "lonc", "--conf-dir", "."]
    assert place.call(argv, cwd=place.root).returncode == 0
    assert place.facts()["argv"] == [sys.executable, str(place.script), "--conf-dir", str(place.root)]
    environ = {"LONCAPA_CONF_DIR": str(place.root)}
    argv = [sys.executable, str(place.script), "-t"]
    assert subprocess.run(argv, env=environ, check=False, capture_output=True).returncode == 0


def test_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert cli.main(["--help"]) == 0
    out = capfd.readouterr().out
    assert out.startswith(f"lonc {__version__}\n")
    assert "--conf-dir" in out
    assert "--resume" not in out
    assert cli.main(["--nonsense"]) == 2
    assert cli.main(["--chec"]) == 2
