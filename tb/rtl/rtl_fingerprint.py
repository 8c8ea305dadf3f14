"""What the outcome of a simulation depends on, told apart by hashes: what a record holds for.

Comments, docstrings and the names of the unit's modules make no difference; nor do parts of the
testbench that only judge what all simulations together have shown.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import rtl_regression
from rtl_bins import config_bins, result_bins, row_bins
from rtl_monitor import SEED
from rtl_regression import HERE, prepared
from rtl_rows import Row, Rows
from rtl_tables import Contexts, bad_loads, random_tables, words_of

import exaq
import exaq_hdl
from exaq import SoftmaxConfig
from exaq.release import as_compared
from exaq_hdl.emit.design_hash import design_hash
from exaq_hdl.emit.target import FPGA, Target
from exaq_hdl.shell.register_map import REGISTERS, Register, constant_words

#: The parts of a fingerprint, and what a record is of where one differs.
PARTS = {
    "design": "another design",
    "configuration": "another configuration or place in the matrix",
    "testbench": "another testbench",
    "model": "another golden model",
    "tools": "other tools",
}
#: Random rows that the golden model is asked for, and chosen ones of each kind.
_RANDOM, _CHOSEN = 200, 120
# What a simulation is told and no design says. Where a kernel's module lies makes no difference.
_NOT_DECLARED = ("config", "place", "module")
# What rtl_bins names for all configurations at once; of a configuration, config_bins tells.
_OF_ALL = ("rtl_bins", {"BINS", "_BINS", "config_bins"})


def fingerprint(
    config: SoftmaxConfig,
    *,
    simulator: str = "verilator",
    place: int = 0,
    target: Target = FPGA,
) -> dict[str, str]:
    """A hash for each of PARTS; the arguments are those of ``rtl_regression.simulate``."""
    return _of_unit(config, place, target) | {
        "testbench": testbench(config),
        "tools": ", ".join(f"{name} {metadata.version(name)}" for name in _tools(simulator)),
    }


def _tools(simulator: str) -> list[str]:
    # Icarus comes from the system, in whatever version: no record can ask for one.
    ours = ["cocotb", "cocotbext-axi"]
    return [simulator, *ours] if simulator == "verilator" else ours


@cache
def _of_unit(config: SoftmaxConfig, place: int, target: Target) -> dict[str, str]:
    """The parts that are the same in every simulator."""
    with as_compared():
        texts, told = prepared(config, place, target)
        words = constant_words(config, told["latency"]) if config.contexts else {}
    declared = {name: value for name, value in told.items() if name not in _NOT_DECLARED}
    design: list[Any] = [design_hash(texts["exaq_softmax.v"]), texts["harness.v"], declared]
    if config.contexts:
        design += [words, [*map(_plan, REGISTERS.values())]]
    return {
        "design": _hash(design),
        "configuration": _hash([told["config"], place, sorted(config_bins(config))]),
        "model": model(config),
    }


def _plan(register: Register) -> list[Any]:
    """Of a register, what software sees of it."""
    own = [register.name, register.offset, register.access.name, register.reset, register.event]
    return [*own, *((field.name, field.mask, field.sticky) for field in register.fields)]


def model(config: SoftmaxConfig) -> str:
    """Of what the golden model says of random and chosen rows, and of how these lie on the bus."""
    rng = np.random.default_rng(SEED)
    rows = Rows(config, rng)
    found: list[Any] = [_said(row, rng) for row in _sample(rows)]
    if config.contexts:
        for context in range(config.contexts):
            tables = random_tables(config, rng)
            found.append(words_of(context, tables))
            rows.contexts.tables[context] = tables
        found += [_said(rows.random(), rng, rows.contexts) for _ in range(_RANDOM)]
        found += [(bad.kind, bad.words, sorted(bad.reasons)) for bad in bad_loads(config, rng)]
    return _hash(found)


def _sample(rows: Rows) -> Iterator[Row]:
    lanes, longest = rows.config.lanes, rows.config.max_row
    yield from (rows.mixed() for _ in range(_RANDOM))
    yield from (rows.random(elements) for elements in range(1, min(longest, 3 * lanes) + 1))
    kinds = [rows.corners()]
    if rows.config.masking:
        kinds.append(rows.masks())
    if rows.config.window:
        kinds.append(rows.windows())
    for kind in kinds:
        yield from islice(kind, _CHOSEN)
    yield from (rows.over_long(beyond) for beyond in (1, lanes, 3 * longest + 1))
    yield rows.row([], "null", null_beat=True)


def _said(row: Row, rng: np.random.Generator, contexts: Contexts | None = None) -> list[Any]:
    config = row.config
    if config.contexts:
        contexts = contexts or Contexts(config)
        row = row.by(contexts.tables[contexts.known(row.context)])
    said: list[Any] = [row.frame(rng).tdata, row.expected(), sorted(row_bins(row))]
    if config.row_results != "none":
        said += [row.expected_results(), sorted(result_bins(row, before=False))]
    return said


@cache
def testbench(config: SoftmaxConfig) -> str:
    """Of the Python files in this folder that take part, without comments and docstrings."""
    roots = [*rtl_regression.coroutines(config), Path(rtl_regression.__file__)]
    return _hash({path.name: shape(node) for path, node in _modules(roots)})


def _modules(roots: Iterable[Path]) -> list[tuple[Path, ast.Module]]:
    """The files ``roots`` and those of this folder that they import, directly or not."""
    found: dict[Path, ast.Module] = {}
    waiting = list(roots)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = ast.parse(path.read_text(encoding="utf-8"))
        waiting += [
            file for name, _ in _imports(found[path]) if (file := HERE / f"{name}.py").is_file()
        ]
    name, left_out = _OF_ALL
    wanted = {
        each
        for path, module in found.items()
        if path.stem != name
        for imported, names in _imports(module)
        if imported == name
        for each in names
    }
    if (path := HERE / f"{name}.py") in found:
        found[path] = needed(found[path], wanted - left_out, left_out)
    return sorted(found.items())


def _imports(module: ast.Module) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def needed(module: ast.Module, wanted: set[str], left_out: set[str]) -> ast.Module:
    """``module`` with the definitions alone that make ``wanted``, none of them ``left_out``."""
    kept: list[ast.stmt] = []
    waiting = [node for node in module.body if not isinstance(node, ast.ImportFrom)]
    wanted = set(wanted)
    while found := [node for node in waiting if not (names := _bound(node)) or names & wanted]:
        waiting = [node for node in waiting if node not in found]
        kept += found
        wanted |= {
            each.id for node in found for each in ast.walk(node) if isinstance(each, ast.Name)
        } - left_out
    for node in module.body:
        if isinstance(node, ast.ImportFrom):
            kept += [
                ast.ImportFrom(node.module, [alias], node.level)
                for alias in node.names
                if (alias.asname or alias.name) in wanted
            ]
    return ast.Module(sorted(kept, key=lambda node: json.dumps(shape(node))), [])


def _bound(node: ast.stmt) -> set[str]:
    """Names that a statement defines; none where it is of another kind."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def shape(node: Any) -> Any:
    """A syntax tree without places and without texts that stand for themselves.

    Not ``ast.dump``, which gives other text in other versions of Python.
    """
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
        return [type(node).__name__, *([name, shape(value)] for name, value in fields)]
    if isinstance(node, list):
        return [shape(each) for each in node if not _is_text(each)]
    return repr(node)


def _is_text(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def sources() -> str:
    """Of all files that a simulation is made of: has one changed since this process began?"""
    packages = [Path(str(package.__file__)).parent for package in (exaq, exaq_hdl)]
    files = [path for package in packages for path in package.rglob("*.*")]
    files = [path for path in files if path.suffix in (".py", ".v") and "torch" not in path.parts]
    simulated: Sequence[Path] = [*rtl_regression.COROUTINES, Path(rtl_regression.__file__)]
    files += [path for path, _ in _modules(simulated)]
    return _hash(
        {
            str(path): shape(ast.parse(text)) if path.suffix == ".py" else text
            for path in files
            if (text := path.read_text(encoding="utf-8"))
        }
    )


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as JSON has them."""
    return value.tolist()
