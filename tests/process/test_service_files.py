"""The files beside the units do what they say: rotation, directories, the user, the container."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from lonc.config import SETTINGS
from tests.process.waiting import TREE

ETC = TREE / "etc"
LOGS = "/home/httpd/perl/logs"


def need(program: str, package: str) -> str:
    """Return where a program is; skips when it is not installed."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")
    return found


def run(*command: str) -> str:
    """Run a command and return all it said; any failure is the test's."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_logrotate_renames_logs_and_cuts_what_stays_open(tmp_path: Path) -> None:
    program = need("logrotate", "logrotate")
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o755)
    me, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    text = (
        (ETC / "logrotate" / "lonc").read_text().replace(LOGS, str(logs)).replace("su www www", f"su {me} {group}")
    )
    (tmp_path / "conf").write_text(text)
    (tmp_path / "conf").chmod(0o644)
    named = re.findall(rf"{logs}/(\S+)", text)
    assert {"lonc.log", "lond.log", "lonnet.log", "lonnet.perm.log", "lonc_errors", "lond_errors"} == set(named)
    for name in named:
        (logs / name).write_text("a line\n")
    with (logs / "lonc_errors").open("a") as kept_open:
        run(program, "-f", "-s", str(tmp_path / "state"), str(tmp_path / "conf"))
        kept_open.write("a later line\n")
    assert not (logs / "lonc.log").exists()
    assert (logs / "lonc.log.1").read_text() == "a line\n"
    assert not (logs / "lonnet.perm.log").exists()
    assert (logs / "lonc_errors").read_text() == "a later line\n"


def fresh_machine(root: Path) -> None:
    """Make a root directory that knows no users but root."""
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")


def test_sysusers_makes_the_user_that_lonc_wants(tmp_path: Path) -> None:
    program = need("systemd-sysusers", "systemd")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    fresh_machine(tmp_path)
    run(program, f"--root={tmp_path}", str(ETC / "sysusers.d" / "lonc.conf"))
    user = next(setting.default for setting in SETTINGS if setting.field == "user")
    lines = (tmp_path / "etc" / "passwd").read_text().splitlines()
    assert [line.split(":")[5] for line in lines if line.startswith(f"{user}:")] == ["/home/httpd"]


def test_tmpfiles_makes_the_directories(tmp_path: Path) -> None:
    program = need("systemd-tmpfiles", "systemd")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    fresh_machine(tmp_path)
    with (tmp_path / "etc" / "passwd").open("a") as users, (tmp_path / "etc" / "group").open("a") as groups:
        users.write("www:x:4321:4321::/home/httpd:/bin/false\n")
        groups.write("www:x:4321:\n")
    run(program, "--create", f"--root={tmp_path}", str(ETC / "tmpfiles.d" / "lonc.conf"))
    made = {}
    for name in ("perl/logs", "sockets", "sockets/delayed", "html/lon-status"):
        facts = (tmp_path / "home" / "httpd" / name).stat()
        made[name] = (stat.S_IMODE(facts.st_mode), facts.st_uid)
    assert made == {
        "perl/logs": (0o750, 4321), "sockets": (0o750, 4321), "sockets/delayed": (0o700, 4321),
        "html/lon-status": (0o755, 4321),
    }  # fmt: skip


def test_units_and_directories_are_those_of_the_settings() -> None:
    defaults = {setting.field: str(setting.default) for setting in SETTINGS}
    places = [f"{defaults['daemons_dir']}/logs", defaults["sock_dir"], f"{defaults['doc_root']}/lon-status"]
    unit = (ETC / "systemd" / "lonc.service").read_text()
    tmpfiles = (ETC / "tmpfiles.d" / "lonc.conf").read_text()
    bound = re.findall(r"(?m)^BindPaths=(.*)$", unit)[0].replace(" -", " ").split()
    assert bound == places
    assert re.findall(r"(?m)^BindReadOnlyPaths=(.*)$", unit) == [defaults["tab_dir"]]
    assert [place for place in places if f"{place} " not in tmpfiles] == []
    assert f"User={defaults['user']}\n" in unit


def test_the_container_runs_the_daemon_in_the_foreground_as_no_root() -> None:
    text = re.sub(r"\\\n\s*", "", (TREE / "Containerfile").read_text())
    rows = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    last = [row[0] for row in rows].index("FROM", 1)
    found = dict(rows[last:])
    assert json.loads(found["ENTRYPOINT"]) == ["lonc", "--foreground"]
    assert found["USER"] == "www"
    assert found["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(found["HEALTHCHECK"].partition("CMD ")[2])[0] == "loncctl"
    assert json.loads(found["VOLUME"]) == ["/home/httpd/sockets", f"{LOGS}"]
