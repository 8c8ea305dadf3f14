"""Single changes of Python modules, as a mutant has one: another operator, number or condition.

>>> [each.what for each in changes("m", "def f(a, b):\\n    return a + 2 * b\\n")]
['Sub for Add', 'FloorDiv for Mult', '3 for 2']
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SWAPPED: dict[type[Any], type[Any]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
_NAMES = dict(
    pair
    for a, b in (
        *(("min", "max"), ("minimum", "maximum"), ("argmin", "argmax"), ("any", "all")),
        *(("floor", "ceil"), ("zeros", "ones")),
    )
    for pair in ((a, b), (b, a))
)
# Fields of nodes that are not computed when a function is called, or only for a person.
_LEFT_ALONE = ("annotation", "returns", "decorator_list", "type_params")


@dataclass(frozen=True)
class Change:
    """One change of a module.

    Members
    -------
    module
        Its name.
    place
        The number of the changed node, as ``changed`` counts.
    function
        What the change is in, with its class.
    what
        What is another, and for what.
    line
        The text of the source's line.
    nth
        Which of those it is that are the same otherwise.
    """

    module: str
    place: int
    function: str
    what: str
    line: str
    nth: int = 0

    def __str__(self) -> str:
        nth = f" ({self.nth + 1})" if self.nth else ""
        return f"{self.module}.{self.function}: {self.what}{nth} in `{self.line}`"


def changes(module: str, source: str) -> list[Change]:
    """All changes of a module whose source is given.

    Left alone are the texts of errors, annotations, and defaults of arguments.
    """
    lines = source.splitlines()
    same: Counter[tuple[str, ...]] = Counter()
    found = []
    for place, (node, function) in enumerate(_nodes(ast.parse(source))):
        if what := _change(copy.deepcopy(node)):
            line = lines[node.lineno - 1].strip()
            alike = (function, what, line)
            found.append(Change(module, place, *alike, nth=same[alike]))
            same[alike] += 1
    return found


def changed(source: str, change: Change) -> ast.Module:
    """The module after a change."""
    whole = ast.parse(source)
    node, _ = _nodes(whole)[change.place]
    if not _change(node):
        raise ValueError(f"{change} is not a change of this source")
    return ast.fix_missing_locations(whole)


def _nodes(module: ast.Module) -> list[tuple[Any, str]]:
    """What is computed when functions are called, in its order, and the function of each."""
    found: list[tuple[Any, str]] = []

    def walk(node: ast.AST, function: str) -> None:
        if isinstance(node, ast.Raise | ast.arguments | ast.JoinedStr):
            return
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            function = f"{function}.{node.name}".lstrip(".")
        elif isinstance(node, ast.expr | ast.If | ast.While | ast.AugAssign):
            found.append((node, function))
        for name, value in ast.iter_fields(node):
            if name not in _LEFT_ALONE:
                for each in value if isinstance(value, list) else [value]:
                    if isinstance(each, ast.AST):
                        walk(each, function)

    def functions(node: ast.AST, outer: str) -> Iterator[tuple[ast.FunctionDef, str]]:
        for each in ast.iter_child_nodes(node):
            if isinstance(each, ast.FunctionDef):
                yield each, outer
            elif isinstance(each, ast.ClassDef):
                yield from functions(each, f"{outer}.{each.name}".lstrip("."))

    for each, outer in functions(module, ""):
        walk(each, outer)
    return found


def _change(node: Any) -> str:
    """Changes ``node`` in the one way that there is, and says how; ``""`` where there is none."""
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        return _swap(node, "op", node.op)
    if isinstance(node, ast.Compare):
        operator = node.ops[0]
        node.ops[0] = _SWAPPED[type(operator)]()
        return f"{type(node.ops[0]).__name__} for {type(operator).__name__}"
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        if isinstance(node.test, ast.Compare | ast.BoolOp):
            # Those are changed themselves.
            return ""
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return "the other way round"
    if isinstance(node, ast.UnaryOp):
        # Twice is not at all.
        node.operand = ast.UnaryOp(type(node.op)(), node.operand)
        return f"no {type(node.op).__name__}"
    return _change_of_leaf(node)


def _swap(node: Any, name: str, operator: ast.AST) -> str:
    if type(operator) not in _SWAPPED:
        return ""
    setattr(node, name, _SWAPPED[type(operator)]())
    return f"{_SWAPPED[type(operator)].__name__} for {type(operator).__name__}"


def _change_of_leaf(node: Any) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
        return f"{node.value} for {not node.value}"
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        before = node.value
        node.value += 1
        return f"{node.value} for {before}"
    for field in ("id", "attr"):
        if (name := getattr(node, field, "")) in _NAMES:
            setattr(node, field, _NAMES[name])
            return f"{_NAMES[name]} for {name}"
    return ""
