"""The options that describe a configuration, the same for every command."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from exaq import (
    KERNELS,
    PRESETS,
    Baps,
    Lut,
    Multiply,
    Shift,
    SoftmaxConfig,
    StreamFormat,
)
from exaq.kernels.baps import CODE_FORMATS, PROBABILITY_FORMATS
from exaq.kernels.exaq import P_TABLES
from exaq.kernels.lut import VARIANTS as LUTS
from exaq.kernels.multiply import EXPONENTIALS
from exaq.kernels.shift import VARIANTS as SHIFTS
from exaq.stream_format import LOGIT_FORMATS, MASK_VALUES, OUTPUTS, ROW_RESULTS
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.files import load_tables

R = TypeVar("R")


def _number(text: str) -> int | float:
    """A number as it was written: an integer stays one."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    raise ValueError(f"{text!r} is not a valid number.")


_DEFAULT = SoftmaxConfig()

_FORMAT = StreamFormat()

# Type and help of the option that gives the setting of that name; one for each of
# exaq_cli.config.partial_config.SETTINGS.
_SETTINGS: dict[str, tuple[Any, str]] = {
    "kernel": (
        click.Choice(tuple(KERNELS)),
        "What is computed; the options of other kernels do not go with it.  "
        f"[default: {_DEFAULT.kernel.name}]",
    ),
    "bits": (int, f"Width of a code: 2 to 6 bits.  [default: {_DEFAULT.bits}]"),
    "lanes": (
        int,
        f"Elements of a beat: 1 to 64, a multiple of the group.  [default: {_DEFAULT.lanes}]",
    ),
    "logit_width": (
        int,
        "Width of a logit: 4 to 24 bits of a signed integer; 16 with bf16 and fp16.  "
        f"[default: {_DEFAULT.logit_width}]",
    ),
    "logit_scale": (
        float,
        "Real value of a logit of 1, above 0; with bf16 and fp16 it is 1 where left out.  "
        f"[default: {_DEFAULT.logit_scale}]",
    ),
    "clip": (
        float,
        "Clip C, below 0, in real units relative to the row's maximum; instead of --sigma.",
    ),
    "max_row": (
        int,
        "Longest row: 1 to 65536 elements, a multiple of the lanes.  "
        f"[default: {_DEFAULT.max_row}]",
    ),
    "prob_bits": (
        int,
        "Width of a probability, an unsigned fraction: 4 to 24 bits.  "
        f"[default: {_DEFAULT.prob_bits}]",
    ),
    "exp_frac": (
        int,
        f"Fraction bits of a tabulated exponential: 4 to 24.  [default: {_DEFAULT.exp_frac}]",
    ),
    "group": (
        int,
        "Codes that one table lookup adds up: 1 to 12, from 2**(bits * group) <= 4096 entries.  "
        "[default: the largest of 4, 2, 1 that divides the lanes and keeps to 1024 entries]",
    ),
    "masking": (bool, "Whether single elements can be masked.  [default: masking]"),
    "full_rate_row": (
        int,
        "Shortest row, in elements, that streams without a bubble: at least 2 * 2**bits * lanes; "
        "the shorter, the more dividers.  [default: 8 * 2**bits * lanes, or less where max-row is]",
    ),
    "contexts": (
        int,
        "Sets of tables that can be loaded while the unit runs, each row choosing one: 0 to 1024; "
        f"0 makes ROMs.  [default: {_DEFAULT.contexts}, or as many as --tables has sets]",
    ),
    "p_table": (
        click.Choice(P_TABLES),
        "Where a row's 2**bits probabilities wait: registers with a multiplexer a lane, "
        "distributed RAM, or a block RAM a lane; nowhere in a unit that gives codes.  [default: "
        "auto, which is registers for 2 bits, else block]",
    ),
    "output": (
        click.Choice(OUTPUTS),
        f"What leaves for each element; codes come with row results.  [default: {_FORMAT.output}]",
    ),
    "row_results": (
        click.Choice(ROW_RESULTS),
        "What leaves for each row in a stream of its own: its maximum and sum, and with table the "
        "probabilities of all codes.  [default: none; table with --output codes]",
    ),
    "sink": (
        _number,
        "Logit of a sink, which joins the maximum and the sum of every row and has no output; "
        "with contexts, of those whose tables name no other.  [default: no sink]",
    ),
    "window": (
        bool,
        "Whether each row can come with a window of elements that are not masked.  "
        "[default: no-window]",
    ),
    "mask_value": (
        click.Choice(MASK_VALUES),
        "Which integer logit means masked: none, or the lowest.  [default: none]",
    ),
    "logit_format": (
        click.Choice(LOGIT_FORMATS),
        "Type of a logit; -inf masks, NaN and +inf put a row in error.  "
        f"[default: {_FORMAT.logit_format}]",
    ),
    "code_format": (
        click.Choice(CODE_FORMATS),
        f"baps: format of an exponential of eight bits.  [default: {Baps().code_format}]",
    ),
    "reference_step": (
        int,
        "baps: octaves that references are whole multiples of: 1, 2, 4 or 8.  [default: 8 for "
        "e5m3, 1 for hif8]",
    ),
    "probability_format": (
        click.Choice(PROBABILITY_FORMATS),
        "baps: whether probabilities are fractions of prob-bits or, with 8 bits, numbers of the "
        f"code format.  [default: {Baps().probability_format}]",
    ),
    "exponential": (
        click.Choice(EXPONENTIALS),
        "multiply: how an exponential is made: of two tables, by a Taylor polynomial, by linear "
        f"pieces, or as 2**floor(t) * (1 + frac(t)).  [default: {Multiply().exponential}]",
    ),
    "exp_bits": (
        int,
        "multiply, softermax: fraction bits of an exponential: 8 to 24.  "
        f"[default: {Multiply().exp_bits}]",
    ),
    "variant": (
        click.Choice((*SHIFTS, *LUTS)),
        f"shift: {' or '.join(SHIFTS)}; lut: {' or '.join(LUTS)}.  [default: the first of each]",
    ),
    "factor_bits": (
        int,
        "shift: significant bits of the factor that makes octaves of logits: 1 to 12.  "
        f"[default: {Shift().factor_bits}]",
    ),
    "table_bits": (
        int,
        f"lut: width of a word of its tables: 4 to 12.  [default: {Lut().table_bits}]",
    ),
    "exp_entries": (
        int,
        "lut: words that the table of exponentials may have: 4 to 1024.  "
        f"[default: {Lut().exp_entries}]",
    ),
    "mantissa_bits": (
        int,
        "lut: bits of a sum, below its highest, that its table tells apart: 0 to table-bits - 2.  "
        "[default: 5; 2 with 2d]",
    ),
    "code_bits": (
        int,
        "lut: width of an exponential's code, with 2d: 1 to 8.  [default: 4]",
    ),
}


def config_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a click command the options of a configuration, and what they say as ``partial``.

    That argument is the only one: a ``PartialConfig``. Options that contradict each other, and a
    file of tables that is none, are a UserError before the command begins.
    """

    @functools.wraps(command)
    def configured(
        *args: Any,
        preset: str | None,
        sigma: float | None,
        tables: Path | None,
        tables_name: str | None,
        **others: Any,
    ) -> R:
        settings = {name: others.pop(name) for name in _SETTINGS}
        partial = PartialConfig(
            preset=preset,
            settings={name: value for name, value in settings.items() if value is not None},
            sigma=sigma,
            tables=None if tables is None else load_tables(tables),
            tables_name=tables_name,
            files=() if tables is None else (tables,),
        )
        return command(*args, partial=partial, **others)

    options: list[Callable[[Any], Any]] = [
        click.option(
            "--preset",
            metavar="NAME",
            help=f"Start from a named configuration: {', '.join(PRESETS)}. "
            "The other options change it.",
        ),
        *(_option(name, kind, text) for name, (kind, text) in _SETTINGS.items()),
        click.option(
            "--sigma",
            type=float,
            help="Standard deviation of the logits after the row's maximum is taken off, in real "
            "units: the clip is the paper's fit for it.  [default: 2.0]",
        ),
        click.option(
            "--tables",
            metavar="T.json",
            type=click.Path(path_type=Path),
            help="Thresholds and exponentials, and the logits' format, from a file; instead of "
            "--clip and --sigma. One set of tables goes into ROMs, several into contexts. Tables "
            "are for integer logits.",
        ),
        click.option(
            "--tables-name",
            metavar="NAME",
            help="The one set of the file to take.",
        ),
    ]
    decorated: Callable[..., R] = configured
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def _option(name: str, kind: Any, text: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """The option of a setting; None where it is not given."""
    option = f"--{name.replace('_', '-')}"
    if kind is bool:
        return click.option(f"{option}/{option.replace('--', '--no-')}", default=None, help=text)
    metavar = "NUMBER" if kind is _number else None
    return click.option(option, name, type=kind, metavar=metavar, help=text)
