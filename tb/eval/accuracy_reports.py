"""The committed reports of studies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parents[2] / "reports/accuracy"


def report(name: str) -> dict[str, Any]:
    """What the study ``name`` gave when it was last measured."""
    path = _FOLDER / f"study-{name}.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
