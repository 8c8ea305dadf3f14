"""``exaq bench``: size, clock and cycles of the published configurations, or of one of yours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from exaq import SoftmaxConfig
from exaq_cli.config.options import config_options
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.errors import UserError
from exaq_cli.files import replacing
from exaq_fpga.boards.devices import DEVICES

if TYPE_CHECKING:
    from exaq_fpga.flow.bench import Case

F = TypeVar("F", bound=Callable[..., Any])

_CONSOLE = Console(stderr=True)
_FILE = click.Path(path_type=Path)
_BEGIN, _END = "<!-- bench:begin -->", "<!-- bench:end -->"


def _seeds(ctx: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(seed) for seed in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise click.BadParameter(f"{text!r} is no list of different whole numbers, as 1,2,3")
    return seeds


def seeds_option(default: str) -> Callable[[F], F]:
    """The option ``--seeds``, whose value are whole numbers."""
    return click.option(
        "--seeds",
        default=default,
        show_default=True,
        callback=_seeds,
        help="Seeds of place and route; the figure is their median.",
    )


@click.command(name="bench")
@click.option(
    "--device",
    type=click.Choice(list(DEVICES)),
    help="Measure one configuration on this device.  [default: ecp5-85]",
)
@click.option(
    "--plain",
    is_flag=True,
    help="ECP5: leave the registers behind block RAM as Yosys leaves them, in flip-flops.",
)
@click.option(
    "--no-dsp",
    is_flag=True,
    help="Build multipliers of adders: on ECP5 in the place of its own, on iCE40 of Yosys's.",
)
@seeds_option("1,2,3,4,5")
@click.option("--json", "report", metavar="FILE", type=_FILE, help="Write all figures as JSON.")
@click.option(
    "--reports",
    metavar="FOLDER",
    type=_FILE,
    default="reports",
    show_default=True,
    help="Folder for the reports of the published configurations.",
)
@click.option(
    "--page",
    metavar="FILE",
    type=_FILE,
    default="docs/performance.md",
    show_default=True,
    help="File whose table is replaced.",
)
@click.option(
    "--stale",
    is_flag=True,
    help="Of the published configurations, measure those alone whose report is missing or is of "
    "other Verilog, seeds or tools.",
)
@config_options
def command(
    partial: PartialConfig,
    device: str | None,
    plain: bool,
    no_dsp: bool,
    seeds: tuple[int, ...],
    report: Path | None,
    reports: Path,
    page: Path,
    stale: bool,
) -> None:
    """Synthesise, place and route the unit, and count cycles on its compiled Verilog.

    Without a configuration, a device or --json: all published configurations, tens of minutes;
    writes a report for each and the table of docs/performance.md. Otherwise one configuration,
    printed.

    \b
    exaq bench
    exaq bench --stale
    exaq bench --preset 2bit-x16
    exaq bench --preset multiply-x4 --no-dsp
    exaq bench --lanes 4 --max-row 256 --device ice40-up5k --json up5k.json
    """
    config = partial.resolve()
    if partial.given or device or plain or no_dsp or report is not None:
        if stale:
            raise UserError("--stale is about the published configurations, not about one of yours")
        _one(config, device or "ecp5-85", plain, not no_dsp, seeds, report)
    else:
        _all(seeds, reports, page, stale)


def _one(
    config: SoftmaxConfig,
    name: str,
    plain: bool,
    dsp: bool,
    seeds: tuple[int, ...],
    target: Path | None,
) -> None:
    if plain and not name.startswith("ecp5"):
        raise UserError(f"--plain is for ECP5 devices; on {name} there is no other way")
    with replacing(*([] if target is None else [target])) as temporary:
        with _progress(1, seeds) as step:
            result = _measure(config, name, plain, dsp, seeds, step)
        for path in temporary:
            path.write_text(_text(result), encoding="utf-8")
    for line in _lines(result):
        click.echo(line)
    if target is not None:
        click.echo(f"Figures        {target}")


def _all(seeds: tuple[int, ...], folder: Path, page: Path, stale: bool) -> None:
    from exaq_fpga.flow.bench import CASES

    before, after = _around_table(page)
    if not folder.is_dir():
        raise UserError(f"cannot write to {folder}: no such folder")
    targets = {case: folder / f"{case.name}.json" for case in CASES}
    results = {case: _kept(case, targets[case], seeds) if stale else None for case in CASES}
    todo = [case for case in CASES if results[case] is None]
    paths = [targets[case] for case in todo]
    with replacing(*paths, page) as temporary, _progress(len(todo), seeds) as step:
        for case, path in zip(todo, temporary, strict=False):
            told = _prefixed(step, case.name)
            config = SoftmaxConfig.preset(case.preset)
            result = _measure(config, case.device, case.plain, case.dsp, seeds, told)
            path.write_text(_text(result), encoding="utf-8")
            results[case] = result
        temporary[-1].write_text(before + _table(results) + after, encoding="utf-8")
    click.echo(f"Reports        {len(todo)} of {len(CASES)} in {folder}")
    click.echo(f"Table          {page}")


def _kept(case: Case, path: Path, seeds: tuple[int, ...]) -> dict[str, Any] | None:
    """The report at ``path`` if measuring anew could give nothing else."""
    from exaq_fpga.flow.bench import still_true

    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        return report if still_true(report, case, seeds) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _measure(
    config: SoftmaxConfig,
    device: str,
    plain: bool,
    dsp: bool,
    seeds: tuple[int, ...],
    step: Callable[[str], None],
) -> dict[str, Any]:
    # Only here: help and refusals need not wait for Amaranth.
    from exaq_cosim import ToolError
    from exaq_fpga.flow.bench import measure

    try:
        return measure(config, DEVICES[device], plain=plain, dsp=dsp, seeds=seeds, step=step)
    except ToolError as error:
        raise UserError(str(error)) from error


def _around_table(page: Path) -> tuple[str, str]:
    """The text of ``page`` up to its table and from the table's end on, marks included."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {page}: {error.strerror}") from error
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise UserError(f"{page} has no place for the table: no {_BEGIN} followed by {_END}")
    return f"{before}{begin}\n", f"\n{end}{after}"


def _table(results: dict[Case, Any]) -> str:
    from exaq_fpga.flow.bench import table

    return table((case.title, result) for case, result in results.items())


def _text(result: dict[str, Any]) -> str:
    return json.dumps(result, indent=2) + "\n"


@contextmanager
def _progress(measurements: int, seeds: tuple[int, ...]) -> Iterator[Callable[[str], None]]:
    """A bar over all steps of ``measurements``; yields the function that tells the next step."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}"),
    )
    quiet = not _CONSOLE.is_terminal
    with Progress(*columns, console=_CONSOLE, transient=True, disable=quiet) as progress:
        # Beside the seeds: emission, cycles and synthesis.
        total = measurements * (len(seeds) + 3)
        task = progress.add_task("", total=total, now="starting; the first run prepares the tools")
        started = False

        def step(name: str) -> None:
            nonlocal started
            progress.update(task, advance=int(started), now=name)
            started = True

        yield step


def _prefixed(step: Callable[[str], None], name: str) -> Callable[[str], None]:
    return lambda what: step(f"{name}: {what}")


def _lines(result: dict[str, Any]) -> Iterator[str]:
    from exaq_fpga.flow.bench import summary

    mhz, size, figures = result["mhz"], result["size"], summary(result)
    seeds = ", ".join(f"{seed}: {each:.1f}" for seed, each in mhz["seeds"].items())
    yield f"Device         {DEVICES[result['device']].title}"
    yield "Size           " + ", ".join(f"{count} {name}" for name, count in size.items())
    yield (
        f"Registers      {result['registers_in_block_ram']} in block RAM; "
        f"{result['boundary_registers_not_counted']} round the unit, not counted"
    )
    yield (
        f"Clock          median {mhz['median']:.1f} MHz, {mhz['min']:.1f} to {mhz['max']:.1f} "
        f"(seed {seeds})"
    )
    for row, cycles in result["cycles"].items():
        yield (
            f"Rows of {row:6} {cycles['elements_per_cycle']:.3g} elements a cycle; "
            f"{cycles['first_in_to_last_out']} cycles from first in to last out"
        )
    yield (
        f"Rate           {figures['elements_per_second'] / 1e6:.0f} M elements/s, "
        f"{figures['elements_per_second_per_lut4'] / 1e3:.0f} k elements/s per LUT4"
    )
    path = result["critical_path"]
    yield f"Critical path  of seed {path['seed']}:"
    for line in path["steps"]:
        yield f"  {line}"
