"""Owns the checks of the daemons: which lonc and lond live, originals among them, and what `lond -t` says."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Collection
from typing import TypedDict

from lonc.cli.ctl.check.findings import Finding, Level
from lonc.cli.ctl.snapshot import Life, Snapshot
from lonc.config import Config, Given, masked
from lonc.system.files import SystemFiles
from lonc.system.lock import foreign_holder, is_alive, lock_holder
from lonc.system.user import user_id

LOND_LIMIT_S = 30.0
_OF_BOTH = frozenset({"londPort"})  # lonc needs it as well
_WARNING = "WARNING: "
_SAID_LIMIT = 20  # lines of lond's that are passed on


def lonc(here: Snapshot) -> list[Finding]:
    """Check whether a lonc lives, and whether it is one of ours."""
    daemon = here.daemon
    if daemon.life is Life.RUNNING:
        return [Finding("lonc", Level.OK, f"runs, process {daemon.pid}")]
    if daemon.life is Life.UNKNOWN:
        text = f"another lonc may live: {daemon.life_why}; ours would not start"
        return [Finding("lonc", Level.ERROR, text, "stop that one first; or run this as root")]
    if daemon.life is Life.DEAD:
        text = f"does not run, and {here.config.pid_path} is there: it was killed"
        return [Finding("lonc", Level.WARNING, text, "look at the end of lonc.log and lonc_errors; start it")]
    return [Finding("lonc", Level.OK, "does not run; nothing is in the way of a start")]


def lond_process(here: Snapshot) -> list[Finding]:
    """Check whether a lond lives that is not ours: an original, which takes no lock."""
    config, files = here.config, SystemFiles()
    holder = lock_holder(config.server_path(".lock"), files)
    if holder and is_alive(holder):
        return [Finding("lond", Level.OK, f"runs, process {holder}")]
    other = foreign_holder(files, config.server_path(".pid"), ("lond",))
    if other:
        text = f"process {other}, named in {config.server_path('.pid')}, is a lond that is not ours"
        return [Finding("lond", Level.WARNING, text, "nothing, if the original shall serve; else stop it first")]
    return []


def lond_is_configured(config: Config, given: Collection[str] | dict[str, Given]) -> bool:
    """Return whether lond belongs to this installation: it has a setting of its own, or has run here."""
    own = any(name.startswith("lond") and name not in _OF_BOTH for name in given)
    return own or os.path.exists(config.server_path(".lock"))


def lond_check(config: Config, told: Collection[str]) -> list[Finding]:
    """Return what `lond -t` finds; told: warnings that were told before. It is run as loncUser if that can be."""
    command = _lond_command()
    if command is None:
        return [Finding("lond", Level.WARNING, "no program lond beside this one", "install lond, or --no-lond")]
    try:
        done = subprocess.run(
            [*command, "-t", "--conf-dir", config.conf_dir], stdin=subprocess.DEVNULL, capture_output=True,
            timeout=LOND_LIMIT_S, check=False, **_other_user(config),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        text = f"`lond -t` did not end within {LOND_LIMIT_S:g} s: its store hangs"
        return [Finding("lond", Level.ERROR, text, "look at londStore: the disk, or the database server")]
    except OSError as error:
        text = f"`lond -t` cannot be run: {(error.strerror or '').lower()}"
        return [Finding("lond", Level.ERROR, text, f"try `{' '.join(command)} -t`")]
    return judge_lond(config, done.returncode, done.stdout, done.stderr, told)


def judge_lond(
    config: Config, code: int, output: bytes, errors: bytes, told: Collection[str]
) -> list[Finding]:  # fmt: skip
    """Return the findings in what `lond -t` has said; a password of the store is masked wherever it stands."""
    lines = output.decode("utf-8", "replace").splitlines()
    warnings = [line.removeprefix(_WARNING) for line in lines if line.startswith(_WARNING)]
    found = [
        Finding("lond", Level.WARNING, _safe(config, text), "correct it") for text in warnings if text not in told
    ]
    if code == 0:
        facts = [line for line in lines if line.startswith(("store:", "port:"))]
        return [*found, Finding("lond", Level.OK, f"can be used ({', '.join(facts)})")]
    said = [line.removeprefix("lond: ") for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    for text in said[-_SAID_LIMIT:] or [f"`lond -t` ended with {code}"]:
        found.append(Finding("lond", Level.ERROR, _safe(config, text), "see doc/store.md and doc/lond.md"))
    return found


def _safe(config: Config, text: str) -> str:
    return text.replace(config.store, masked(config.store))


def _lond_command() -> list[str] | None:
    """Return how lond is started: the program beside this one, by this very Python, else the one on the path."""
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "lond")
    if os.path.isfile(beside):
        return [sys.executable, beside]
    found = shutil.which("lond")
    return [found] if found else None


class _AsUser(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _other_user(config: Config) -> _AsUser:
    """Return how root becomes loncUser, so that nothing is made in root's name; nothing: stay who we are."""
    wanted = user_id(config.user)
    if os.geteuid() != 0 or not wanted:
        return {}
    try:
        entry = pwd.getpwuid(wanted)
    except KeyError:
        return {"user": wanted}
    return {"user": wanted, "group": entry.pw_gid, "extra_groups": os.getgrouplist(entry.pw_name, entry.pw_gid)}
