"""Figures as reports have them: rounded in JSON, in words, and in Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# Significant digits that JSON keeps: what differs beyond is the machine's arithmetic.
_DIGITS = 6


def rounded(value: Any) -> Any:
    """Plain JSON of ``value``, every float in it to six significant digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.{_DIGITS}g}")
    return value


def number(value: float) -> str:
    """Three digits that count, with an exponent where the value is small or large."""
    if value == 0:
        return "0"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1) -> str:
    """A Markdown table; the first ``left`` columns are text, the others numbers."""
    marks = ["---" if column < left else "--:" for column in range(len(heads))]
    lines = [heads, marks, *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)
