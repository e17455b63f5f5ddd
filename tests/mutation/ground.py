"""Owns the copy of the tree in which mutants live: build/mutation/PART, brought up to date before each run.

The copy keeps the times of the files, so that mutmut makes new mutants of changed sources only.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.mutation.parts import TREE, Part

# A few fixed examples instead of a hundred random ones: each mutant is judged by the same tests. And a limit for
# the memory of a mutant that never ends.
CONFTEST: Final = '''"""Generated: the tests of one part among mutants."""

import os
import resource

from hypothesis import settings

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
pytest_plugins = ["tests.proof.tally"]
os.environ["LONC_TEST_KEYS"] = "200"
settings.register_profile("mutation", max_examples=40, derandomize=True, database=None, deadline=None)
settings.load_profile("mutation")
'''
ARGUMENTS: Final = ("-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-p", "no:timeout")
SKIPPED: Final = frozenset({"__pycache__", "conftest.py"})


def prepare(part: Part, tree: Path = TREE) -> bool:
    """Bring the part's copy up to date; return whether a test has changed since the last time."""
    ground = part.ground
    ground.mkdir(parents=True, exist_ok=True)
    _mirror(tree / "lonc", ground / "lonc")
    changed = _mirror(tree / "tests", ground / "tests")
    _write(ground / "tests" / "conftest.py", CONFTEST)
    _write(ground / "pyproject.toml", configuration(part, tree))
    return changed


def configuration(part: Part, tree: Path = TREE) -> str:
    """Return the pyproject.toml of the copy, for pytest and for mutmut."""
    return f"""[tool.pytest.ini_options]
addopts = "--strict-markers"
markers = ["slow: -", "root: -", "timing: -"]

[tool.mutmut]
source_paths = ["lonc/"]
only_mutate = {_listed(part.source_files(tree))}
pytest_add_cli_args = {_listed(ARGUMENTS)}
pytest_add_cli_args_test_selection = {_listed(part.test_files(tree))}
use_git_change_detection = false
timeout_constant = 30.0
"""


def _listed(words: tuple[str, ...] | list[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def _mirror(source: Path, target: Path) -> bool:
    """Make target's Python files those of source; return whether any had to be copied or removed."""
    wanted = {path.relative_to(source) for path in source.rglob("*.py") if not SKIPPED & set(path.parts)}
    present = {path.relative_to(target) for path in target.rglob("*.py") if not SKIPPED & set(path.parts)}
    changed = bool(present - wanted)
    for name in present - wanted:
        (target / name).unlink()
    for name in wanted:
        place = target / name
        if name not in present or place.read_bytes() != (source / name).read_bytes():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, place)
            changed = True
    return changed


def _write(place: Path, text: str) -> None:
    if not place.exists() or place.read_text("utf-8") != text:
        place.write_text(text, "utf-8")
