"""Lets the tests of LiteX compile as the regression does."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "rtl"))


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Verilator adds to every design, compiled once."""
    return tmp_path_factory.mktemp("runtime")
