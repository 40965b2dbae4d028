"""Small changes of a source file: which there are, and the code with one of them made. Called by the search.

What cannot matter is left out: annotations, code for type checkers, assertions (checks themselves), what is logged,
what a raised error says, decorators, and constants that set a pace.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TURNED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
NEGATED_BY_TURNING = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Is, ast.IsNot)
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}
PACE = re.compile(r"_SECONDS$|_BYTES$|_RECORDS$|_SAMPLES$|^TURNS$|^CHASES$|^[A-Z_]*TRIES$|^ATTEMPTS$")
"""Constants that say how often, how patiently or in how large pieces: another number gives the same totals."""
SAID = {"_log", "log", "logging", "logger", "warnings"}
UNSEEN = {"__repr__", "__str__"}
MATTERLESS_KEYWORDS = {"strict", "flush", "ensure_ascii", "name"}


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one file; `number` finds it again in the same source."""

    path: str
    number: int
    line: int
    lines: tuple[int, int]
    """First and last line of the statement, of a compound one its head."""
    function: str
    """The outermost function it lies in, with its classes; empty: code that runs at import."""
    text: str


@dataclass(slots=True)
class _Place:
    """One change, not yet made."""

    node: ast.AST
    statement: ast.stmt
    function: str
    text: str
    make: Callable[[], None]


def changes_of(root: Path, path: str) -> list[Change]:
    """Return all changes of a file, in the order of its lines."""
    tree = ast.parse(source_of(root / path))
    found = []
    for number, place in enumerate(_places(tree)):
        head = place.statement
        body = getattr(head, "body", None)
        last = body[0].lineno - 1 if isinstance(body, list) and body else head.end_lineno or head.lineno
        line = getattr(place.node, "lineno", head.lineno)
        lines = head.lineno, max(last, head.lineno)
        found.append(Change(path, number, line, lines, place.function, place.text))
    return found


def changed_source(root: Path, change: Change) -> ast.Module:
    """Return the syntax tree of the file with the change made."""
    tree = ast.parse(source_of(root / change.path))
    _places(tree)[change.number].make()
    return ast.fix_missing_locations(tree)


@cache
def source_of(path: Path) -> str:
    """Return a file as it was when the search began, whatever somebody writes meanwhile."""
    return path.read_text(encoding="utf-8")


def _places(tree: ast.Module) -> list[_Place]:
    return list(_of_block(tree.body, "", is_function=False))


def _of_block(block: list[ast.stmt], scope: str, *, is_function: bool) -> Iterator[_Place]:
    for index, statement in enumerate(block):
        function = scope if is_function else ""
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            if statement.name not in UNSEEN:
                yield from _below(statement.args, statement, function)
                inner = scope if is_function else f"{scope}{statement.name}"
                yield from _of_block(statement.body, inner, is_function=True)
        elif isinstance(statement, ast.ClassDef):
            inner = scope if is_function else f"{scope}{statement.name}."
            yield from _of_block(statement.body, inner, is_function=is_function)
        elif not _is_matterless(statement):
            yield from _of_statement(block, index, function)
            for name in ("body", "orelse", "finalbody"):
                yield from _of_block(getattr(statement, name, []), scope, is_function=is_function)
            for part in getattr(statement, "handlers", []) + getattr(statement, "cases", []):
                if getattr(part, "guard", None) is not None:
                    yield from _below(part, statement, function)
                yield from _of_block(part.body, scope, is_function=is_function)


def _is_matterless(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.If):
        return ast.unparse(statement.test) == "TYPE_CHECKING"
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        return isinstance(target, ast.Name) and (bool(PACE.search(target.id)) or target.id.startswith("__"))
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) or _is_said(statement.value)
    return isinstance(statement, ast.Assert | ast.Import | ast.ImportFrom | ast.Raise)


def _is_said(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).partition(".")[0] in SAID


def _of_statement(block: list[ast.stmt], index: int, function: str) -> Iterator[_Place]:
    """Yield the changes of a whole statement, then those of its expressions."""
    statement = block[index]
    is_call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call | ast.Await)
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    new: ast.stmt | None = None
    if is_call or (function and any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)):
        new = ast.Pass()
    elif isinstance(statement, ast.Return) and statement.value is not None and ast.unparse(statement.value) != "None":
        new = ast.Return(ast.Constant(None))
    elif isinstance(statement, ast.Continue):
        new = ast.Break()
    elif isinstance(statement, ast.AugAssign) and type(statement.op) in TURNED:
        new = ast.AugAssign(statement.target, TURNED[type(statement.op)](), statement.value)  # type: ignore[arg-type]
    if new is not None:
        made: ast.stmt = ast.copy_location(new, statement)
        text = f"{_short(statement)} → {_short(new)}"
        yield _Place(statement, statement, function, text, lambda: block.__setitem__(index, made))
    yield from _below(statement, statement, function)


def _below(parent: ast.AST, statement: ast.stmt, function: str) -> Iterator[_Place]:
    """Yield the changes of the expressions below a node, of a compound statement those of its head."""
    for field, value in ast.iter_fields(parent):
        if field in {"annotation", "target", "targets", "format_spec", "pattern", "returns", "op", "ops", "func"}:
            if field == "func" and isinstance(value, ast.Attribute):
                yield from _below(value, statement, function)
            continue
        for index, node in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(node, ast.AST) or isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
                continue
            if _is_said(node) or (isinstance(node, ast.keyword) and node.arg in MATTERLESS_KEYWORDS):
                continue
            is_condition = field in {"test", "ifs", "guard"}
            for new in _replacements(node, is_condition=is_condition):
                made = ast.copy_location(new, node)
                text = f"{_short(node)} → {_short(new)}"
                yield _Place(node, statement, function, text, _put(parent, field, index, made))
            yield from _below(node, statement, function)


def _put(parent: ast.AST, field: str, index: int, new: ast.AST) -> Callable[[], None]:
    held = getattr(parent, field)
    if isinstance(held, list):
        return lambda: held.__setitem__(index, new)
    return lambda: setattr(parent, field, new)


def _replacements(node: ast.AST, *, is_condition: bool) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare):
        for index, op in enumerate(node.ops):
            ops: list[ast.cmpop] = [*node.ops]
            ops[index] = TURNED[type(op)]()  # type: ignore[call-overload]
            yield ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(TURNED[type(node.op)](), node.values)  # type: ignore[arg-type]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in TURNED and not _is_text(node):
        yield ast.BinOp(node.left, TURNED[type(node.op)](), node.right)  # type: ignore[arg-type]
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SWAPPED:
        yield ast.Call(ast.copy_location(ast.Name(SWAPPED[node.func.id], ast.Load()), node), node.args, node.keywords)
    is_negated = isinstance(node, ast.Compare) and isinstance(node.ops[0], NEGATED_BY_TURNING)
    if is_condition and not is_negated and not isinstance(node, ast.UnaryOp):
        yield ast.UnaryOp(ast.Not(), node)  # type: ignore[arg-type]


def _is_text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(isinstance(s, ast.JoinedStr) or isinstance(getattr(s, "value", 0), str | bytes) for s in sides)


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text if len(text) <= 90 else text[:89] + "…"
