"""``exaq explore``: which unit to take for a device, found by measuring many."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from exaq import KERNELS
from exaq.extras import require
from exaq_cli.commands.unit.bench import seeds_option
from exaq_cli.config.command_line import generate_line
from exaq_cli.errors import UserError, tool_errors, user_errors
from exaq_cli.files import made_folder, replacing, write_text
from exaq_cli.output.progress import staged
from exaq_cli.workers import LOCAL, lost, scheduler_option, workers
from exaq_fpga.boards.devices import DEVICES

if TYPE_CHECKING:
    from exaq_explore import Found, Limits, Logits, Record, Space
    from exaq_explore.search import Measured

_CONSOLE = Console(stderr=True)
_FORMAT, _VERSION = "exaq-explore", 1
# Names of exaq_explore.GOALS, which takes a simulator's imports.
_GOALS = ("lut", "rate", "rate-per-lut", "latency", "error")
_ABOVE = click.FloatRange(min=0, min_open=True)


def _values(
    ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, tuple[Any, ...]]:
    """Settings and their values, of ``NAME=VALUE,VALUE``."""
    found: dict[str, tuple[Any, ...]] = {}
    for text in given:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name or not all(part.strip() for part in values.split(",")):
            raise click.BadParameter(f"{text!r} is not of the form SETTING=VALUE,VALUE")
        if name in found:
            raise click.BadParameter(f"{name} is there twice")
        found[name] = tuple(_value(part.strip()) for part in values.split(","))
    return found


def _value(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


@click.command(name="explore")
@click.option(
    "--device",
    type=click.Choice(list(DEVICES)),
    default="ecp5-85",
    show_default=True,
    help="Device that units are placed and routed for.",
)
@click.option(
    "--kernel",
    "kernels",
    multiple=True,
    type=click.Choice(list(KERNELS)),
    help="Kernels; repeatable.  [default: all]",
)
@click.option(
    "--vary",
    "choices",
    metavar="SETTING=VALUES",
    multiple=True,
    callback=_values,
    help="Values of a setting that are tried, such as lanes=4,8 or exp-bits=12,16; repeatable. "
    "Kernels without that setting go without.  [default: lanes=4,16, logit-width=8, prob-bits=16, "
    "output=probabilities, all widths of a code, and all variants of each kernel]",
)
@click.option(
    "--max-row",
    type=click.IntRange(1, 65536),
    default=1024,
    show_default=True,
    help="Longest row of the units, in elements.",
)
@click.option(
    "--row",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Elements of the rows that latency, rate and divergence are measured with.",
)
@click.option(
    "--sigma",
    type=_ABOVE,
    default=2.0,
    show_default=True,
    help="Standard deviation of the logits, in real units, that the divergence is measured with.",
)
@click.option(
    "--max-kl", type=_ABOVE, help="Most divergence from float softmax, in nats a row, of such rows."
)
@click.option(
    "--min-cosine",
    metavar="MODEL COSINE",
    type=(str, click.FloatRange(0, 1)),
    help="In its place: least mean cosine of an encoder's embeddings with those of the float "
    "model; minilm or the folder of a Transformers model.",
)
@click.option("--min-rate", metavar="PER_SECOND", type=_ABOVE, help="Least elements a second.")
@click.option(
    "--max-latency",
    metavar="CYCLES",
    type=_ABOVE,
    help="Most cycles from a row's first logit in to its last element out.",
)
@click.option("--max-lut", type=click.IntRange(min=0), help="Most LUT4.")
@click.option("--max-bram", type=click.IntRange(min=0), help="Most block RAMs.")
@click.option("--max-dsp", type=click.IntRange(min=0), help="Most multipliers of the device's own.")
@click.option("--no-dsp", is_flag=True, help="Build multipliers of adders.")
@click.option(
    "--goal",
    type=click.Choice(_GOALS),
    default=_GOALS[0],
    show_default=True,
    help="What the chosen unit is the best in, of those within the limits.",
)
@seeds_option("1")
@scheduler_option("Measure", default=LOCAL)
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/explore"),
    show_default=True,
    help="Folder for explore.json, explore.png, tables, and measurements.json, which a later run "
    "goes on from; made if missing.",
)
def command(
    device: str,
    kernels: tuple[str, ...],
    choices: dict[str, tuple[Any, ...]],
    max_row: int,
    row: int,
    sigma: float,
    max_kl: float | None,
    min_cosine: tuple[str, float] | None,
    min_rate: float | None,
    max_latency: float | None,
    max_lut: int | None,
    max_bram: int | None,
    max_dsp: int | None,
    no_dsp: bool,
    goal: str,
    seeds: tuple[int, ...],
    scheduler: str,
    out: Path,
) -> None:
    """Find the unit to take for a device: measure many, and show those that no other one beats.

    Every combination of kernels and settings is measured: first how far it is from float softmax,
    then its cycles in simulation, then its size and clock by place and route. A unit that breaks a
    limit is not measured further. Shown are the units within the limits that no other one beats in
    size, multipliers, rate, latency and error together, and how to generate the chosen one. Place
    and route can take minutes for a large unit, which limits spare. A run that is cut off goes on
    where it was, and so does one with other limits.

    \b
    exaq explore --max-kl 0.01 --max-lut 1000
    exaq explore --min-rate 2e9 --max-kl 0.1 --goal rate-per-lut
    exaq explore --kernel exaq --vary bits=3,4,5 --vary lanes=8 --min-cosine minilm 0.999
    exaq explore --device ice40-hx8k --vary lanes=4
    exaq explore --kernel multiply --vary exp-bits=12,16 --scheduler tcp://10.0.0.1:8786
    """
    if min_cosine is not None:
        if max_kl is not None:
            raise UserError("give --max-kl or --min-cosine, not both")
        require("torch")
    # All of it now, rather than one after another in the middle of a search.
    require("fpga", "plot", "cluster")
    if row > max_row:
        raise UserError(f"--row must be at most --max-row ({max_row}), not {row}")
    if no_dsp and max_dsp is not None:
        raise UserError("give --no-dsp or --max-dsp, not both")
    # Only here: help and the refusals above need not wait for a simulator's imports.
    from exaq_explore import Limits, Record, RecordError, Space, explore
    from exaq_explore.picture import draw

    with user_errors():
        space = Space(kernels=kernels or tuple(KERNELS), choices=choices, max_row=max_row)
    units = space.units()
    if not units:
        raise UserError(f"no unit can be made: {next(iter(space.left_out().values()))}")
    logits, dsp = _logits(min_cosine, sigma, row), DEVICES[device].dsp and not no_dsp
    limits = Limits(
        most_error=max_kl if min_cosine is None else 1 - min_cosine[1],
        min_rate=min_rate,
        max_latency=max_latency,
        max_lut=max_lut,
        max_bram=max_bram,
        max_dsp=max_dsp,
    )
    paths = [out / "explore.json", out / "explore.png"]
    with _folder(out), replacing(*paths) as (report, picture):
        try:
            record = Record(out / "measurements.json")
        except (RecordError, OSError) as error:
            raise UserError(str(error)) from error
        with (
            _told_where_it_goes_on(record),
            tool_errors(),
            workers(scheduler) as executor,
            staged("Exploring", console=_CONSOLE, transient=True) as told,
        ):
            found = explore(
                units,
                logits,
                device,
                executor,
                limits=limits,
                row=row,
                goal=goal,
                seeds=seeds,
                dsp=dsp,
                record=record,
                lost=lost(),
                told=told,
            )
        lines = {each.unit.name: _generate(each, out) for each in found.best}
        asked = {"device": device, "row": row, "max_row": max_row, "goal": goal}
        asked |= {"seeds": list(seeds), "dsp": dsp, "logits": logits.to_dict()}
        document = _document(found, space, asked, limits, lines)
        report.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        draw(found, logits, limits, picture)
    for line in _lines(found, space, logits, lines, goal):
        click.echo(line)
    click.echo(f"Written        {', '.join(map(str, paths))}")
    if found.chosen is None:
        click.get_current_context().exit(1)


def _logits(min_cosine: tuple[str, float] | None, sigma: float, row: int) -> Logits:
    from exaq_explore import Gaussian, Model

    if min_cosine is None:
        return Gaussian(sigma=sigma, row=row)
    from exaq_eval.models import ModelError

    with user_errors():
        try:
            return Model.of(min_cosine[0])
        except ModelError as error:
            raise UserError(str(error)) from error


@contextmanager
def _told_where_it_goes_on(record: Record) -> Iterator[None]:
    """An interrupt says that what was measured is kept."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(
            f"exaq: interrupted with {len(record)} measurements kept; the same command goes on "
            "from there",
            err=True,
        )
        raise


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """The folder is there; one that was made goes again if nothing is left in it."""
    made = not path.exists()
    made_folder(path)
    try:
        yield
    finally:
        if made and not any(path.iterdir()):
            path.rmdir()


def _generate(each: Measured, folder: Path) -> str:
    """The command that makes the unit; its tables are written."""
    settings = dict(each.unit.settings)
    if each.tables is None:
        settings["logit_scale"] = each.config.logit_scale
        return generate_line(each.unit.kernel, settings, None)
    text = json.dumps(each.tables, indent=1, allow_nan=False) + "\n"
    name = hashlib.sha256(text.encode()).hexdigest()[:8]
    target = folder / "tables" / f"{each.unit.bits}bit-{name}.json"
    with write_text(target) as file:
        file.write(text)
    return generate_line(each.unit.kernel, settings, target)


def _document(
    found: Found, space: Space, asked: dict[str, Any], limits: Limits, lines: dict[str, str]
) -> dict[str, Any]:
    """All that was found, as plain values."""
    names = [each.unit.name for each in found.best]
    return {
        "format": _FORMAT,
        "version": _VERSION,
        **asked,
        "limits": asdict(limits),
        "units": [
            {
                "name": each.unit.name,
                "config": each.config.to_dict(),
                "figures": each.figures,
                **({} if each.dropped is None else {"dropped": each.dropped}),
                **({} if each.failed is None else {"failed": each.failed}),
            }
            for each in found.measured
        ],
        "left_out": space.left_out(),
        "best": [{"name": name, "generate": lines[name]} for name in names],
        "chosen": None if found.chosen is None else found.chosen.unit.name,
    }


def _lines(
    found: Found, space: Space, logits: Logits, lines: dict[str, str], goal: str
) -> Iterator[str]:
    """A table of the best, what became of the others, and how to make the chosen one."""
    head = ["unit", "LUT4", "RAM", "DSP", "MHz", "M/s", "k/s/LUT4", "cycles", logits.error_title]
    rows = [head, *(_cells(each.unit.name, each.figures) for each in found.best)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    for row in rows if found.best else []:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
        yield "  ".join(cells)
    yield from _others(found, space)
    if found.chosen is None:
        yield "No unit is within the limits."
        return
    yield f"Best in {goal}: {found.chosen.unit.name}"
    yield f"  {lines[found.chosen.unit.name]}"


def _cells(name: str, figures: dict[str, Any]) -> list[str]:
    return [
        name,
        f"{figures['lut4']}",
        f"{figures['bram']}",
        f"{figures['dsp']}",
        f"{figures['mhz']:.0f}",
        f"{figures['rate'] / 1e6:.0f}",
        f"{figures['rate_per_lut4'] / 1e3:.0f}",
        f"{figures['latency']:.0f}",
        f"{figures['error']:.3g}",
    ]


def _others(found: Found, space: Space) -> Iterator[str]:
    """How many units there were, and why those that are not shown are not."""
    complete = sum(each.complete for each in found.measured)
    beaten = complete - len(found.best)
    yield f"Units          {len(found.measured)}, of which {complete} within the limits"
    if beaten:
        yield f"  {beaten} beaten by another one"
    dropped = Counter(
        " ".join(each.dropped.split()[:-3]) for each in found.measured if each.dropped
    )
    for what, count in dropped.items():
        yield f"  {count} dropped for their {what}"
    for each in found.measured:
        if each.failed:
            yield f"  not measured: {each.unit.name}: {each.failed}"
    if left_out := space.left_out():
        name, why = next(iter(left_out.items()))
        yield f"  {len(left_out)} that cannot be made, such as {name}: {why}"
