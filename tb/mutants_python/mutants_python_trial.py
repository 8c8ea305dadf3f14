"""Mutants of the golden model and of calibration, each run through the tests that are to notice it.

Tools for this change files in a copy of the project whose layout they prescribe, or start an
interpreter for each mutant. Here a process forks with everything imported but the package, finds
the changed module in the place of the one on disk, and runs tests until one fails:

    for trial in tried(drawn(all_changes("golden"), 40), jobs=2):
        print(trial.change, trial.test or "survived")
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.abc
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mutants_python_changes import Change, changed, changes

ROOT = Path(__file__).resolve().parents[2]
#: Mutants that are drawn, by group: those of calibration take minutes each. And the seed by which.
COUNTS, SEED = {"golden": 40, "calibration": 16}, 7
# Files of tb/model that are about the golden model as a whole, and take a few seconds each.
_GENERAL = (
    *("config", "refusals", "helpers", "masks", "windows", "contexts", "sinks", "config_sinks"),
    *("row_results", "floats", "kernels", "top1", "table_file", "scalars", "numerics_page"),
)
#: Modules by group, each with the files of tb/model that are to notice; the quickest go first.
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "golden": {
        f"exaq.{name}": (*files, *(each for each in _GENERAL if each not in files))
        for name, files in {
            "tables": ("tables", "default_clip", "quantize"),
            "masks": ("masks",),
            "rows": ("windows",),
            "row_results": ("row_results",),
            "float_format": ("floats",),
            "formats": ("helpers",),
            "model": ("top1", "helpers"),
            "kernels.exaq": ("config", "quantize"),
            "kernels.exaq_golden": ("row_results", "sinks", "quantize"),
            "kernels.baps": ("kernels", "baps_merge", "baps"),
            "kernels.baps_golden": ("baps_merge", "baps"),
            "kernels.lut": ("kernels", "index_softmax", "lut"),
            "kernels.multiply": ("kernels", "multiply"),
            "kernels.reciprocal": ("multiply", "lut"),
            "kernels.shift": ("kernels", "shift"),
            "kernels.softermax": ("kernels", "softermax"),
            "kernels.online": ("baps_merge", "shift", "multiply", "baps", "softermax"),
            "kernels.pieces": ("softermax",),
            "kernels.powers": ("shift", "softermax"),
            "kernels.weighted": ("index_softmax", "multiply", "lut"),
        }.items()
    }
    | {
        f"exaq.{name}": ("attention", "dint_formats", "dint_weights", "refused_operands")
        for name in (
            *("attention.head", "attention.head_scales", "attention.key_formats"),
            *("dint.nibbles", "dint.products", "dint.weights"),
        )
    },
    "calibration": {
        f"exaq.calibration.{name}": (
            *("calibration_refusals", "calibration_values", "calibration", "default_clip", *files),
        )
        for name, files in {
            "exponentials": ("calibration_optimal",),
            "objective": ("calibration_optimal",),
            "rules": (),
            "search": ("calibration_optimal",),
            "shared_bits": ("shared_bits",),
            "source": ("calibration_executor",),
            "summary": ("calibration_executor", "calibration_optimal"),
        }.items()
    },
}
# A mutant may loop for ever, or take all memory.
_SECONDS = 400
# What tests import that is not the package, once for all mutants.
_IMPORTED_BEFORE = (
    *("pytest", "hypothesis", "numpy.testing", "amaranth", "amaranth._unused", "click"),
    *("_pytest.fixtures", "concurrent.futures.thread"),
)


@dataclass(frozen=True)
class Trial:
    """What became of a change: ``test`` failed first, ``"file::function"``, or none did.

    A mutant that ran too long or ended its process has ``TIME`` in the place of a test.
    """

    change: Change
    test: str


#: In the place of a test: the mutant never came to an end, or took its process with it.
TIME = "time"


def path_of(module: str) -> Path:
    """The file of a module of ``GROUPS``."""
    return ROOT / "sim" / f"{module.replace('.', '/')}.py"


def noticing(module: str) -> tuple[Path, ...]:
    """The files of tests that are to notice changes of a module."""
    names = next(group[module] for group in GROUPS.values() if module in group)
    return tuple(ROOT / "tb" / "model" / f"test_model_{name}.py" for name in names)


def all_changes(group: str) -> list[Change]:
    """All changes of a group's modules."""
    return [
        change
        for module in GROUPS[group]
        for change in changes(module, path_of(module).read_text(encoding="utf-8"))
    ]


def drawn(found: Sequence[Change], count: int, seed: int = SEED) -> list[Change]:
    """``count`` of ``found`` in their order: those whose texts have the least hashes.

    So an edit of one module leaves what is drawn of the others as it is.
    """

    def place(change: Change) -> bytes:
        return hashlib.sha256(f"{seed} {change}".encode()).digest()

    last = sorted(map(place, found))[:count][-1]
    return [change for change in found if place(change) <= last]


def tried(wanted: Sequence[Change], *, jobs: int) -> Iterator[Trial]:
    """What becomes of changes, as they come to an end; ``jobs`` of them at once.

    The package must not have been imported in this process.
    """
    known = [name for name in sys.modules if name == "exaq" or name.startswith("exaq.")]
    if known:
        raise RuntimeError(f"{known[0]} has been imported here: a changed one would not be found")
    for name in _IMPORTED_BEFORE:
        importlib.import_module(name)
    running: dict[int, tuple[Change, int]] = {}
    waiting = list(reversed(wanted))
    while waiting or running:
        while waiting and len(running) < jobs:
            change = waiting.pop()
            reading, writing = os.pipe()
            if not (process := os.fork()):
                os.close(reading)
                _judge(change, writing)
            os.close(writing)
            running[process] = change, reading
        process, status = os.wait()
        change, reading = running.pop(process)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            told = pipe.read()
        code = os.waitstatus_to_exitcode(status)
        # The code is pytest's: all passed, or tests failed; else it came to no end.
        yield Trial(change, "" if code == 0 else told if code == 1 and told else TIME)


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the changed module in the place of the one on disk."""

    def __init__(self, change: Change) -> None:
        self._change = change

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """That of the changed module, and of no other."""
        if name != self._change.module:
            return None
        return importlib.util.spec_from_file_location(name, path_of(name), loader=self)

    def create_module(self, spec: Any) -> ModuleType | None:
        """Python's own way."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Runs the changed module."""
        source = path_of(self._change.module).read_text(encoding="utf-8")
        tree = changed(source, self._change)
        exec(compile(tree, str(module.__file__), "exec"), module.__dict__)


class _FirstFailure:
    """A plugin of pytest that tells which test failed first, or that none could begin."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A test's end, or that of what was made for it."""
        if report.failed:
            self._tell(report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        """A file of tests that cannot be imported has failed too."""
        if report.failed:
            self._tell(report.nodeid)

    def _tell(self, node: str) -> None:
        if self._pipe >= 0:
            file, _, test = node.partition("::")
            name = Path(file).stem + (f"::{test.partition('[')[0]}" if test else "")
            os.write(self._pipe, name.encode())
            os.close(self._pipe)
            self._pipe = -1


def _judge(change: Change, pipe: int) -> None:
    """Ends this process: with 0 where all tests pass, with 1 where one fails."""
    import pytest

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_SECONDS)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.meta_path.insert(0, _Changed(change))
    options = ["-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    # Importing what is changed may fail, and with it whatever imports it: then nothing can begin.
    code = pytest.main(
        [*options, "-c", str(ROOT / "pyproject.toml"), *map(str, noticing(change.module))],
        plugins=[_FirstFailure(pipe)],
    )
    os._exit(1 if code in (1, 2) else int(code))
