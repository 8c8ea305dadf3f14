"""The options that describe an attention head, beside those of the softmax within it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from exaq import paper_clip
from exaq.attention import KEY_FORMATS, AttentionConfig
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.errors import UserError, user_errors

R = TypeVar("R")

_DEFAULT = AttentionConfig()
#: What products with keys can be made of; ``exaq_hdl`` is not imported for its own list.
MULTIPLIERS = ("lut", "dsp")
#: Where keys and values can be while rows run; likewise.
OPERANDS = ("stored", "streamed")

# Settings of a softmax that make a difference to a head, and to what takes its codes.
_OF_SOFTMAX = (
    "bits",
    "lanes",
    "logit_scale",
    "clip",
    "max_row",
    "exp_frac",
    "full_rate_row",
    "sink",
)

# Options of a head that are none of its configuration: arguments of ``emit_attention``.
_MADE_OF = ("multipliers", "operands", "outputs_per_beat")

# Type and help of the option that gives the setting of that name.
_SETTINGS: dict[str, tuple[Any, str]] = {
    "head_size": (
        int,
        "attention, level-sums: elements of a row of q, of a key and of a value: 16 to 256.  "
        f"[default: {_DEFAULT.head_size}]",
    ),
    "keys": (
        click.Choice(tuple(KEY_FORMATS)),
        f"attention: format of a key's elements.  [default: {_DEFAULT.keys}]",
    ),
    "value_width": (
        int,
        "attention, level-sums: width of a value's element: 8 or 4 bits.  "
        f"[default: {_DEFAULT.value_width}]",
    ),
    "output_width": (
        int,
        "attention, level-sums: width of an output's element: 16 or 8 bits.  "
        f"[default: {_DEFAULT.output_width}]",
    ),
    "outputs_per_beat": (
        int,
        "attention, level-sums: elements of an output that are divided and leave in a cycle: a "
        "power of two that divides head-size.  [default: level-sums: what rows of full-rate-row "
        "keys need, which are 8 * 2**bits * lanes where that is not given; attention: what rows of "
        "half of max-row need]",
    ),
    "causal": (
        bool,
        "attention: a row of q meets the keys up to its own number alone.",
    ),
    "operands": (
        click.Choice(OPERANDS),
        "attention: keys and values are stored in the unit, for as many rows as follow, or come "
        "with each row, a stream of beats of lanes keys and one of as many values.  "
        "[default: stored]",
    ),
    "multipliers": (
        click.Choice(MULTIPLIERS),
        "attention: what products with keys are made of: lookup tables and adders, or multipliers, "
        "which an FPGA has as DSP blocks.  [default: lut]",
    ),
}


def head_options(*without: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a click command the options of a head; the argument ``head`` is what they say.

    ``without``: names of those that the command has itself, for something else too.
    """
    settings = {name: each for name, each in _SETTINGS.items() if name not in without}

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(command)
        def configured(*args: Any, **others: Any) -> R:
            given = {name: others.pop(name) for name in settings}
            head = {name: value for name, value in given.items() if value is not None}
            return command(*args, head=head, **others)

        decorated: Callable[..., R] = configured
        for name, (kind, text) in reversed(settings.items()):
            flag: dict[str, Any] = (
                {"is_flag": True, "default": None} if kind is bool else {"type": kind}
            )
            option = click.option(f"--{name.replace('_', '-')}", name, help=text, **flag)
            decorated = option(decorated)
        return decorated

    return decorate


def resolve_head(partial: PartialConfig, head: Mapping[str, Any], *, unit: str) -> AttentionConfig:
    """The head that was asked for.

    Parameters
    ----------
    partial
        What was said of the softmax; a preset of one is no part of a head.
    head
        Settings of ``AttentionConfig``.
    unit
        What they are for, in messages.

    Raises
    ------
    UserError
        A value or a combination that no head can have, or an option that is not for the unit.
    """
    if partial.preset is not None:
        raise UserError(f"--preset is not for the unit {unit}")
    settings = dict(partial.settings)
    refuse(settings.keys() - {*_OF_SOFTMAX}, unit)
    with user_errors():
        if partial.tables is not None:
            of_file = partial.tables.config(partial.tables_name, **settings)
            if of_file.contexts:
                raise UserError("--tables has several sets: choose one by --tables-name")
            found = of_file.tables
            settings |= {
                "tables": found,
                "bits": of_file.bits,
                "logit_scale": of_file.logit_scale,
                "exp_frac": of_file.exp_frac,
                "sink": of_file.sink,
            }
        config = AttentionConfig(**head, **settings)
        if partial.sigma is None:
            return config
        return config.replace(clip=paper_clip(partial.sigma, config.softmax.bits))


def resolve_attention(
    partial: PartialConfig, head: Mapping[str, Any]
) -> tuple[AttentionConfig, dict[str, Any]]:
    """The whole head that was asked for, and how it is made: arguments of ``emit_attention``.

    Errors as of ``resolve_head``.
    """
    settings = {name: value for name, value in head.items() if name not in _MADE_OF}
    config = resolve_head(partial, settings, unit="attention")
    return config, {name: head[name] for name in _MADE_OF if name in head}


def refuse(names: Any, unit: str) -> None:
    """UserError where there are ``names``, of settings that are not for ``unit``."""
    for name in sorted(names):
        raise UserError(f"--{name.replace('_', '-')} is not for the unit {unit}")
