"""Owns the rules of the house as a machine can check them: who may import whom, purity, size, names, silence.

Every rule is a function from a tree (a directory with a package `lonc` in it) to the violations it found, as
texts `path: what is wrong`; test_architecture.py runs all of them over this tree and, to prove that they can
fail, over small trees with one violation each. RANKS and PURE are the only tables of ranks and of purity.
"""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

MAX_FILE_LINES = 400  # exclusive, like the next
MAX_FUNCTION_LINES = 40

# A module may import only from a lower rank. A name stands for a file or for a directory of that name, whose
# files are one unit and may import each other, without a circle. The longest name that fits decides.
RANKS = {
    "lonc": 0,  # __init__: the version
    "lonc.errors": 0,
    "lonc.wire": 0,  # __init__: nothing
    "lonc.wire.words": 1,
    "lonc.wire.lines": 1,
    "lonc.wire.idea": 1,
    "lonc.system.clock": 1,
    "lonc.system.files": 1,
    "lonc.wire.drawing": 1,
    "lonc.wire.outbox": 2,
    "lonc.wire.cipher": 2,
    "lonc.wire.states": 2,  # of link, which is a room of several files
    "lonc.config": 2,
    "lonc.catalogue": 2,
    "lonc.wire.dialogue": 3,
    "lonc.wire.link": 3,
    "lonc.wire.server": 3,
    "lonc.system": 3,
    "lonc.loop": 4,
    "lonc.delayed": 4,
    "lonc.peers": 4,
    "lonc.relay": 5,
    "lonc.child": 6,
    "lonc.pool": 6,
    "lonc.parent": 7,
    "lonc.cli": 8,
}
# Files beside each other that are one unit all the same: a module that grew past its limit in the open.
ROOMS = {"lonc.wire.dialogue": "lonc.wire.link", "lonc.wire.states": "lonc.wire.link"}
PURE = ("lonc.wire", "lonc.relay", "lonc.peers")
# What a pure module must not import: effects, time, chance, and what has them on its behalf.
IMPURE = frozenset(
    [
        "asyncio", "concurrent", "ctypes", "datetime", "fcntl", "getpass", "glob", "http", "importlib",
        "io", "logging", "mmap", "multiprocessing", "os", "pathlib", "platform", "psutil", "pwd",
        "random", "resource", "sched", "secrets", "select", "selectors", "setproctitle", "shutil",
        "signal", "socket", "socketserver", "ssl", "subprocess", "syslog", "sys", "tempfile", "threading",
        "time", "urllib", "uuid",
    ]
)
IMPURE_CALLS = frozenset({"open", "print", "input", "breakpoint", "__import__", "exec", "eval"})
# Later rooms on the same ground floors (house.md 2).
GUESTS = ("lonc.lond", "lonc.lonnet", "lonc.loncron")
# The demonstration shows the whole network, the tool the files of all: both stand above the guests as well.
ABOVE_GUESTS = ("lonc.cli.demo", "lonc.cli.ctl")
GUESTS_MAY = (
    "lonc.errors", "lonc.wire", "lonc.system", "lonc.config", "lonc.loop", "lonc.delayed", "lonc.pool",
)  # fmt: skip
# The server asks other servers as any program does: through the library.
GUESTS_OF_GUESTS = {"lonc.lond": ("lonc.lonnet",)}
BAD_NAMES = frozenset({"util", "utils", "helper", "helpers", "manager", "managers", "misc"})
NOT_OURS = {".venv", ".git", "build", "dist", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}

_IGNORE = re.compile(r"#\s*type:\s*ignore")
_IGNORE_EXPLAINED = re.compile(r"#\s*type:\s*ignore\[[\w, -]+\]\s+#\s*\w+")
_NOQA = re.compile(r"#\s*(ruff:\s*)?noqa", re.IGNORECASE)
_NOQA_EXPLAINED = re.compile(r"#\s*noqa:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*\s+[#-]*\s*\w+", re.IGNORECASE)


def sources(tree: Path) -> list[Path]:
    """Return every Python file of ours below the tree, in order."""
    found = tree.rglob("*.py")
    return sorted(path for path in found if not NOT_OURS.intersection(path.relative_to(tree).parts))


def module_name(tree: Path, path: Path) -> str:
    """Return the dotted name of a file: `lonc.wire.link`, a package by its directory."""
    parts = path.relative_to(tree).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(tree: Path) -> dict[str, ast.Module]:
    """Return the parsed modules of the package lonc by their names."""
    files = [path for path in sources(tree) if path.relative_to(tree).parts[0] == "lonc"]
    return {module_name(tree, path): ast.parse(path.read_text("utf-8"), str(path)) for path in files}


def within(name: str, places: tuple[str, ...]) -> bool:
    """Return whether the module is one of the places or inside one of them."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def imported(name: str, module: ast.Module, known: dict[str, ast.Module], *, types: bool = True) -> set[str]:
    """Return the full names of what a module imports, anywhere in it; `from lonc.wire import link` is the file.

    types False: without what is imported for annotations alone (`if TYPE_CHECKING:`).
    """
    package = name if _is_package(name, known) else name.rpartition(".")[0]
    left_out = set() if types else _for_types(module)
    found = set()
    for node in ast.walk(module):
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in known else base)
    return found - {"__future__"}


def _for_types(module: ast.Module) -> set[ast.AST]:
    """Return the nodes that only a type checker runs."""
    blocks = [node for node in ast.walk(module) if isinstance(node, ast.If)]
    only = [block for block in blocks if ast.unparse(block.test).endswith("TYPE_CHECKING")]
    return {inner for block in only for statement in block.body for inner in ast.walk(statement)}


def _is_package(name: str, known: dict[str, ast.Module]) -> bool:
    return any(other.startswith(f"{name}.") for other in known)


def unit_of(name: str) -> str | None:
    """Return the entry of RANKS that stands for this module, None when it has no place in the house."""
    if name in ("lonc", "lonc.wire"):
        return name
    parts = name.split(".")
    for size in range(len(parts), 1, -1):
        unit = ".".join(parts[:size])
        if unit in RANKS and unit != "lonc.wire":
            return unit
    return None


# --- the rules ------------------------------------------------------------------------------------------


def import_order(tree: Path) -> list[str]:
    """Find imports of an equal or higher rank, modules without a rank, and circles (but for annotations)."""
    known = modules(tree)
    wrong = []
    inner: dict[str, set[str]] = {}
    for name, module in known.items():
        unit = unit_of(name)
        if unit is None:
            if not within(name, GUESTS):
                wrong.append(f"{name}: has no rank")
            continue
        inner[name] = imported(name, module, known, types=False)
        for other in sorted(imported(name, module, known)):
            target = unit_of(other) if within(other, ("lonc",)) else None
            if target is None or ROOMS.get(unit, unit) == ROOMS.get(target, target):
                continue
            if RANKS[target] >= RANKS[unit] and other != "lonc":
                wrong.append(f"{name} (rank {RANKS[unit]}): imports {other} (rank {RANKS[target]})")
    return wrong + [f"{name}: imports itself in a circle" for name in inner if _reaches(name, name, inner)]


def _reaches(start: str, goal: str, arrows: dict[str, set[str]]) -> bool:
    """Return whether following one or more arrows from start leads to goal."""
    seen: set[str] = set()
    waiting = list(arrows.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            waiting += arrows.get(name, ())
    return False


def purity(tree: Path) -> list[str]:
    """Find effects that pure modules import or call, themselves or through another module of lonc."""
    known = modules(tree)
    arrows = {name: imported(name, module, known) for name, module in known.items()}
    wrong = []
    for name in known:
        if not within(name, PURE):
            continue
        for other in sorted(_closure(name, arrows)):
            for effect in sorted(arrows[other]):
                if effect.partition(".")[0] in IMPURE:
                    through = "" if other == name else f" through {other}"
                    wrong.append(f"{name}: must be pure, imports {effect}{through}")
        for node in ast.walk(known[name]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
                wrong.append(f"{name}:{node.lineno}: must be pure, calls {node.func.id}")
    return wrong


def _closure(name: str, arrows: dict[str, set[str]]) -> set[str]:
    """Return the modules of lonc that importing this one imports, with itself."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in arrows and one not in seen:
            seen.add(one)
            waiting += arrows[one]
    return seen


def guests(tree: Path) -> list[str]:
    """Find later rooms that reach into lonc's own ones, and anything of lonc that imports a later room."""
    known = modules(tree)
    wrong = []
    for name, module in known.items():
        home = next((guest for guest in GUESTS if within(name, (guest,))), None)
        for other in sorted(imported(name, module, known)):
            if other == "lonc" or not within(other, ("lonc",)):  # the release is for everybody
                continue
            if home and not within(other, (home, *GUESTS_OF_GUESTS.get(home, ()), *GUESTS_MAY)):
                wrong.append(f"{name}: a later room imports {other}")
            elif home is None and within(other, GUESTS) and not within(name, ABOVE_GUESTS):
                wrong.append(f"{name}: imports the later room {other}")
    return wrong


def sizes(tree: Path) -> list[str]:
    """Find files and functions that are too long (comments and docstrings count)."""
    wrong = []
    for path in sources(tree):
        where = path.relative_to(tree)
        text = path.read_text("utf-8")
        count = len(text.splitlines())
        if count >= MAX_FILE_LINES:
            wrong.append(f"{where}: {count} lines")
        for node in ast.walk(ast.parse(text, str(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length >= MAX_FUNCTION_LINES:
                    wrong.append(f"{where}:{node.lineno}: {node.name} has {length} lines")
    return wrong


def silence(tree: Path) -> list[str]:
    """Find errors that are swallowed whole, and checks that are switched off without a code and a reason."""
    wrong = []
    for path in sources(tree):
        where = path.relative_to(tree)
        for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
            if isinstance(node, ast.ExceptHandler) and _is_all(node.type) and _does_nothing(node.body):
                wrong.append(f"{where}:{node.lineno}: swallows every error")
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
                wrong += [f"{where}:{node.lineno}: suppresses every error" for arg in node.args if _is_all(arg)]
        for line, comment in _comments(path):
            if _IGNORE.search(comment) and not _IGNORE_EXPLAINED.search(comment):
                wrong.append(f"{where}:{line}: type: ignore without a code and a reason")
            if _NOQA.search(comment) and not _NOQA_EXPLAINED.search(comment):
                wrong.append(f"{where}:{line}: noqa without a code and a reason")
    return wrong


def _is_all(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_is_all(one) for one in kind.elts)
    return kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException"))


def _does_nothing(body: list[ast.stmt]) -> bool:
    return all(
        isinstance(statement, ast.Pass | ast.Continue)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in body
    )


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def names(tree: Path) -> list[str]:
    """Find modules, directories and classes whose name says nothing, and modules without a docstring."""
    wrong = []
    for path in sources(tree):
        where = path.relative_to(tree)
        for part in where.with_suffix("").parts:
            if BAD_NAMES.intersection(part.lower().split("_")):
                wrong.append(f"{where}: the name {part}")
        module = ast.parse(path.read_text("utf-8"), str(path))
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                words = re.findall(r"[A-Z]*[a-z0-9]+|[A-Z]+", node.name)
                if BAD_NAMES.intersection(word.lower() for word in words):
                    wrong.append(f"{where}:{node.lineno}: the name {node.name}")
        if where.parts[0] == "lonc" and not ast.get_docstring(module):
            wrong.append(f"{where}: has no docstring")
    return wrong


ALL = (import_order, purity, guests, sizes, silence, names)


def pure_files(tree: Path) -> list[str]:
    """Return the files of the pure modules, relative to the tree, whose unit tests must reach every branch."""
    found = [path for path in sources(tree) if within(module_name(tree, path), PURE)]
    return [str(path.relative_to(tree)) for path in found]
