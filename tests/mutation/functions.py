"""Owns the mutants inside functions: mutmut makes and runs them, here its results are read.

mutmut keeps beside each changed file FILE.meta (exit codes by name) and FILE.spans (where in the changed file
the copies of each function stand). A name is `lonc.wire.lines.xǁLineBufferǁfeed__mutmut_3`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.mutation.parts import Part
from tests.mutation.results import SURVIVED, Mutant, difference, verdict

_COUNT: Final = re.compile(rb"(\d+)/(\d+) ")
_SEPARATOR: Final = "\u01c1"  # mutmut's between class and method
TOLD_S: Final = 10.0  # between two lines about how far it is


class MutmutFailed(Exception):
    """mutmut ended with an error; the text is the end of what it wrote."""


def run(part: Part, jobs: int, *, tests_changed: bool) -> None:
    """Run mutmut until every mutant has a verdict; what survived is tried again when a test has changed."""
    if tests_changed:
        (part.ground / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)  # which test runs which function
        for meta in _metas(part):
            _try_survivors_again(meta)
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(jobs)]
    with subprocess.Popen(
        command, cwd=part.ground, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    ) as process:
        assert process.stdout is not None
        end = b""
        told = time.monotonic()
        while data := process.stdout.read(65536):
            end = (end + data)[-20000:]
            counts = _COUNT.findall(end)
            if counts and time.monotonic() - told > TOLD_S:
                told = time.monotonic()
                print(f"{part.name}: in functions: {int(counts[-1][0])} of {int(counts[-1][1])}", flush=True)
    if process.returncode:
        raise MutmutFailed(end.decode("utf-8", "replace").replace("\r", "\n")[-3000:])


def found(part: Part) -> list[Mutant]:
    """Return every mutant of the part that mutmut has made, in the order of the files."""
    mutants = []
    for meta in _metas(part):
        codes: dict[str, int | None] = json.loads(meta.read_text("utf-8"))["exit_code_by_key"]
        if not codes:
            continue
        changed = meta.with_suffix("")
        file = str(changed.relative_to(part.ground / "mutants"))
        lines = changed.read_text("utf-8").splitlines()
        spans = json.loads(changed.with_name(changed.name + ".spans").read_text("utf-8"))["spans"]
        for name, code in codes.items():
            own = name.rpartition(".")[2]
            original = own.rpartition("__mutmut_")[0] + "__mutmut_orig"
            before, after = (_body(lines, spans[which]) for which in (original, own))
            mutants.append(Mutant(file, plain_name(own), *difference(before, after), verdict(code)))
    return mutants


def plain_name(mangled: str) -> str:
    """Return `Class.method` or `function` for the name that mutmut gave one of its copies."""
    name = mangled.rpartition("__mutmut_")[0]
    if name.startswith("x" + _SEPARATOR):
        return name[2:].replace(_SEPARATOR, ".")
    return name.removeprefix("x_")


def _metas(part: Part) -> list[Path]:
    places = (part.ground / "mutants" / (name + ".meta") for name in part.source_files(part.ground))
    return [place for place in places if place.exists()]


def _body(lines: list[str], span: list[int]) -> str:
    """Return the text of one copy of a function under a common name."""
    text = "\n".join(lines[span[0] - 1 : span[1]])
    return re.sub(r"\w+__mutmut_(\w+)", "f", text)


def _try_survivors_again(meta: Path) -> None:
    kept = json.loads(meta.read_text("utf-8"))
    codes = kept["exit_code_by_key"]
    kept["exit_code_by_key"] = {name: None if verdict(code) == SURVIVED else code for name, code in codes.items()}
    meta.write_text(json.dumps(kept, indent=4), "utf-8")
