"""Dependencies point one way, and no file depends on the machine it was written on."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from exaq.extras import EXTRAS

ROOT = Path(__file__).resolve().parent.parent

# Each package may import those before it.
ORDER = [
    "exaq",
    "exaq_hdl",
    "exaq_cosim",
    "exaq_asic",
    "exaq_fpga",
    "exaq_litex",
    "exaq_eval",
    "exaq_explore",
    "exaq_cli",
]
FOLDERS = {
    "exaq": ROOT / "sim/exaq",
    "exaq_hdl": ROOT / "hdl/exaq_hdl",
    "exaq_cosim": ROOT / "sim/exaq_cosim",
    "exaq_asic": ROOT / "asic/exaq_asic",
    "exaq_fpga": ROOT / "fpga/exaq_fpga",
    "exaq_litex": ROOT / "fpga/exaq_litex",
    "exaq_eval": ROOT / "sim/exaq_eval",
    "exaq_explore": ROOT / "fpga/exaq_explore",
    "exaq_cli": ROOT / "scripts/exaq_cli",
}
# The one part of exaq that needs more than NumPy.
TORCH = FOLDERS["exaq"] / "torch"
NOT_IMPORTABLE = {"asic", "fpga", "hdl", "scripts", "sim", "tb"}
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:Users|home|mnt|opt|root|tmp|var|work)/\w|\b[A-Z]:\\\w")


def modules(source: str) -> Iterator[tuple[int, str]]:
    """Line and module of every absolute import in ``source``, nested ones too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every absolute import in ``source``, nested ones too."""
    return ((line, module.split(".")[0]) for line, module in modules(source))


def tracked() -> list[Path]:
    """Files that git holds here."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    paths = (ROOT / name for name in listing.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file()]


def offences(package: str, allowed: set[str] | None, without: Path | None = None) -> list[str]:
    """Imports in ``package`` of a later package, or of what is not in ``allowed`` (None: all).

    Files below the folder ``without`` are left out.
    """
    later = set(ORDER[ORDER.index(package) + 1 :])
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sorted(FOLDERS[package].rglob("*.py"))
        if without is None or without not in path.parents
        for line, name in imported(path.read_text(encoding="utf-8"))
        if name in later or (allowed is not None and name not in allowed)
    ]


def test_imported_finds_every_form() -> None:
    source = "import a.b, c\nfrom d.e import f\nfrom . import g\ndef h():\n    import i\n"
    assert sorted(imported(source)) == [(1, "a"), (1, "c"), (2, "d"), (5, "i")]


@pytest.mark.parametrize("package", ORDER)
def test_dependencies_point_one_way(package: str) -> None:
    assert any(FOLDERS[package].glob("*.py"))
    assert offences(package, None) == []


def test_every_folder_of_modules_is_in_the_wheel() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = declared["tool"]["setuptools"]["packages"]
    found = [
        ".".join((name, *path.parent.relative_to(folder).parts))
        for name, folder in FOLDERS.items()
        for path in folder.rglob("__init__.py")
    ]
    assert sorted(listed) == sorted(found)


def test_model_needs_numpy_alone() -> None:
    numpy_alone = {"exaq", "numpy", *sys.stdlib_module_names}
    assert offences("exaq", numpy_alone, without=TORCH) == []
    assert offences("exaq", numpy_alone | {"torch", "transformers"}) == []


def test_host_of_a_board_needs_numpy_and_pyserial_alone() -> None:
    allowed = {"exaq", "exaq_fpga.link", "numpy", "serial"}
    allowed |= set(sys.stdlib_module_names)
    host = [*FOLDERS["exaq_fpga"].glob("link/**/*.py"), FOLDERS["exaq_fpga"] / "__init__.py"]
    assert len(host) > 8
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in host
        for line, module in modules(path.read_text(encoding="utf-8"))
        if not any(f"{module}.".startswith(f"{name}.") for name in allowed)
    ]
    assert found == []


# Each folder of exaq_fpga may import those before it.
FPGA_FOLDERS = ["link", "boards", "gateware", "flow", "virtual", "prove"]


@pytest.mark.parametrize("folder", FPGA_FOLDERS)
def test_folders_of_exaq_fpga_point_one_way(folder: str) -> None:
    later = {f"exaq_fpga.{name}" for name in FPGA_FOLDERS[FPGA_FOLDERS.index(folder) + 1 :]}
    files = sorted((FOLDERS["exaq_fpga"] / folder).rglob("*.py"))
    assert len(files) > 3
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files
        for line, module in modules(path.read_text(encoding="utf-8"))
        if ".".join(module.split(".")[:2]) in later
    ]
    assert found == []


@pytest.mark.parametrize(
    ("package", "folder", "forbidden"),
    [
        ("exaq_hdl", "parts", ("exaq_hdl.shell", "exaq_hdl.kernels", "exaq_hdl.emit")),
        ("exaq_hdl", "shell", ("exaq_hdl.kernels.exaq", "exaq_hdl.emit")),
        ("exaq_hdl", "kernels", ("exaq_hdl.emit", "exaq_hdl.shell.row_shell")),
        ("exaq_hdl", "emit", ("exaq_hdl.kernels",)),
        ("exaq_cosim", "", ("exaq_hdl.kernels", "exaq.kernels")),
    ],
)
def test_shell_and_kernels_are_apart(package: str, folder: str, forbidden: tuple[str, ...]) -> None:
    """Parts know no softmax; the shell, emission and simulation know no single kernel."""
    files = sorted((FOLDERS[package] / folder).rglob("*.py"))
    assert len(files) > 3
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files
        for line, module in modules(path.read_text(encoding="utf-8"))
        if f"{module}.".startswith(tuple(f"{name}." for name in forbidden))
    ]
    assert found == []


@pytest.mark.parametrize("package", ORDER)
def test_names_of_files_in_a_package_are_told_apart(package: str) -> None:
    """A name says what is in the file, wherever in the package it stands."""
    names = [path.name for path in FOLDERS[package].rglob("*.py") if path.stem != "__init__"]
    assert len(names) > 4
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize(
    ("folder", "without"),
    [
        # The tool knows nothing of the studies, and what they are about nothing of the questions.
        ("", "studies"),
        ("studies/subjects", "studies/questions"),
    ],
)
def test_studies_are_apart_from_the_tool(folder: str, without: str) -> None:
    root = FOLDERS["exaq_eval"]
    banned = f"exaq_eval.{without.replace('/', '.')}"
    files = [path for path in (root / folder).rglob("*.py") if root / without not in path.parents]
    assert len(files) > 5
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files
        for line, module in modules(path.read_text(encoding="utf-8"))
        if f"{module}.".startswith(f"{banned}.")
    ]
    assert found == []


# What packages and commands bring along. Each must be importable, and its help be shown, where no
# extra is installed; torch and Amaranth also take seconds.
LIGHT = {
    "exaq_hdl.shell.register_map": {"exaq", "exaq_hdl"},
    "exaq_cosim": {"exaq", "exaq_hdl", "exaq_cosim"},
    "exaq_fpga": {"exaq", "exaq_fpga"},
    "exaq_cli.main": {"exaq_cli"},
    "exaq_cli.commands.model.calibrate": {"exaq", "exaq_cli"},
    "exaq_cli.commands.board.stream": {"exaq", "exaq_cli", "exaq_fpga"},
}


@pytest.mark.parametrize("module", LIGHT)
def test_what_an_import_brings_along(module: str) -> None:
    extras = {name for modules in EXTRAS.values() for name in modules}
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.split())
    assert loaded & extras == set()
    assert loaded & set(ORDER) == LIGHT[module]


def test_folders_are_no_import_names() -> None:
    sources = [path for path in tracked() if path.suffix == ".py"]
    assert sources
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources
        for line, name in imported(path.read_text(encoding="utf-8"))
        if name in NOT_IMPORTABLE
    ]
    assert found == []


def test_text_is_free_of_machine_paths_and_carriage_returns() -> None:
    found = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode("utf-8").split("\n"), start=1):
            if "\r" in line or MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []


@pytest.mark.parametrize("line", ["see /home/" + "me/x", "cd /tmp/" + "run", "C:" + "\\Users"])
def test_machine_path_is_recognised(line: str) -> None:
    assert MACHINE_PATH.search(line)


@pytest.mark.parametrize("line", ["docs/work/x", "#!/usr/bin/env bash", "https://a.org/home/x"])
def test_other_path_is_none_of_a_machine(line: str) -> None:
    assert not MACHINE_PATH.search(line)
