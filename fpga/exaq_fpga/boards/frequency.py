"""Frequencies in words."""

from __future__ import annotations

from fractions import Fraction


def megahertz(frequency: Fraction | int) -> str:
    """``frequency``, in Hz, as text in MHz, with the digits that matter."""
    return f"{float(frequency) / 1e6:.6g}"
