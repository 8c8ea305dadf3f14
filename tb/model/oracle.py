"""A second softmax, slow and in plain Python integers, written from the numeric contract alone.

It shares nothing with the golden model but the configuration: no NumPy, no wrapping, one element
after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from exaq import SoftmaxConfig


def code_row(row: Sequence[int], live: Sequence[bool] | None, config: SoftmaxConfig) -> list[int]:
    """Codes of one row; masked elements (``live`` false) have code 0."""
    taking_part = [True] * len(row) if live is None else [bool(flag) for flag in live]
    present = [int(x) for x, takes_part in zip(row, taking_part, strict=True) if takes_part]
    if not present:
        return [0] * len(row)
    maximum = max(present)
    codes = []
    for x, takes_part in zip(row, taking_part, strict=True):
        code = 0
        while (
            takes_part
            and code < len(config.tables.thresholds)
            and int(x) - maximum >= config.tables.thresholds[code]
        ):
            code += 1
        codes.append(code)
    return codes


def softmax_row(
    row: Sequence[int], live: Sequence[bool] | None, config: SoftmaxConfig
) -> list[int]:
    """Probabilities of one row in units of 2**-prob_bits; ``live`` None means that all are."""
    taking_part = [True] * len(row) if live is None else [bool(flag) for flag in live]
    exponentials = [
        config.tables.exp_rom[code] if takes_part else 0
        for code, takes_part in zip(code_row(row, live, config), taking_part, strict=True)
    ]
    total = sum(exponentials)
    if not any(taking_part):
        return [0] * len(row)
    one = 1 << config.prob_bits
    return [min((e * one + total // 2) // total, one - 1) for e in exponentials]
