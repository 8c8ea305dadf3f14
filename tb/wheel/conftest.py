"""The wheel, built once; and the boards of the link's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from wheel_build import build, copy_sources

sys.path.append(str(Path(__file__).resolve().parent.parent / "link"))


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's files."""
    return copy_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="session")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel."""
    return build("wheel", sources, tmp_path_factory.mktemp("wheel"))
