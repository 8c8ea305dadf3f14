"""Without the extra torch the tests of this folder are skipped, and say so."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

MISSING = [name for name in ("torch", "transformers") if find_spec(name) is None]


class _Skipped(pytest.Module):
    def collect(self) -> NoReturn:
        pytest.skip(f"needs {' and '.join(MISSING)}, of the extra torch")


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """A module that is not even imported where something is missing."""
    return _Skipped.from_parent(parent, path=module_path) if MISSING else None
