"""What lonc needs: no version with a known hole, none missing, none without a bound, licences that go together.

Offline against advisories.toml; with pip-audit where its service can be asked, which is skipped where it cannot.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.process.waiting import TREE
from tests.proof.tally import Tally

ADVISORIES = Path(__file__).with_name("advisories.toml")
SERVICE = ("pypi.org", 443)
# Go together with GPL-2.0-or-later: Apache-2.0 by version 3, MPL-2.0 by its own word, LGPL as a library.
LICENCES = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|MPL-2|ISC|PSF|Python Software|LGPL|GNU Lesser|Public Domain|CNRI)", re.IGNORECASE
)


def needed(*extras: str) -> list[Requirement]:
    """Return what setup.cfg needs to run, and for these extras."""
    file = configparser.ConfigParser()
    file.read(TREE / "setup.cfg")
    texts = [file["options"]["install_requires"]]
    texts += [file["options.extras_require"][extra] for extra in extras]
    return [Requirement(line) for text in texts for line in text.splitlines() if line.strip()]


def lower_bound(requirement: Requirement) -> Version | None:
    """Return the least version that is allowed; None when there is no bound."""
    bounds = [Version(one.version) for one in requirement.specifier if one.operator in (">=", "==", "~=")]
    return max(bounds) if bounds else None


def advisories() -> list[dict[str, Any]]:
    """Return the table."""
    return list(tomllib.loads(ADVISORIES.read_text("utf-8"))["advisory"])


def test_what_runs_has_a_lower_bound_and_what_tests_need_is_bounded_where_it_runs() -> None:
    assert [str(one) for one in needed("postgres") if lower_bound(one) is None] == []


def test_no_lower_bound_allows_a_version_with_a_known_hole(tally: Tally) -> None:
    bounds = {one.name.lower(): lower_bound(one) for one in needed("postgres", "test")}
    known = advisories()
    wrong = []
    for one in known:
        bound = bounds.get(one["package"])
        if bound is not None and bound < Version(one["fixed"]) and "accepted" not in one:
            wrong.append(f"{one['package']} >= {bound} allows {one['ids']}")
    assert wrong == []
    assert all(len(one["accepted"].split()) >= 2 for one in known if "accepted" in one)
    tally.add(inputs=len(known))


def test_no_installed_version_has_a_known_hole() -> None:
    wrong = []
    for one in advisories():
        try:
            installed = Version(metadata.version(one["package"]))
        except metadata.PackageNotFoundError:
            continue
        if installed < Version(one["fixed"]) and "accepted" not in one:
            wrong.append(f"{one['package']} {installed}: {one['ids']}")
    assert wrong == []


def test_what_is_installed_is_complete_and_in_the_bounds() -> None:
    wrong = []
    for one in needed():
        if one.marker is None or one.marker.evaluate():
            installed = metadata.version(one.name)
            if not one.specifier.contains(installed, prereleases=True):
                wrong.append(f"{one}: {installed}")
    assert wrong == []
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def all_needed(names: list[str]) -> set[str]:
    """Return the names and whatever they need in turn, as installed here."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower()
        if name in seen:
            continue
        seen.add(name)
        for text in metadata.requires(name) or ():
            further = Requirement(text)
            if further.marker is None or further.marker.evaluate({"extra": ""}):
                waiting.append(further.name)
    return seen


def test_the_licences_of_all_that_runs_go_together_with_ours() -> None:
    unknown = {}
    for name in sorted(all_needed([one.name for one in needed()])):
        about = metadata.metadata(name)
        fields = ("License-Expression", "License", "Classifier")
        told = [line[:200] for field in fields for line in about.get_all(field) or []]
        told = [line for line in told if not line.startswith(("Programming", "Topic", "Development"))]
        if not LICENCES.search(" ".join(told)):
            unknown[name] = told
    assert unknown == {}


def test_pip_audit_knows_of_nothing(tmp_path: Path) -> None:
    """Asks the service about the installed versions of all that runs; never fails for want of an answer.

    Only where LONC_TEST_AUDIT is set: a hole that was published today says nothing about this tree's tests.
    """
    if not os.environ.get("LONC_TEST_AUDIT"):
        pytest.skip("asks a service in the network: with LONC_TEST_AUDIT=1")
    pytest.importorskip("pip_audit", reason="pip-audit is not installed")
    try:
        socket.create_connection(SERVICE, 3).close()
    except OSError as error:
        pytest.skip(f"the advisory service cannot be reached: {error}")
    names = all_needed([one.name for one in needed()])
    listed = tmp_path / "requirements.txt"
    listed.write_text("".join(f"{name}=={metadata.version(name)}\n" for name in sorted(names)))
    command = [
        sys.executable, "-m", "pip_audit", "-r", str(listed), "--no-deps", "--disable-pip", "-f", "json",
        "--progress-spinner", "off", "--timeout", "10",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ), cwd=tmp_path
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the advisory service gave no answer in 60 s")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        pytest.skip(f"the advisory service gave no answer: {done.stderr.strip().splitlines()[-1:]}")
    held = {(one["name"], hole["id"]): hole.get("fix_versions") for one in answer["dependencies"]
            for hole in one.get("vulns", ())}  # fmt: skip
    assert held == {}
