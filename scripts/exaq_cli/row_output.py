"""The arrays that commands write: an element for each logit, and what comes of each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

import exaq
from exaq import RowResults, SoftmaxConfig
from exaq_cli.errors import UserError
from exaq_cli.files import put_array

R = TypeVar("R")

_FILE = click.Path(path_type=Path)


def output_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a click command the options ``out``, where elements go, ``float_output`` and
    ``results``.
    """
    parts = (
        click.option(
            "-o",
            "--out",
            metavar="PROBS.npy",
            required=True,
            type=_FILE,
            help="Array of probabilities to write: unsigned integers in units of 2**-prob_bits, in "
            "the shape of the logits. Of a unit that gives codes, these, uint8.",
        ),
        click.option("--float-output", is_flag=True, help="Write float64 values in 0..1 instead."),
        click.option(
            "--results",
            metavar="FILE.npz",
            type=_FILE,
            help="Row results to write, of a unit that has them: maximum, sum and, with a table, "
            "table, in the shape of the logits without its last axis. Where codes come with a "
            "reference for each beat, references too, with the beats of a row as last axis.",
        ),
    )
    for part in reversed(parts):
        command = part(command)
    return command


def check_outputs(
    config: SoftmaxConfig, results: Path | None, float_output: bool, *, remedy: str
) -> None:
    """Refuse options of ``output_options`` for which the unit of ``config`` gives nothing;
    ``remedy`` says where row results come from.
    """
    if results is not None and config.row_results == "none":
        raise UserError(f"--results needs a unit with row results: {remedy}")
    if float_output and config.output == "codes":
        raise UserError("--float-output needs a unit that gives probabilities, not codes")


def write_rows(
    files: Mapping[Path, Path],
    out: Path,
    elements: NDArray[Any],
    results: Path | None,
    of_rows: RowResults | None,
    *,
    float_of: SoftmaxConfig | None,
    references: NDArray[np.int32] | None = None,
) -> None:
    """Write what came into ``files``, by the paths that were asked for; ``float_of``: the
    configuration whose probabilities are written as floats. ``references`` go with the results.
    """
    if float_of is not None:
        elements = exaq.probabilities_to_float(elements, float_of)
    put_array(files[out], elements)
    if results is not None and of_rows is not None:
        with files[results].open("wb") as file:
            of_beats = {} if references is None else {"references": references}
            np.savez(file, allow_pickle=False, **of_rows.arrays(), **of_beats)
