"""Owns the checks of the machine: Python, libraries, the engine of IDEA, clock, user."""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import platform
import pwd
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from lonc.cli.ctl.check.findings import Finding, Level
from lonc.cli.ctl.snapshot import Snapshot
from lonc.errors import CipherError
from lonc.system.user import user_id
from lonc.wire import idea

PYTHON = (3, 11)
TREE = Path(__file__).resolve().parents[4]
# The release is younger than this, so a clock before it is wrong.
EARLIEST_WALL = 1_704_067_200  # the first moment of 2024
LATEST_WALL = 4_102_444_800  # that of 2100
AHEAD_S = 300.0  # a file dated further in the future was written while the clock was wrong, or it is wrong now
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?:>=\s*([0-9][0-9.]*))?[^;]*\s*")
_COMPARED_BLOCKS = 64
_SINCE = "only messages sealed, encrypted or shown with it fail, but a release is tried with all of them"


def python() -> list[Finding]:
    """Check the version of Python."""
    text = f"Python {platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] < PYTHON:
        return [Finding("python", Level.ERROR, text, f"install Python {'.'.join(map(str, PYTHON))} or newer")]
    return [Finding("python", Level.OK, text)]


def requirements() -> list[str]:
    """Return the lines of install_requires: of the tree that this runs from, else of the installed package."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(TREE / "setup.cfg", "utf-8")
    if parser.get("metadata", "name", fallback="") == "lonc":
        return parser.get("options", "install_requires", fallback="").split("\n")
    try:
        return [line for line in importlib.metadata.requires("lonc") or [] if "extra ==" not in line]
    except importlib.metadata.PackageNotFoundError:
        return []


def libraries() -> list[Finding]:
    """Check that each library is there in a version that the package asks for."""
    return judge_libraries(requirements())


def judge_libraries(lines: Iterable[str]) -> list[Finding]:
    """Return what is missing or too old of these requirements (`name>=1.2`), or that nothing is."""
    found: list[Finding] = []
    count = 0
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match is None:
            continue
        count += 1
        name, least = match[1], match[2] or "0"
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding("libraries", Level.ERROR, f"{name} is missing", f"install {name}>={least}"))
            continue
        if _numbers(version) < _numbers(least):
            text = f"{name} {version} is older than {least}; {_SINCE}"
            found.append(Finding("libraries", Level.WARNING, text, f"install {name}>={least}"))
    if not count:
        text = "what libraries are needed is not known: neither setup.cfg nor the installed package was found"
        return [Finding("libraries", Level.WARNING, text, "run it from the tree, or install the package")]
    return found or [Finding("libraries", Level.OK, f"all {count} are there and new enough")]


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version before the first letter, without zeros at the end: 3.0 is 3."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[a-z+]", version, maxsplit=1)[0])]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def engine() -> list[Finding]:
    """Check IDEA: known answers, and that wheel and plain Python agree on blocks that nobody chose."""
    try:
        idea.self_test()
        agree = _engines_agree()
    except CipherError as error:
        return [Finding("idea", Level.ERROR, str(error), "reinstall the cryptography wheel")]
    if idea.Idea is not idea.WheelIdea:
        text = "the cryptography wheel offers no IDEA here: plain Python does it, a few thousand times slower"
        return [Finding("idea", Level.WARNING, text, "install cryptography, with OpenSSL's legacy algorithms")]
    if not agree:
        text = "the cryptography wheel and plain Python disagree"
        return [Finding("idea", Level.ERROR, text, "reinstall the cryptography wheel")]
    return [Finding("idea", Level.OK, f"known answers are right; {idea.ENGINE} and plain Python agree")]


def _engines_agree() -> bool:
    key, blocks = os.urandom(idea.KEY_BYTES), os.urandom(idea.BLOCK_BYTES * _COMPARED_BLOCKS)
    plain, chosen = idea.PlainIdea(key), idea.Idea(key)
    sealed = plain.encrypt(blocks)
    return sealed == chosen.encrypt(blocks) and chosen.decrypt(sealed) == plain.decrypt(sealed) == blocks


def clock(now: float | None = None) -> list[Finding]:
    """Check that the wall clock shows a possible time; now: seconds since 1970, the clock's when None."""
    now = time.time() if now is None else now
    if EARLIEST_WALL <= now <= LATEST_WALL:
        return [Finding("clock", Level.OK, time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(now)))]
    text = f"the clock shows {time.strftime('%Y-%m-%d', time.gmtime(now))}: names of messages carry the time"
    return [Finding("clock", Level.ERROR, text, "set the clock, by NTP")]


def dates(here: Snapshot) -> list[Finding]:
    """Check that what lonc has written is not of the future: the clock was wrong then, or is wrong now."""
    config = here.config
    ahead = 0.0
    which = ""
    for path in (config.log_path, config.pid_path, config.hosts_path, config.delayed_dir):
        try:
            age = os.stat(path).st_mtime - here.at_wall
        except OSError:
            continue  # places.py tells what should be there and is not
        if age > max(AHEAD_S, ahead):
            ahead, which = age, path
    if not which:
        return []
    text = f"{which} is dated {ahead:.0f} s in the future: the clock was wrong, or is wrong now"
    return [Finding("clock", Level.WARNING, text, "look at the clock; set it by NTP")]


def user(here: Snapshot) -> list[Finding]:
    """Check that the users of the configuration exist, and who runs this."""
    config = here.config
    found: list[Finding] = []
    wanted = user_id(config.user)
    if wanted is None:
        text = f"loncUser {config.user} is no user of this machine"
        found.append(Finding("user", Level.ERROR, text, "make the user, or correct loncUser"))
    elif os.geteuid() not in (0, wanted):
        text = f"run by user id {os.geteuid()}, not by {config.user}: what that user may do is computed from modes"
        found.append(Finding("user", Level.OK, text))
    for name in config.allow_users:
        if user_id(name) is None:
            text = f"{name} of loncAllowUsers is no user of this machine"
            found.append(Finding("user", Level.WARNING, text, "correct loncAllowUsers"))
    return found or [Finding("user", Level.OK, f"{config.user} ({_uid_text(wanted)})")]


def _uid_text(uid: int | None) -> str:
    if uid is None:
        return "unknown"
    try:
        return f"user id {uid}, {pwd.getpwuid(uid).pw_dir}"
    except KeyError:
        return f"user id {uid}"
