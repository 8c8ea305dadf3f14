"""``exaq calibrate``: tables of thresholds and exponentials from a model's own attention logits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import TaskProgressColumn, TimeRemainingColumn

import exaq
from exaq import SoftmaxConfig, TableFile, TableSet
from exaq.calibration import OBJECTIVES, PARTS, RULES, STAGES
from exaq.stream_format import MASK_VALUES
from exaq_cli.errors import UserError, plain_warnings, user_errors
from exaq_cli.files import check_row_axis, map_array, replacing
from exaq_cli.output.progress import counted
from exaq_cli.workers import executor_of, scheduler_option

_CONSOLE = Console(stderr=True)
_DEFAULT = SoftmaxConfig()
_FILE = click.Path(path_type=Path)
# Parts that a worker has at a time: one that it calibrates, and one that is there already.
_AHEAD = 2
# Objectives that logits alone can have, and widths that --average-bits shares out.
_OBJECTIVES = tuple(name for name in OBJECTIVES if name != "values")
_SHARED = (2, 3, 4)
# The number of a layer in a file's name, as in layer07.npy or encoder.layers.7.scores.npy.
_LAYER = re.compile(r"(?<![a-z])layers?[._-]?([0-9]+)", re.IGNORECASE)


@click.command(name="calibrate")
@click.argument("logits", metavar="LOGITS.npy ...", type=_FILE, nargs=-1, required=True)
@click.option(
    "-o",
    "--out",
    metavar="TABLES.json",
    required=True,
    type=_FILE,
    help="File of tables to write, for --tables of exaq generate and exaq simulate.",
)
@click.option(
    "--rule",
    type=click.Choice(RULES),
    default="optimal",
    show_default=True,
    help="paper: clip from a linear fit of the logits' spread. naive: clip at their mean minimum. "
    "optimal: thresholds and exponentials that minimise the error of the softmax output.",
)
@click.option(
    "--minimise",
    type=click.Choice(_OBJECTIVES),
    default="mse",
    show_default=True,
    help="Error for --rule optimal: mse, the squared error of a row's probabilities; kl, the "
    "Kullback-Leibler divergence from the exact row.",
)
@click.option(
    "--stage",
    type=click.Choice(STAGES),
    default=STAGES[-1],
    show_default=True,
    help="How far --rule optimal goes: clip, a searched clip with end-point levels; levels, its "
    "thresholds with the best exponentials; thresholds, both free.",
)
@click.option(
    "--per",
    type=click.Choice(PARTS),
    default="layer",
    show_default=True,
    help="What gets tables of its own: all files together, each layer (file), or each head of it.",
)
@click.option(
    "--head-axis",
    type=int,
    default=-3,
    show_default=True,
    help="Axis of the heads, for --per head.",
)
@click.option(
    "--mask",
    "masks",
    metavar="FILE.npy",
    type=_FILE,
    multiple=True,
    help="Elements that take part: booleans, True = live, that broadcast to the logits. Give one "
    "for all files, or one for each: of the same layers by their names, or else in their order.",
)
@click.option(
    "--lengths",
    metavar="FILE.npy",
    type=_FILE,
    multiple=True,
    help="Live elements of each row, from the left: integers 0 to row that broadcast to the "
    "logits' shape without its last axis. Give one for all files, or one for each, as for --mask.",
)
@click.option(
    "--bits", type=int, default=_DEFAULT.bits, show_default=True, help="Width of a code: 2 to 6."
)
@click.option(
    "--average-bits",
    type=float,
    help="Instead of --bits: each set has 2, 3 or 4 bits, so that their mean is at most this and "
    "the errors' sum is least. TABLES.json holds all sets with codes of the widest; beside it come "
    "TABLES.2bit.json and so on, a file for each unit that the sets need.",
)
@click.option(
    "--logit-width",
    type=int,
    default=_DEFAULT.logit_width,
    show_default=True,
    help="Width of a logit, a signed integer: 4 to 24 bits.",
)
@click.option(
    "--logit-scale",
    type=float,
    default=float(_DEFAULT.logit_scale),
    show_default=True,
    help="Real value of one logit step, above 0.",
)
@click.option(
    "--exp-frac",
    type=int,
    default=_DEFAULT.exp_frac,
    show_default=True,
    help="Fraction bits of a tabulated exponential: 4 to 24.",
)
@click.option(
    "--mask-value",
    type=click.Choice(MASK_VALUES),
    default=_DEFAULT.mask_value,
    show_default=True,
    help="Which integer logit means masked in the unit: none, or the lowest.",
)
@scheduler_option("Calibrate sets of tables at the same time")
def command(
    logits: tuple[Path, ...],
    out: Path,
    masks: tuple[Path, ...],
    lengths: tuple[Path, ...],
    scheduler: str | None,
    average_bits: float | None,
    **options: Any,
) -> None:
    """Make tables from calibration logits: a file a layer, of shape (..., row).

    A file whose name has the word layer with a number, such as layer7.npy, bert.layer07.npy or
    encoder.layers.7.npy, is of that layer, in any order and with gaps. Files without are layers 0,
    1 and so on in the order given. The printed table says which file made which set.

    Floats are taken as real logits, masked where they are -inf or as low as a finite mask such as
    -1e4; integers as logits in steps of --logit-scale. Files are read in blocks and may be larger
    than memory.

    \b
    exaq calibrate layer0.npy layer1.npy -o tables.json
    exaq calibrate layer*.npy -o tables.json --per head --bits 3 --minimise kl
    exaq calibrate scores.npy -o tables.json --lengths lengths.npy --rule paper
    exaq calibrate layer*.npy -o tables.json --per head --average-bits 2.5
    """
    if masks and lengths:
        raise UserError("give --mask or --lengths, not both")
    source = click.get_current_context().get_parameter_source("bits")
    if average_bits is not None and source is not ParameterSource.DEFAULT:
        raise UserError("give --bits or --average-bits, not both")
    if average_bits is not None and average_bits < _SHARED[0]:
        raise UserError(f"--average-bits must be at least {_SHARED[0]}, not {average_bits:g}")
    layers = _numbered(logits)
    what = "mask" if masks else "lengths"
    selections = _selections(f"--{what}", masks or lengths, layers)
    with replacing(out, inputs=(*logits, *masks, *lengths)) as (temporary,):
        arrays = {layer: _logits(path) for layer, path in layers.items()}
        live = {
            layer: _live(arrays[layer], layers[layer], path, what)
            for layer, path in selections.items()
        }
        widths = [options["bits"]] if average_bits is None else _SHARED
        files = [
            _calibrate(arrays, live or None, layers, options | {"bits": bits}, scheduler)
            for bits in widths
        ]
        tables = files[0]
        if average_bits is not None:
            with user_errors():
                tables = exaq.share_bits(files, average_bits, by=options["minimise"])
        sources = {layer: {"file": path.name} for layer, path in layers.items()}
        for layer, path in selections.items():
            sources[layer][what] = path.name
        tables = _named(tables, sources)
        tables.save(temporary)
        units = {} if average_bits is None else tables.by_bits()
        paths = [out.with_suffix(f".{bits}bit{out.suffix}") for bits in units]
        with replacing(*paths, inputs=(out, *logits, *masks, *lengths)) as others:
            for unit, path in zip(units.values(), others, strict=True):
                unit.save(path)
    for unit in units.values() if units else [tables]:
        _print(unit, layers)
    click.echo(f"Written: {out}, {len(tables.sets)} sets of tables")
    for (bits, unit), path in zip(units.items(), paths, strict=True):
        click.echo(f"Written: {path}, for a unit of {bits} bits, {len(unit.sets)} sets of tables")


def _numbered(paths: Sequence[Path]) -> dict[int, Path]:
    """Each file by the number of its layer, in the order given."""
    found: dict[int, Path] = {}
    numbers = [_layer(path) for path in paths]
    if all(number is None for number in numbers):
        return dict(enumerate(paths))
    for number, path in zip(numbers, paths, strict=True):
        if number is None:
            named = next(p for n, p in zip(numbers, paths, strict=True) if n is not None)
            raise UserError(
                f"{named} names a layer, {path} none: name one in all files, or in none"
            )
        if number in found:
            raise UserError(f"{found[number]} and {path} are both layer {number}: give one of them")
        found[number] = path
    return found


def _layer(path: Path) -> int | None:
    """Number of the layer that the file's name has, if any."""
    numbers = sorted({int(number) for number in _LAYER.findall(path.name)})
    if len(numbers) > 1:
        raise UserError(f"{path} names more than one layer: {', '.join(map(str, numbers))}")
    return numbers[0] if numbers else None


def _selections(option: str, given: Sequence[Path], layers: dict[int, Path]) -> dict[int, Path]:
    """The file of masks or lengths of each layer; none where none is given."""
    if len(given) <= 1:
        return {layer: path for path in given for layer in layers}
    if len(given) != len(layers):
        wanted = "once" if len(layers) == 1 else f"once or {len(layers)} times"
        raise UserError(f"{option} must be given {wanted}, not {len(given)} times")
    if all(_layer(path) is None for path in given):
        return dict(zip(layers, given, strict=True))
    named = _numbered(given)
    if odd := named.keys() ^ layers.keys():
        raise UserError(
            f"{option} must be given for just the layers of logits; see layer {min(odd)}"
        )
    return named


def _calibrate(
    arrays: dict[int, NDArray[Any]],
    live: dict[int, NDArray[np.bool_]] | None,
    layers: dict[int, Path],
    options: dict[str, Any],
    scheduler: str | None,
) -> TableFile:
    def named(message: str) -> str:
        # The library counts layers; the user knows files.
        return re.sub(r"\blayer (\d+)", lambda found: str(layers[int(found[1])]), message)

    columns = (TaskProgressColumn(), TimeRemainingColumn())
    with (
        executor_of(scheduler) as executor,
        counted("Calibrating", *columns, console=_CONSOLE) as progress,
    ):
        given = options | {"masks": live, "progress": progress}
        if executor is not None:
            given |= {"executor": executor, "in_flight": _AHEAD * executor.at_once}
        try:
            with plain_warnings(named), user_errors():
                return exaq.calibrate(arrays, **given)
        except UserError as error:
            raise UserError(named(str(error))) from error


def _named(tables: TableFile, sources: dict[int, dict[str, str]]) -> TableFile:
    """The tables with the names of their layers' files."""
    layers = [sources[entry["layer"]] | entry for entry in tables.provenance["layers"]]
    return dataclasses.replace(tables, provenance={**tables.provenance, "layers": layers})


def _logits(path: Path) -> NDArray[Any]:
    array = map_array(path, "integer", "float")
    check_row_axis(path, array)
    return array


def _live(array: NDArray[Any], path: Path, file: Path, what: str) -> NDArray[np.bool_]:
    """Mask of the array at ``path`` out of ``file``, which holds a mask or lengths."""
    if what == "mask":
        mask = map_array(file, "boolean")
    else:
        counts = map_array(file, "integer")
        try:
            mask = exaq.length_mask(counts, array.shape[-1])
        except ValueError as error:
            raise UserError(f"{file}: {error}") from error
    try:
        np.broadcast_to(mask, array.shape)
    except ValueError as error:
        shape = mask.shape if what == "mask" else mask.shape[:-1]
        fits = array.shape if what == "mask" else array.shape[:-1]
        raise UserError(
            f"{file} has the shape {shape}, which does not fit {fits} of {path}"
        ) from error
    return mask


def _print(tables: TableFile, layers: dict[int, Path]) -> None:
    """A line a set: file, clip, errors before the search and after it, thresholds, ExpRom."""
    together = ", ".join(map(str, layers.values())) if len(layers) == 1 else f"{len(layers)} files"
    head = ("set", "file", "rows", "sigma", "clip", "MSE", "KL", "thresholds", "exponentials")
    rows: list[tuple[str, ...]] = [head]
    for entry in tables.sets:
        file = together if entry.layer is None else str(layers[entry.layer])
        rows.append(_cells(entry, file))
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def _cells(entry: TableSet, file: str) -> tuple[str, ...]:
    figures = entry.statistics
    before, *after = figures["stages"].values()

    def error(name: str) -> str:
        values = ["inf" if v is None else f"{v:.3g}" for v in (before[name], figures[name])]
        return " -> ".join(values) if after else values[0]

    return (
        entry.name,
        file,
        f"{figures['rows']:,}",
        f"{figures['sigma']:.3g}",
        f"{figures['searched_clip'] if entry.clip is None else entry.clip:.4g}",
        error("mse"),
        error("kl"),
        " ".join(map(str, entry.tables.thresholds)),
        " ".join(map(str, entry.tables.exp_rom)),
    )
