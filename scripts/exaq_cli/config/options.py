"""The options that describe a configuration, the same for every command."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from exaq import PRESETS, SoftmaxConfig, paper_clip
from exaq_cli.errors import UserError, user_errors
from exaq_cli.files import load_tables

R = TypeVar("R")

_GIVEN = f"{__name__}.given"
_DEFAULT = SoftmaxConfig()

# Name, type and help of each option that sets the configuration's field of that name.
_FIELDS: tuple[tuple[str, type, str], ...] = (
    ("bits", int, f"Width of a code: 2 to 4 bits.  [default: {_DEFAULT.bits}]"),
    (
        "lanes",
        int,
        f"Elements of a beat: 1 to 64, a multiple of the group.  [default: {_DEFAULT.lanes}]",
    ),
    (
        "logit_width",
        int,
        f"Width of a logit, a signed integer: 4 to 24 bits.  [default: {_DEFAULT.logit_width}]",
    ),
    (
        "logit_scale",
        float,
        f"Real value of one logit step, above 0.  [default: {_DEFAULT.logit_scale}]",
    ),
    (
        "clip",
        float,
        "Clip C, below 0, in real units relative to the row's maximum; instead of --sigma.",
    ),
    (
        "max_row",
        int,
        "Longest row: 1 to 65536 elements, a multiple of the lanes.  "
        f"[default: {_DEFAULT.max_row}]",
    ),
    (
        "prob_bits",
        int,
        "Width of a probability, an unsigned fraction: 4 to 24 bits.  "
        f"[default: {_DEFAULT.prob_bits}]",
    ),
    (
        "exp_frac",
        int,
        f"Fraction bits of a tabulated exponential: 4 to 24.  [default: {_DEFAULT.exp_frac}]",
    ),
    (
        "group",
        int,
        "Codes that one table lookup adds up: 1 to 12, from 2**(bits * group) <= 4096 entries.  "
        "[default: the largest of 4, 2, 1 that divides the lanes and keeps to 256 entries]",
    ),
    (
        "full_rate_row",
        int,
        "Shortest row, in elements, that streams without a bubble: at least 2 * 2**bits * lanes; "
        "the shorter, the more dividers.  [default: 8 * 2**bits * lanes, or less where max-row is]",
    ),
    (
        "contexts",
        int,
        "Sets of tables that can be loaded while the unit runs, each row choosing one: 0 to 1024; "
        f"0 makes ROMs.  [default: {_DEFAULT.contexts}, or as many as --tables has sets]",
    ),
)


def config_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a click command the options of a configuration, and their sum as argument ``config``.

    Options override the preset's values. A value or a combination that no unit can have is a
    UserError with the reason; one whose longest rows can come out as nothing but zeros, a warning
    on stderr.
    """
    return _configured(command, lambda others: {})


def board_config_options(command: Callable[..., R]) -> Callable[..., R]:
    """As ``config_options``, for a command with an argument ``board``, a name of BOARDS.

    Where no preset is given, the options change the board's default configuration.
    """

    def settings(others: dict[str, Any]) -> dict[str, Any]:
        from exaq_fpga.boards import BOARDS

        return BOARDS[others["board"]].settings

    return _configured(command, settings)


def _configured(
    command: Callable[..., R], settings: Callable[[dict[str, Any]], dict[str, Any]]
) -> Callable[..., R]:
    """``settings`` gives what the options change, of the command's other arguments."""

    @functools.wraps(command)
    def configured(*args: Any, preset: str | None, masking: bool | None, **others: Any) -> R:
        changes = {name: others.pop(name) for name, _, _ in _FIELDS} | {"masking": masking}
        changes = {name: value for name, value in changes.items() if value is not None}
        sources = {name: others.pop(name) for name in ("sigma", "tables", "tables_name")}
        sources = {name: value for name, value in sources.items() if value is not None}
        given = bool(changes or sources) or preset is not None
        click.get_current_context().meta[_GIVEN] = given
        base = settings(others) if preset is None else {}
        config = _settle(preset, base, changes, **sources)
        if config.max_row > config.longest_flat_row:
            click.echo(
                f"exaq: warning: rows of more than {config.longest_flat_row} equal logits give "
                f"zeros, because {config.prob_bits} bits round their probabilities down; rows may "
                f"have {config.max_row} elements",
                err=True,
            )
        return command(*args, config=config, **others)

    options = [
        click.option(
            "--preset",
            metavar="NAME",
            help=f"Start from a named configuration: {', '.join(PRESETS)}. "
            "The other options change it.",
        ),
        *(
            click.option(f"--{name.replace('_', '-')}", name, type=kind, help=text)
            for name, kind, text in _FIELDS
        ),
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
            "--clip and --sigma. One set of tables goes into ROMs, several into contexts.",
        ),
        click.option(
            "--tables-name",
            metavar="NAME",
            help="The one set of the file to take.",
        ),
        click.option(
            "--masking/--no-masking",
            default=None,
            help="Whether single elements can be masked.  [default: masking]",
        ),
    ]
    decorated: Callable[..., R] = configured
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def config_given() -> bool:
    """Whether the running command's line had any option of ``config_options``."""
    return bool(click.get_current_context().meta[_GIVEN])


def tables_read() -> list[Path]:
    """The file that the running command's line has with ``--tables``, if any."""
    path: Path | None = click.get_current_context().params["tables"]
    return [] if path is None else [path]


def _settle(
    preset: str | None,
    base: dict[str, Any],
    changes: dict[str, Any],
    *,
    sigma: float | None = None,
    tables: Path | None = None,
    tables_name: str | None = None,
) -> SoftmaxConfig:
    sources = {"--sigma": sigma, "--clip": changes.get("clip"), "--tables": tables}
    given = [option for option, value in sources.items() if value is not None]
    if len(given) > 1:
        raise UserError(f"give {' or '.join(given)}, not both")
    if tables_name is not None and tables is None:
        raise UserError("--tables-name needs --tables")
    with user_errors():
        if preset is not None:
            SoftmaxConfig.preset(preset)
            base = PRESETS[preset]
        changes = base | changes
        if tables is not None:
            return load_tables(tables).config(tables_name, **changes)
        config = SoftmaxConfig(**changes)
        if sigma is None:
            return config
        return SoftmaxConfig(**changes, clip=paper_clip(sigma, config.bits))
