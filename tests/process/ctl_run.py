"""Runs bin/loncctl for a site, as an operator would, and holds its JSON against the schema in the tree."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import jsonschema

from lonc.cli.ctl.main import main
from tests.process.harness import TREE, Site, wait_until

RUN_S = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a run ended, and what it said."""

    code: int
    out: str
    errors: str


def loncctl(site: Site, *arguments: str) -> Done:
    """Run a verb and return what came of it."""
    command = [sys.executable, str(TREE / "bin" / "loncctl"), *arguments, "--conf-dir", str(site.conf_dir)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=RUN_S, check=False, stdin=subprocess.DEVNULL
    )
    return Done(done.returncode, done.stdout, done.stderr)


def document(site: Site, verb: str, *arguments: str) -> dict[str, Any]:
    """Return the JSON of a verb, which fits its schema."""
    done = loncctl(site, verb, *arguments, "--json")
    assert done.out, done.errors
    found = json.loads(done.out)
    schema = json.loads((TREE / "doc" / "schema" / f"{verb}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(found)
    assert isinstance(found, dict)
    return found


def _at_once(site: Site) -> dict[str, Any]:
    """Return what `status --json` says, without a process of its own: for waiting."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(["status", "--json", "--conf-dir", str(site.conf_dir)])
    found = json.loads(out.getvalue())
    assert isinstance(found, dict)
    return found


def wait_finding(site: Site, code: str, peer: str | None = None, timeout_s: float = 30.0) -> str:
    """Return the sentence of a finding as `status` shows it to people, as soon as there is one with this code."""

    def look() -> str:
        found = _at_once(site)["findings"]
        seen = [one for one in found if one["code"] == code and (peer is None or one["peer"] == peer)]
        return f"{seen[0]['text']}; do: {seen[0]['remedy']}" if seen else ""

    return wait_until(look, timeout_s, f"the finding {code}")
