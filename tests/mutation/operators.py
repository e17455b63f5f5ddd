"""Owns the changes that mutmut does not make, as pure text in, pure text out.

Outside of functions, and in decorated ones (properties): constants, members of enums, elements of tuples and
dictionaries, comparisons, arithmetic, and/or, not, conditions, what is returned. Everywhere: statements that are
taken out. Left alone: annotations, decorators, docstrings, imports, `__all__`, `__slots__`, aliases of types,
and texts with braces in them.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitXor: ast.BitOr,
}  # fmt: skip
_UNTOUCHED: Final = frozenset({"__all__", "__slots__"})
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a source: where it is, and the whole text after it.

    function: `Class.method`, or the class, or empty. inside: the function that is changed, or `=TABLE` for a
    dictionary from which nothing else is made at import; empty where all must be imported anew. key: the same as
    long as the statement around it is.
    """

    function: str
    inside: str
    before: str
    after: str
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class _Region:
    """A statement at the top of a module or class: its name, and whether mutmut leaves it out."""

    name: str
    node: ast.stmt
    outside: bool


def changes(source: str) -> Iterator[Change]:
    """Yield every change of a source, in order; none is the source itself."""
    tree = ast.parse(source)
    members = _members(tree)
    data = source.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    seen: dict[str, int] = {}
    for region in _regions(tree.body, ""):
        for node, replacement in _replacements(region, members):
            start = starts[node.lineno - 1] + node.col_offset
            end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
            text = (data[:start] + replacement.encode() + data[end:]).decode()
            top = starts[region.node.lineno - 1]
            bottom = starts[(region.node.end_lineno or 0)]
            before = data[top:bottom].decode()
            after = (data[top:start] + replacement.encode() + data[end:bottom]).decode()
            digest = hashlib.sha256(f"{region.name}\0{before}\0{after}".encode()).hexdigest()[:16]
            seen[digest] = seen.get(digest, 0) + 1
            inside = region.name if isinstance(region.node, _FUNCTIONS) else _table(region, tree)
            yield Change(region.name, inside, before, after, f"{digest}-{seen[digest]}", text)


def _table(region: _Region, tree: ast.Module) -> str:
    """Return `=NAME` for a dictionary at the top of the module that no other statement there uses."""
    node = region.node
    if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict) and isinstance(node.target, ast.Name):
        others = [one for one in tree.body if one is not node]
        if not region.name and node.target.id not in _used_at_import(others):
            return f"={node.target.id}"
    return ""


def _used_at_import(statements: list[ast.stmt]) -> set[str]:
    """Return the names that are read when the module is imported: in all of it but functions."""
    waiting: list[ast.AST] = [*statements]
    names = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            names.add(node.id)
        if not isinstance(node, _FUNCTIONS):
            waiting += ast.iter_child_nodes(node)
    return names


def _regions(body: list[ast.stmt], owner: str) -> Iterator[_Region]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _regions(node.body, f"{owner}{node.name}.")
        elif isinstance(node, _FUNCTIONS):
            yield _Region(owner + node.name, node, bool(node.decorator_list))
        elif not _left_alone(node):
            yield _Region(owner.rstrip("."), node, True)


def _left_alone(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Pass | ast.If):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign | ast.AnnAssign):
        first = node.targets[0] if isinstance(node, ast.Assign) else node.target
        named = isinstance(first, ast.Name) and first.id in _UNTOUCHED
        return named or node.value is None or _is_type(node.value)
    return False


def _is_type(value: ast.expr) -> bool:
    """Return whether this is the right side of an alias of types."""
    return isinstance(value, ast.Subscript) or (isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr))


def _members(tree: ast.Module) -> dict[str, list[str]]:
    """Return for each name with members in capitals (an enum) those that the module mentions, in order."""
    members: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr.isupper():
            known = members.setdefault(node.value.id, [])
            if node.attr not in known:
                known.append(node.attr)
    return members


def _replacements(region: _Region, members: dict[str, list[str]]) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    """Yield pairs of a node and the text that takes its place."""
    node = region.node
    if not isinstance(node, _FUNCTIONS):
        value = getattr(node, "value", None)
        if isinstance(value, ast.expr):
            yield from _of_expression(value, members)
        return
    for inner in _walk(node.body):
        if isinstance(inner, ast.stmt):
            if _can_go(inner):
                yield inner, "pass"
            if region.outside and isinstance(inner, ast.Return) and ast.unparse(inner) != "return None":
                yield inner, "return None"
        if region.outside and isinstance(inner, ast.expr):
            yield from _of_one(inner, members)


def _walk(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Yield all nodes below, in order, without annotations, docstrings and the parts of f-strings."""
    waiting: list[ast.AST] = list(reversed(body))
    while waiting:
        node = waiting.pop()
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if docstring or isinstance(node, ast.JoinedStr | ast.arguments):
            continue
        yield node
        inner = [
            child
            for name, field in ast.iter_fields(node)
            if name not in ("annotation", "returns", "decorator_list")
            for child in (field if isinstance(field, list) else [field])
            if isinstance(child, ast.AST)
        ]
        waiting += reversed(inner)


def _can_go(node: ast.stmt) -> bool:
    """Return whether the statement can be taken out and the rest still makes sense."""
    if isinstance(node, ast.Expr | ast.AugAssign | ast.Raise | ast.Continue | ast.Break | ast.Return | ast.Delete):
        return True
    if isinstance(node, ast.Assign):
        return not any(isinstance(target, ast.Name) for target in node.targets)
    return isinstance(node, ast.AnnAssign) and node.value is not None and not isinstance(node.target, ast.Name)


def _of_expression(value: ast.expr, members: dict[str, list[str]]) -> Iterator[tuple[ast.expr, str]]:
    for node in _walk([ast.Expr(value)] if not isinstance(value, ast.Constant) else []):
        if isinstance(node, ast.expr):
            yield from _of_one(node, members)
            yield from _without_elements(node)
    if isinstance(value, ast.Constant):
        yield from _of_one(value, members)


def _of_one(node: ast.expr, members: dict[str, list[str]]) -> Iterator[tuple[ast.expr, str]]:
    """Yield what one expression can become, its parts left as they are."""
    if isinstance(node, ast.Constant):
        if (changed := _constant(node.value)) is not None:
            yield node, changed
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        known = members.get(node.value.id, [])
        if node.attr in known and len(known) > 1:
            following = known[(known.index(node.attr) + 1) % len(known)]
            yield node, f"{node.value.id}.{following}"
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        other = _COMPARISONS[type(node.ops[0])]()
        yield node, f"({ast.unparse(ast.Compare(node.left, [other], node.comparators))})"
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield node, f"({ast.unparse(ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right))})"
    elif isinstance(node, ast.BoolOp):
        operator = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield node, f"({ast.unparse(ast.BoolOp(operator, node.values))})"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node, f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.IfExp):
        yield node, f"({ast.unparse(node.orelse)} if {ast.unparse(node.test)} else {ast.unparse(node.body)})"


def _constant(value: object) -> str | None:
    """Return the text of another constant of the same kind, None where there is none."""
    if isinstance(value, bool):
        return repr(not value)
    if isinstance(value, int | float):
        return repr(value + 1)
    if isinstance(value, str):
        return repr(f"XX{value}XX")
    return repr(b"XX" + value + b"XX") if isinstance(value, bytes) else None


def _without_elements(node: ast.expr) -> Iterator[tuple[ast.expr, str]]:
    """Yield a collection once without each of its elements."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        for index in range(len(node.elts)):
            rest = [*node.elts[:index], *node.elts[index + 1 :]]
            without = ast.Set(rest) if isinstance(node, ast.Set) else type(node)(rest, ast.Load())
            yield node, ast.unparse(without)
    elif isinstance(node, ast.Dict):
        for index in range(len(node.keys)):
            keys, values = list(node.keys), list(node.values)
            del keys[index], values[index]
            yield node, ast.unparse(ast.Dict(keys, values))
