"""Owns the search guided by coverage, with atheris, and what of it is kept in the corpus.

Each harness is searched in a process of its own, since libFuzzer ends its process. What it leaves is measured here
by the steps from line to line inside lonc: an input is kept when it takes one that no kept input takes, after
everything was cut from it that is not needed for that.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

import lonc
from tests.fuzz.campaign import PLACE
from tests.fuzz.harness import CORPUS, MEMORY, Harness
from tests.fuzz.watch import attempt, limits

MOST_KEPT = 48  # files of one harness
LIMIT_S = 10.0  # of processor time for one input, which is watched step by step
_OURS = str(Path(lonc.__file__).parent)
Step = tuple[str, int, int]


def explore(chosen: Sequence[Harness], seconds: float, seed: int) -> int:
    """Search with each harness for so long; keep what reaches new code; return 1 when something was found."""
    found = 0
    for harness in chosen:
        folder = PLACE / harness.name / "corpus"
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(harness.known()):
            (folder / f"known-{number}").write_bytes(data)
        command = [sys.executable, "-m", "tests.fuzz.guided", harness.name, str(seconds), str(seed), str(folder)]
        with open(folder.with_name("atheris.log"), "wb") as log:
            ended = subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                check=False).returncode
        kept = keep(harness, sorted(folder.iterdir(), key=lambda path: (path.stat().st_size, path.name)))
        found += ended != 0
        said = "FOUND, see" if ended else "log in"
        print(f"{harness.name:<10} {len(kept)} new inputs kept, {said} {log.name}", flush=True)
    return 1 if found else 0


def _run(command: list[str], log: IO[bytes]) -> int:
    """Return how a search ended; libFuzzer leaves without a word, so its files lie in a place of ours."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as place:
        environment = os.environ | {"LONC_FUZZ_PLACE": place}
        null = subprocess.DEVNULL
        return subprocess.run(command, stdout=log, stderr=log, stdin=null, env=environment, check=False).returncode


def keep(harness: Harness, candidates: Iterable[Path]) -> list[Path]:
    """Add to the kept corpus what takes steps that no known input takes; return the new files."""
    kept: list[Path] = []
    with limits():
        known: set[Step] = set()
        for data in harness.known():
            known |= steps(harness, data)
        for path in candidates:
            if len(harness.kept()) >= MOST_KEPT:
                break
            data = path.read_bytes()
            new = steps(harness, data) - known
            if not new or len(data) > harness.max_bytes:
                continue
            data = _least(harness, data, new)
            known |= steps(harness, data)
            kept.append(CORPUS / harness.name / f"found-{hashlib.sha256(data).hexdigest()[:10]}")
            kept[-1].parent.mkdir(parents=True, exist_ok=True)
            kept[-1].write_bytes(data)
    return kept


def steps(harness: Harness, data: bytes) -> set[Step]:
    """Return the steps from line to line inside lonc that an input takes."""
    found: set[Step] = set()
    last: dict[FrameType, int] = {}

    def step(frame: FrameType, event: str, _argument: object) -> object:
        name = frame.f_code.co_filename
        if not name.startswith(_OURS):
            return None
        if event == "line":
            found.add((name, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return step

    before = sys.gettrace()
    sys.settrace(step)  # type: ignore[arg-type]  # a function that returns itself has no type
    try:
        attempt(harness.function, data, LIMIT_S)
    finally:
        sys.settrace(before)
    return found


def _least(harness: Harness, data: bytes, wanted: set[Step], tries: int = 120) -> bytes:
    """Return as little of an input as takes all the wanted steps."""
    part = max(1, len(data) // 2)
    while tries > 0 and part:
        at = 0
        while at < len(data) and tries > 0:
            tries -= 1
            less = data[:at] + data[at + part :]
            if wanted <= steps(harness, less):
                data = less
            else:
                at += part
        part //= 2
    return data


def _search(name: str, seconds: str, seed: str, folder: str) -> None:
    """Run libFuzzer in this process, which it ends."""
    atheris = importlib.import_module("atheris")  # an extra, and of use in this process alone
    with atheris.instrument_imports(include=["lonc"]):
        from tests.fuzz.table import HARNESSES

    harness = HARNESSES[name]
    words = Path(folder).with_name("words")
    texts = ["".join(f"\\x{byte:02x}" for byte in word) for word in harness.words if word]
    words.write_text("".join(f'"{text}"\n' for text in texts))
    arguments = [
        sys.argv[0], f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={harness.max_bytes}", "-timeout=20",
        *([f"-dict={words}"] if texts else []), f"-artifact_prefix={Path(folder).parent}{os.sep}crash-", folder,
    ]  # fmt: skip
    atheris.Setup(arguments, harness.function)
    atheris.Fuzz()


if __name__ == "__main__":
    _search(*sys.argv[1:])
