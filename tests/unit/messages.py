"""Finds what the program can say: the fixed parts of every text that it logs, read from its source.

A text is the first argument of a call that logs (`log.write`, `warn`, `tell`, a Note or Lost of the link, what is
handed on as `problem`, `detail` or a note). Names in it are looked up in the same function. Only the parts
that the source spells out count; what comes in at run time is not known here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CALLS = {"write", "warn", "_warn", "tell", "_tell", "close", "lost", "append", "_refuse_restart", "_none"}
CLASSES = {"Note", "Lost", "StartError", "AlreadyRunning"}
LOGS = re.compile(r"log$|notes$|warnings$|complaints$")
KEPT = {"trouble", "problem"}  # attributes whose text is told later
_FIXED = re.compile(r"[A-Za-z][A-Za-z' ]{4,}")


def fixed_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and fixed part of every text that a module logs."""
    tree = ast.parse(path.read_text("utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            known = _assigned(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Call | ast.Assign) and (text := _logged(node)) is not None:
                    for part in _parts(text, known):
                        yield node.lineno, part


def _assigned(function: ast.AST) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return found


def _logged(node: ast.Call | ast.Assign) -> ast.expr | None:
    """Return the text that a call logs, or that is kept to be logged; None for anything else."""
    if isinstance(node, ast.Assign):
        kept = any(isinstance(target, ast.Attribute) and target.attr in KEPT for target in node.targets)
        return node.value if kept else None
    call = node
    match call.func:
        case ast.Name(name) if name in CLASSES:
            return call.args[-1] if name in ("Lost", "AlreadyRunning") else call.args[0]
        case ast.Attribute(value, name) if name in CALLS and call.args:
            owner = ast.unparse(value)
            if name in ("write", "append"):
                return call.args[0] if LOGS.search(owner) else None
            if name in ("close", "lost"):
                return call.args[1] if len(call.args) > 1 else None
            return call.args[0]
    return None


def _parts(text: ast.expr, known: dict[str, list[ast.expr]], depth: int = 3) -> Iterator[str]:
    for node in ast.walk(text):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for part in _FIXED.findall(node.value):
                if len(part.strip()) > 4:
                    yield part.strip()
        elif isinstance(node, ast.Name) and depth:
            for value in known.get(node.id, []):
                yield from _parts(value, known, depth - 1)
