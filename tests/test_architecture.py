"""The rules of the house hold for this tree, and each rule fails on a tree that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import rules

TREE = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("rule", rules.ALL, ids=lambda rule: str(rule.__name__))
def test_the_tree_keeps_the_rule(rule: Callable[[Path], list[str]]) -> None:
    assert rule(TREE) == []


def test_every_pure_place_is_there() -> None:
    files = rules.pure_files(TREE)
    assert any(name.startswith("lonc/wire/link") for name in files)
    assert any(name.startswith("lonc/relay") for name in files)
    assert any(name.startswith("lonc/peers") for name in files)


LONG_FUNCTION = '"""D."""\ndef walk():\n' + "    pass\n" * 39
LONG_FILE = '"""D."""\n' + "X = 1\n" * 399

# rule, file, its text, and what the violation must name
BROKEN = [
    ("import_order", "lonc/wire/lines.py", "from lonc.child import run", "imports lonc.child"),
    ("import_order", "lonc/wire/lines.py", "from ..wire import cipher", "imports lonc.wire.cipher"),
    ("import_order", "lonc/wire/words.py", "from lonc.wire import lines", "imports lonc.wire.lines"),
    ("import_order", "lonc/system/files.py", "import lonc.system.logs", "imports lonc.system.logs"),
    ("import_order", "lonc/config/apache.py", "from lonc.system.logs import Log", "imports lonc.system.logs"),
    ("import_order", "lonc/peers.py", "def f():\n    from lonc import loop", "imports lonc.loop"),
    ("import_order", "lonc/parent/life.py", "from lonc.cli.daemon import main", "imports lonc.cli.daemon"),
    ("import_order", "lonc/parent/life.py", "from lonc.parent.start import X", "in a circle"),
    ("import_order", "lonc/attic.py", "", "has no rank"),
    ("purity", "lonc/wire/link.py", "import socket", "imports socket"),
    ("purity", "lonc/relay.py", "def f():\n    from time import monotonic", "imports time"),
    ("purity", "lonc/peers.py", "import os.path", "imports os.path"),
    ("purity", "lonc/peers.py", "from lonc.system.files import Files", "through lonc.system.files"),
    ("purity", "lonc/wire/link.py", "open('x')", "calls open"),
    ("guests", "lonc/lond/server.py", "from lonc.relay import Relay", "imports lonc.relay"),
    ("guests", "lonc/lonnet/ask.py", "from lonc import peers", "imports lonc.peers"),
    ("guests", "lonc/lonnet/ask.py", "from lonc.lond.server import X", "imports lonc.lond.server"),
    ("guests", "lonc/lond/server.py", "from lonc.cli import daemon", "imports lonc.cli"),
    ("guests", "lonc/child.py", "from lonc.lond.server import X", "later room lonc.lond.server"),
    ("sizes", "lonc/loop.py", LONG_FUNCTION, "walk has 40 lines"),
    ("sizes", "tests/unit/test_loop.py", LONG_FILE, "400 lines"),
    ("silence", "lonc/loop.py", "try:\n    f()\nexcept Exception:\n    pass", "swallows"),
    ("silence", "lonc/loop.py", "for x in y:\n    try:\n        f()\n    except:\n        continue", "swallows"),
    ("silence", "lonc/loop.py", "try:\n    f()\nexcept (OSError, BaseException):\n    ...", "swallows"),
    ("silence", "lonc/loop.py", "with contextlib.suppress(Exception):\n    f()", "suppresses"),
    ("silence", "lonc/loop.py", "x = 1  # type: ignore", "type: ignore"),
    ("silence", "lonc/loop.py", "x = 1  # type: ignore[arg-type]", "type: ignore"),
    ("silence", "lonc/loop.py", "x = 1  # noqa", "noqa"),
    ("silence", "lonc/loop.py", "# ruff: noqa", "noqa"),
    ("silence", "lonc/loop.py", "x = 1  # noqa: BLE001", "noqa"),
    ("names", "lonc/util.py", "", "the name util"),
    ("names", "lonc/misc/x.py", "", "the name misc"),
    ("names", "lonc/link_helpers.py", "", "the name link_helpers"),
    ("names", "lonc/loop.py", "class LinkManager:\n    pass", "the name LinkManager"),
]


def small_tree(place: Path) -> Path:
    """Write a tiny tree that keeps every rule."""
    files = {
        "lonc/__init__.py": '__version__ = "1"',
        "lonc/wire/__init__.py": "",
        "lonc/wire/lines.py": "",
        "lonc/wire/words.py": "",
        "lonc/wire/cipher.py": "from lonc.wire.lines import X",
        "lonc/wire/link.py": "from lonc.wire import cipher, words",
        "lonc/system/__init__.py": "",
        "lonc/system/files.py": "import os",
        "lonc/system/logs.py": "from lonc.system.files import Files",
        "lonc/config/__init__.py": "from lonc.config.apache import load",
        "lonc/config/apache.py": "",
        "lonc/relay.py": "from lonc import __version__\nfrom lonc.wire.link import Link",
        "lonc/peers.py": "",
        "lonc/loop.py": "import selectors\nx = 1  # type: ignore[attr-defined]  # untyped\n",
        "lonc/child.py": "from lonc.loop import Loop",
        "lonc/parent/__init__.py": "from lonc.parent.start import X",
        "lonc/parent/start.py": "from lonc.child import run\nfrom lonc.parent.life import Y",
        "lonc/parent/life.py": (
            "from typing import TYPE_CHECKING\nfrom lonc.peers import Z\n"
            "if TYPE_CHECKING:\n    from lonc.parent.start import X"
        ),
        "lonc/cli/__init__.py": "",
        "lonc/cli/daemon.py": "from lonc.parent import X\nfrom .verbs import Y",
        "lonc/cli/verbs.py": "",
        "lonc/lond/server.py": "from lonc.wire import link\nfrom lonc.loop import Loop",
        "tests/unit/test_loop.py": "",
    }
    for name, text in files.items():
        write(place / name, text)
    return place


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if text.startswith('"""') else f'"""D."""\n{text}\n')


@pytest.mark.parametrize("rule", rules.ALL, ids=lambda rule: str(rule.__name__))
def test_a_good_tree_passes(rule: Callable[[Path], list[str]], tmp_path: Path) -> None:
    assert rule(small_tree(tmp_path)) == []


@pytest.mark.parametrize(("rule", "name", "text", "said"), BROKEN)
def test_a_violation_is_found(rule: str, name: str, text: str, said: str, tmp_path: Path) -> None:
    tree = small_tree(tmp_path)
    write(tree / name, text)
    found = getattr(rules, rule)(tree)
    assert any(said in one and Path(name).stem in one for one in found), found


def test_a_module_without_docstring_is_found(tmp_path: Path) -> None:
    (small_tree(tmp_path) / "lonc" / "loop.py").write_text("X = 1\n")
    assert rules.names(tmp_path) == ["lonc/loop.py: has no docstring"]
