"""Mutants of the golden model and of calibration: single changes of the Python, run through tests.

Tools for that (mutmut, cosmic-ray) change files in place or in a copy of the project and start an
interpreter for each mutant. Here a process forks, puts the changed module into the place of the one
on disk, and runs the tests of that module until one fails.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
#: Mutants that are drawn, and the seed by which.
COUNT, SEED = 60, 7
#: Modules that are changed, and the files of tb/model that are to notice.
TARGETS: dict[str, tuple[str, ...]] = {
    "exaq.kernels.exaq_golden": ("masks", "row_results", "quantize"),
    "exaq.row_results": ("row_results",),
    "exaq.masks": ("masks",),
    "exaq.calibration.exponentials": ("calibration_values", "calibration"),
    "exaq.calibration.objective": ("calibration_values", "calibration"),
    "exaq.calibration.search": ("calibration_values", "calibration"),
}
# A mutant may loop for ever.
_SECONDS = 300

_SWAPPED: dict[type[Any], type[Any]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Change:
    """One change of a module: ``module`` afterwards; ``text`` says what is another, and where."""

    name: str
    text: str
    module: ast.Module


def changes(name: str, source: str) -> Iterator[Change]:
    """All changes of a module: operators, whole numbers, and conditions that are turned round.

    Texts of errors, annotations and defaults of arguments stay as they are.
    """
    whole = ast.parse(source)
    lines = source.splitlines()
    for place, node in enumerate(_nodes(whole)):
        changed = copy.deepcopy(whole)
        twin = _nodes(changed)[place]
        for what in _change(twin):
            line = lines[node.lineno - 1].strip()
            yield Change(name, f"{name}, line {node.lineno}: {what} in `{line}`", changed)


def _nodes(module: ast.Module) -> list[Any]:
    """Expressions that are computed when a function is called, in their order."""
    found: list[Any] = []

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.Raise | ast.arguments | ast.JoinedStr):
            return
        if isinstance(node, ast.expr) and hasattr(node, "lineno"):
            found.append(node)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.AST):
                    walk(each)

    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            for statement in node.body:
                walk(statement)
    return list(dict.fromkeys(found))


def _change(node: Any) -> Iterator[str]:
    """Changes ``node`` in the one way that there is, and says how; nothing where there is none."""
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in _SWAPPED:
        before, node.op = type(node.op), _SWAPPED[type(node.op)]()
        yield f"{type(node.op).__name__} for {before.__name__}"
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPPED:
        before, node.ops[0] = type(node.ops[0]), _SWAPPED[type(node.ops[0])]()
        yield f"{type(node.ops[0]).__name__} for {before.__name__}"
    elif isinstance(node, ast.IfExp):
        node.body, node.orelse = node.orelse, node.body
        yield "the other way round"
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value += 1
        yield f"{node.value} for {node.value - 1}"
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
        yield f"{node.value} for {not node.value}"


def drawn(count: int, seed: int) -> list[Change]:
    """``count`` changes of all targets, in an order of their own."""
    found = [change for name in TARGETS for change in changes(name, _path(name).read_text("utf-8"))]
    places = np.random.default_rng(seed).permutation(len(found))[:count]
    return [found[place] for place in places]


def _path(name: str) -> Path:
    return ROOT / "sim" / f"{name.replace('.', '/')}.py"


def sources() -> str:
    """A hash of what the changes and their fates are of: targets, tests and this file."""
    digest = hashlib.sha256()
    tests = {test for names in TARGETS.values() for test in names}
    files = [*map(_path, TARGETS), *(ROOT / f"tb/model/test_model_{test}.py" for test in tests)]
    for path in (*sorted(files), Path(__file__)):
        digest.update(ast.dump(ast.parse(path.read_text("utf-8"))).encode())
    return digest.hexdigest()[:16]


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the changed module in the place of the one on disk."""

    def __init__(self, change: Change) -> None:
        self._change = change

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """That of the changed module, and of no other."""
        if name != self._change.name:
            return None
        return importlib.util.spec_from_file_location(name, _path(name), loader=self)

    def create_module(self, spec: Any) -> ModuleType | None:
        """Python's own way."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Runs the changed module."""
        tree = ast.fix_missing_locations(self._change.module)
        exec(compile(tree, str(module.__file__), "exec"), module.__dict__)


def survivors(
    wanted: Sequence[Change], step: Callable[[int, int], None] = lambda done, lived: None
) -> list[Change]:
    """Those changes that no test of their module notices.

    The modules must not have been imported in this process.
    """
    import pytest

    assert not any(name == "exaq" or name.startswith("exaq.") for name in sys.modules)
    lived: list[Change] = []
    for done, change in enumerate(wanted):
        child = os.fork()
        if child == 0:
            _judge(pytest, change)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            lived.append(change)
        step(done + 1, len(lived))
    return lived


def _judge(pytest: Any, change: Change) -> None:
    """Ends this process: with 0 where all tests pass."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_SECONDS)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.meta_path.insert(0, _Changed(change))
    tests = [str(ROOT / f"tb/model/test_model_{test}.py") for test in TARGETS[change.name]]
    options = ["-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    os._exit(int(pytest.main([*options, "-c", str(ROOT / "pyproject.toml"), *tests])))
