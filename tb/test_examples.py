"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from test_layout import FOLDERS

pytestmark = pytest.mark.usefixtures("unused_components")

#: Modules with an example, by their names.
MODULES = [
    ".".join((package, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
    for package, folder in FOLDERS.items()
    for path in sorted(folder.rglob("*.py"))
    if ">>> " in Path(path).read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), verbose=False)
    assert found.attempted > 1
    assert found.failed == 0


def test_there_are_examples() -> None:
    assert {"exaq.config", "exaq.model", "exaq_hdl.shell.row_shell"} <= set(MODULES)
