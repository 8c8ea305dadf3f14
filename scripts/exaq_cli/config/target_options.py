"""The options that say what a unit is emitted for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from exaq_cli.errors import UserError
from exaq_hdl.emit.target import KINDS, RAM_MODELS, RAMS, RESETS, Target

R = TypeVar("R")

_OPTIONS: dict[str, tuple[Any, str]] = {
    "target": (
        click.Choice(KINDS),
        "What the Verilog is for. asic: each memory is a module of its size, for a macro, small "
        "ones are flops, ROMs are case, queues have no place too many, and nothing has an initial "
        f"value.  [default: {KINDS[0]}]",
    ),
    "ram": (
        click.Choice(RAMS),
        "asic: ports of the two large queues' memories; single-port ones hold two beats a word, "
        f"and read and write in turn.  [default: {RAMS[0]}]",
    ),
    "ram_latency": (
        click.IntRange(1, 2),
        "asic: cycles from an address of a queue's memory to its word.  [default: 1]",
    ),
    "ram_model": (
        click.Choice(RAM_MODELS),
        "asic: whether the text has models of the arrays that macros take the place of.  "
        f"[default: {RAM_MODELS[0]}]",
    ),
    "reset": (
        click.Choice(RESETS),
        "asic: whether flops that have a reset are cleared by a clock edge or without one.  "
        f"[default: {RESETS[0]}]",
    ),
}


def target_options(
    *names: str, kind: str | None = None
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Decorator: gives the command the options of a target, and ``target``, a Target.

    ``names``: those of the options that the command has; none means all. ``kind``: what its target
    is in any case, where there is no option for it.
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def wrapper(**values: Any) -> R:
            given = {name: values.pop(name, None) for name in _OPTIONS}
            wanted = kind or given.pop("target") or KINDS[0]
            chosen = {name: value for name, value in given.items() if value is not None}
            if wanted == KINDS[0] and chosen:
                raise UserError(f"--{min(chosen).replace('_', '-')} is for --target asic alone")
            return function(target=Target(kind=wanted, **chosen), **values)

        decorated: Callable[..., R] = wrapper
        for name in reversed(names or tuple(_OPTIONS)):
            values, text = _OPTIONS[name]
            decorated = click.option(f"--{name.replace('_', '-')}", name, type=values, help=text)(
                decorated
            )
        return decorated

    return decorate
