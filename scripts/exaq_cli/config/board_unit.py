"""Which unit a board holds, for the commands that make or run one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from exaq_cli.config.head_options import refuse, resolve_attention
from exaq_cli.config.partial_config import PartialConfig
from exaq_cli.errors import user_errors
from exaq_fpga.boards import BoardSpec
from exaq_fpga.link.protocol import UnitConfig, check_linked

unit_option = click.option(
    "--unit",
    type=click.Choice(["softmax", "attention"]),
    default="softmax",
    show_default=True,
    help="What the board holds: the softmax unit, or a whole attention head.",
)


def resolve_unit(
    unit: str, partial: PartialConfig, head: Mapping[str, Any], spec: BoardSpec
) -> tuple[UnitConfig, dict[str, Any]]:
    """The unit that was asked for, and how a head is made: arguments of ``emit_attention``.

    Raises
    ------
    UserError
        There is no such unit, a board's link cannot carry what it gives, or an option is for the
        other one.
    """
    if unit == "softmax":
        refuse(head, unit)
        config = partial.resolve(spec.settings)
        with user_errors():
            return check_linked(config), {}
    attention, options = resolve_attention(partial, head)
    # Only here: it takes a second, and the refusals above need not wait for it.
    from exaq_hdl.attention.level_sums import settle_outputs_per_beat

    with user_errors():
        settle_outputs_per_beat(attention, options.get("outputs_per_beat"))
    return attention, options
