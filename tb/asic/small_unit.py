"""A small unit and the tiny library: what tests of the flow map."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from tiny_liberty import write_tiny

from exaq import SoftmaxConfig
from exaq_asic.flow import TOP, emitted_unit
from exaq_asic.liberty import Library
from exaq_asic.mapping.mapped_unit import MappedUnit, map_unit
from exaq_asic.mapping.recipe import Recipe
from exaq_hdl.emit.target import Target

CONFIG = SoftmaxConfig(
    lanes=2, logit_width=4, logit_scale=0.5, max_row=16, group=1, prob_bits=6, exp_frac=6
)
# Its large queues are arrays whatever their size, if they have a single port.
TARGET = Target(kind="asic", ram="single-port")


@functools.cache
def library() -> Library:
    """The tiny library."""
    with tempfile.TemporaryDirectory() as folder:
        return Library.read(write_tiny(Path(folder)))


@functools.cache
def mapped(goal: str = "speed", clock_gate: bool = False) -> MappedUnit:
    """The small unit mapped to it."""
    recipe = Recipe(goal=goal, clock_gate=clock_gate)
    return map_unit(emitted_unit(CONFIG, TARGET).verilog, TOP, library(), recipe)
