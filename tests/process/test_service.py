"""The unit files: their score, and that the daemons do all their work inside what the units leave them."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process import sandbox
from tests.process.conftest import MakeLond
from tests.process.harness import Site
from tests.process.waiting import TREE, wait_until

UNITS = sorted((TREE / "etc" / "systemd").glob("*.service"))
BEST = 1.5
SANDBOX = Path(sandbox.__file__)


def inside(unit: str) -> list[str]:
    """Return what runs a command in a unit's sandbox; skips where there is none to be had."""
    if sandbox.lacking():
        pytest.skip(sandbox.lacking())
    command = [sys.executable, str(SANDBOX), str(TREE / "etc" / "systemd" / unit)]
    done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no filter of system calls can be loaded here: {done.stderr[-200:]}")
    return command


def test_there_is_a_unit_for_each_daemon() -> None:
    assert [unit.name for unit in UNITS] == ["lonc.service", "lond.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_score_of_a_unit(unit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "unrecognized option" in done.stderr or "Unknown" in done.stderr:
        pytest.skip("this systemd is older than 250: it cannot look at a unit that is not installed")
    score = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert score, done.stdout + done.stderr
    with capsys.disabled():
        print(f" exposure of {unit.name}: {score[1]} ", end="")
    assert float(score[1]) <= BEST


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_a_unit_says(unit: Path, tmp_path: Path) -> None:
    found = sandbox.settings(unit)
    program = unit.stem
    assert found["Type"] == ["notify"]
    assert found["ExecStart"] == [f"/opt/lonc/bin/{program} -n"]
    assert found["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert (found["KillMode"], found["OOMPolicy"]) == (["mixed"], ["continue"])
    assert int(found["WatchdogSec"][0]) > 0
    assert found["RestartPreventExitStatus"] == ["2"]
    if shutil.which("systemd-analyze"):
        # as installed, but with a program that is here and without the manual, which `man` cannot find
        text = re.sub(r"(?m)^Documentation=.*\n", "", unit.read_text())
        copy = tmp_path / unit.name
        copy.write_text(text.replace(f"/opt/lonc/bin/{program}", "/bin/true").replace("=www\n", "=root\n"))
        command = ["systemd-analyze", "verify", str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert [line for line in done.stderr.splitlines() if unit.name in line] == []


def test_the_sandbox_is_one(tmp_path: Path) -> None:
    tries = "; ".join(
        f"print(attempt(lambda: {what}))"
        for what in (
            "os.chown('/tmp', 0, 0)", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
            "mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)", "os.setgroups([])",
            "os.setpriority(os.PRIO_PROCESS, 0, 1)", "socket.socket(socket.AF_UNIX).fileno()",
        )
    )  # fmt: skip
    code = (
        "import mmap, os, socket\n"
        "def attempt(what):\n try:\n  what()\n except OSError as error:\n  return error.errno\n return 0\n" + tries
    )
    done = subprocess.run(
        [*inside("lonc.service"), sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["1", "1", "1", "1", "1", "0"], done.stderr


def test_lonc_does_all_its_work_in_the_sandbox(make_site: Callable[..., Site]) -> None:
    site = make_site(["msul1", "msul2"], settings={"loncPage": "on", "loncJsonLog": "on"})
    page = site.status_path.with_name("lonc.html")
    wrapper = inside("lonc.service")
    for name in ("msul1", "msul2"):
        site.peer(name)
    message = site.delay("msul1", b"put:msu:joe:grades:a=1")
    pid = site.start_foreground(wrapper=wrapper)
    site.wait_ready()
    assert site.ask("msul1", b"ping") == b"msul1"
    assert site.ask("msul2", b"encrypt:ping") is not None
    wait_until(lambda: not message.exists(), 20, "a delayed message that is sent")
    for times in (1, 2):
        site.signal(signal.SIGHUP)
        site.wait_log("children hand over to new ones", count=times)
        site.wait_log("Done starting initial servers", 20, count=times + 1)
    assert site.pid() == pid
    site.signal(signal.SIGUSR1)
    wait_until(lambda: site.status_path.exists() and "msul2" in site.status_path.read_text(), 20, "the status")
    site.signal(signal.SIGUSR2)
    site.wait_log("hosts.tab read again")
    wait_until(lambda: page.exists() and "msul2" in page.read_text("utf-8"), 30, "the status page")
    site.wait_ready()
    assert site.ask("msul2", b"ping") == b"msul2"
    site.stop()
    told = [line.message for line in site.log() if "color" in line.message]
    assert [text for text in told if "our own id own1 is not in the table" not in text] == []
    assert site.error_text() == ""


def test_lond_does_its_work_in_the_sandbox(make_lond: MakeLond) -> None:
    site = make_lond()
    site.add_user()
    site.start_foreground(wrapper=inside("lond.service"))
    with site.link() as client:
        assert client.ask(b"put:msu:joe:grades:a=1", 20) == b"ok"
        assert client.ask(b"get:msu:joe:grades:a", 20) == b"1"
        assert client.ask(b"makeuser:msu:ann:internal:secret", 20) is not None
    site.signal(signal.SIGHUP)
    site.wait_log("Restarted")
    with site.link() as client:
        assert client.ask(b"get:msu:joe:grades:a", 20) == b"1"
    site.stop()
    assert "ABNORMAL" not in site.log_text()
    assert "Cannot" not in site.log_text()


@pytest.mark.parametrize("first", ["the service", "the watchdog"])
def test_the_lock_decides_between_the_service_and_the_watchdog(site: Site, first: str) -> None:
    if first == "the service":
        pid = site.start_foreground()
        second = site.run()
    else:
        pid = site.start()
        second = site.run("-n")
    assert second.returncode == 1
    assert second.stderr == f"lonc: lonc is already running: process {pid} holds {site.logs_dir}/lonc.lock\n"
    assert site.pid() == pid
