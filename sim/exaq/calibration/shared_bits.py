"""Bits where they help most: heads of 2, 3 and 4 bits under a budget of their mean.

file = exaq.share_bits([of_2_bits, of_3_bits, of_4_bits], average_bits=2.5)
exaq.torch.set_tables(model, file)
for bits, unit in file.by_bits().items(): ...  # a unit for each width
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from exaq.scalars import real
from exaq.table_file import TableFile, TableSet


def share_bits(
    files: Sequence[TableFile], average_bits: float | Fraction, *, by: str = "mse"
) -> TableFile:
    """Of each set the one of some file, so that the errors' sum is least for a mean of bits.

    Parameters
    ----------
    files
        The same sets, calibrated with different numbers of bits; at least one file.
    average_bits
        Mean over the sets of their bits at most: not below the fewest of ``files``.
    by
        Which of the sets' ``statistics`` is the error: "mse", "kl" or "values".

    Returns
    -------
    TableFile
        Of the most bits that a set has; sets of fewer are written with codes that wide, and are
        the same functions of the logits. ``TableFile.by_bits`` gives the units that it takes.
        ``provenance`` says ``average_bits``, and by what.
    """
    ordered = sorted(files, key=lambda file: file.bits)
    budget = Fraction(real("average_bits", average_bits))
    widths = [file.bits for file in ordered]
    if not ordered or len(set(widths)) < len(widths):
        raise ValueError(f"files must be of different bits, not {widths}")
    names = [entry.name for entry in ordered[0].sets]
    for file in ordered[1:]:
        form = (file.logit_width, file.logit_scale, file.exp_frac)
        first = (ordered[0].logit_width, ordered[0].logit_scale, ordered[0].exp_frac)
        if form != first:
            raise ValueError(f"files must be of one format, not {first} and {form}")
        if [entry.name for entry in file.sets] != names:
            raise ValueError("files must hold the same sets")
    if budget < widths[0]:
        raise ValueError(f"average_bits must be at least {widths[0]}, not {average_bits}")
    errors = np.array([[_error(entry, by) for entry in file.sets] for file in ordered])
    chosen = _least(errors, widths, math.floor(budget * len(names)))

    most = widths[max(chosen)]
    sets = []
    for k, number in enumerate(chosen):
        entry = ordered[number].sets[k]
        sets.append(replace(entry, tables=entry.tables.widened(most), clip=None))
    used = Fraction(sum(widths[number] for number in chosen), len(chosen))
    return replace(
        ordered[0],
        bits=most,
        sets=tuple(sets),
        provenance=dict(ordered[0].provenance)
        | {"average_bits": round(float(used), 6), "bits_by": by},
    )


def _least(errors: NDArray[np.float64], widths: Sequence[int], bits: int) -> list[int]:
    """For each set the number of its file: the least sum of ``errors`` (files, sets) for ``bits``.

    Exact, by dynamic programming over the sets and the bits that are left; of equals the fewest.
    """
    # No set needs more than the widest.
    bits = min(bits, widths[-1] * errors.shape[1])
    least = np.full(bits + 1, math.inf)
    least[0] = 0.0
    choices = []
    for each in errors.T:
        trials = np.full((len(widths), bits + 1), math.inf)
        for number, (error, width) in enumerate(zip(each, widths, strict=True)):
            trials[number, width:] = least[: bits + 1 - width] + error
        choices.append(trials.argmin(0))
        least = trials.min(0)
    at = int(least.argmin())
    chosen = []
    for choice in reversed(choices):
        chosen.append(int(choice[at]))
        at -= widths[chosen[-1]]
    return chosen[::-1]


def _error(entry: TableSet, by: str) -> float:
    error = entry.statistics.get(by)
    if not isinstance(error, int | float):
        raise ValueError(f"set {entry.name!r} has no error {by!r}")
    return float(error)
