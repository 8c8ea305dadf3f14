"""Whether the options of a configuration say what a board says of itself."""

from __future__ import annotations

from typing import Any

import click

from exaq import SoftmaxConfig, paper_clip
from exaq.scalars import plain_real

_TABLES = ("tables", "context_tables")
# What a file of tables says beside the tables.
_OF_FILE = ("bits", "logit_width", "logit_scale", "exp_frac", "contexts")


def differences(config: SoftmaxConfig, board: SoftmaxConfig, *, load: bool) -> list[str]:
    """How the board differs from what the running command's options ask for, in words.

    Only what an option names is compared: a preset names every field, ``--tables`` the tables
    and the logits' format. With ``load`` the tables are to be brought to the board.

    Parameters
    ----------
    config
        What the options make (``exaq_cli.config.options.config_options``).
    board
        The board's configuration.
    """
    options = click.get_current_context().params
    wanted = {"contexts": 0} | config.to_dict()
    if options["sigma"] is not None:
        wanted["clip"] = plain_real(paper_clip(options["sigma"], board.bits))
    names = set(wanted)
    if options["preset"] is None:
        names = {name for name in wanted if options.get(name) is not None}
        names -= set(_TABLES)
        if options["sigma"] is not None:
            names.add("clip")
        if options["tables"] is not None:
            names |= {*_OF_FILE, *_TABLES} & set(wanted)
    if "context_tables" in wanted:
        # They tell the tables as well.
        names.discard("tables")
    if load:
        names -= {*_TABLES, "clip"}
        if options["contexts"] is None:
            names.discard("contexts")
    found = board.to_dict()
    return [
        _words(name, found.get(name, 0), value)
        for name, value in wanted.items()
        if name in names and found.get(name, 0) != value
    ]


def _words(name: str, found: Any, wanted: Any) -> str:
    if name in _TABLES:
        return "other tables"
    return f"{name} {found}, not {wanted}"
