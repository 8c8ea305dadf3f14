"""What docs/kernels.md says of formats, settings and rates, held against the golden models."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exaq
from exaq.kernels import KERNELS

PAGE = (Path(__file__).resolve().parents[2] / "docs/kernels.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line[1:-1].split("|")] for line in re.findall(r"^\|.*", PAGE, re.M)
]


def section(title: str) -> str:
    """The text below a heading, down to the next one of its kind."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def values(kernel: str, **settings: Any) -> dict[int, float]:
    """The numbers that eight bits stand for, without those that stand for none."""
    config = exaq.SoftmaxConfig(kernel=kernel, prob_bits=8, **settings)
    found = config.kernel.probability_values(np.arange(256))
    return {bits: number for bits, number in enumerate(found) if not np.isnan(number)}


def test_e5m3_is_what_the_table_says() -> None:
    assert "(1 + m / 8) * 2^(e - 31), from 2^-30 to 1" in PAGE
    told = {0: 0.0} | {
        e << 3 | m: (1 + m / 8) * 2.0 ** (e - 31)
        for e in range(1, 32)
        for m in range(8)
        if (e, m) <= (31, 0)
    }
    assert values("baps", probability_format="float") == told


def hif8_of_the_table() -> dict[int, float]:
    """Every word that a line of the table describes, and its number by that line."""
    told = {}
    lines = [row for row in ROWS if row[0].startswith("0 ")]
    assert len(lines) == 7
    for bits, exponent, _ in lines:
        word = bits.replace(" ", "")
        free = [place for place, mark in enumerate(word) if mark in "sxm"]
        for number in range(2 ** len(free)):
            filled = list(word)
            for rank, place in enumerate(reversed(free)):
                filled[place] = str(number >> rank & 1)
            of = {
                mark: "".join(filled[p] for p in free if word[p] == mark)
                for mark in ("s", "x", "m")
            }
            m = int(of["m"] or "0", 2)
            if exponent == "":
                value = Fraction(0)
            elif exponent.startswith("m - 23"):
                value = Fraction(2) ** (m - 23) if m else Fraction(0)
            else:
                size = int(re.search(r"\d+", exponent)[0]) if exponent != "0" else 0  # type: ignore[index]
                size += int(of["x"] or "0", 2)
                power = -size if of["s"] == "1" else size
                value = (1 + Fraction(m, 2 ** len(of["m"]))) * Fraction(2) ** power
            told[int("".join(filled), 2)] = float(value)
    return told


def test_hif8_is_what_the_table_says() -> None:
    told = hif8_of_the_table()
    assert len(told) == 128
    found = values("baps", code_format="hif8", probability_format="float")
    # Probabilities are at most 1.
    assert found == {bits: number for bits, number in told.items() if number <= 1}
    codes = exaq.SoftmaxConfig(
        kernel="baps", code_format="hif8", output="codes", row_results="sum"
    ).kernel
    assert isinstance(codes, exaq.Baps)
    eightfold = 8 * codes.values(np.arange(256))
    assert all(eightfold[bits] in (number,) for bits, number in told.items() if number <= 8)


@pytest.mark.parametrize("name", ["baps", "multiply", "softermax", "shift", "lut"])
def test_every_setting_is_in_the_kernels_section(name: str) -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", section(name), re.MULTILINE))
    assert named == set(KERNELS[name].setting_names())


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize("longest", [256, 1024, 1008])
def test_least_rows_of_full_rate_are_those_of_the_table(lanes: int, longest: int) -> None:
    bits = len(f"{longest:b}")
    for p in (8, 16):
        told: list[tuple[dict[str, Any], int]] = [
            ({"bits": 2}, 8),
            ({"bits": 4}, 32),
            ({"kernel": "baps", "output": "codes", "row_results": "sum"}, 1),
            ({"kernel": "baps"}, 16),
            ({"kernel": "multiply"}, p + 3 + (longest - 1).bit_length()),
            ({"kernel": "softermax"}, p + 6 + (longest - 1).bit_length()),
            ({"kernel": "shift"}, 2),
            ({"kernel": "shift", "variant": "ita"}, p + 1),
            ({"kernel": "lut"}, 2),
        ]
        if p == 8:
            told += [
                (
                    {"kernel": "baps", "probability_format": "float", "reference_step": step},
                    step + 10 + bits,
                )
                for step in (1, 8)
            ]
        for settings, beats in told:
            # Long enough that the default row of full rate is legal, whatever it is.
            config = exaq.SoftmaxConfig(
                lanes=lanes, max_row=longest, prob_bits=p, full_rate_row=2**16, **settings
            )
            assert config.kernel.least_full_rate_row(config.format) == beats * lanes, settings


def test_what_kernels_have_is_what_the_table_says() -> None:
    heads, *_ = (row for row in ROWS if row[1:2] == ["exaq"])
    lines = {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in ROWS if "yes" in row}
    for name, kernel in KERNELS.items():
        if name not in heads:
            continue
        told = {line: cells[name] == "yes" for line, cells in lines.items()}
        assert told == {
            "masks, windows, mask value, row tails": True,
            "codes in the place of probabilities, with row results": "codes" in kernel.takes,
            "contexts, tables at run time, sinks": kernel.takes_contexts,
            "bf16 and fp16 logits": "logit_format" in kernel.takes,
        }
        assert kernel.takes_contexts == ("sink" in kernel.takes)
