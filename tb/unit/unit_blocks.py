"""Blocks of EXAQ for a configuration, each with the readers of its tables."""

import pytest

from exaq import SoftmaxConfig
from exaq_hdl.kernels.division.divider import Divider
from exaq_hdl.kernels.division.normalizer import Normalizer
from exaq_hdl.kernels.exaq.accumulator import Accumulator
from exaq_hdl.kernels.exaq.layouts import division_of
from exaq_hdl.kernels.exaq.quantizer import Quantizer
from exaq_hdl.kernels.exaq.tables.provider import Tables, tables_of
from exaq_hdl.parts.memory import SIMULATED, Memories


class ChipMemories(Memories):
    """Those of a design for a chip, as the simulator knows them."""

    chip = True


CHIP = ChipMemories()
#: For tests of blocks that are others in a chip.
TARGETS = pytest.mark.parametrize("memories", [SIMULATED, CHIP], ids=["fpga", "chip"])


def tables_for(config: SoftmaxConfig, memories: Memories = SIMULATED) -> Tables:
    return tables_of(config.kernel, memories)


def quantizer_for(config: SoftmaxConfig, memories: Memories = SIMULATED) -> Quantizer:
    return Quantizer(config.kernel, tables_for(config, memories).thresholds())


def accumulator_for(config: SoftmaxConfig, memories: Memories = SIMULATED) -> Accumulator:
    sums = tables_for(config, memories).sums()
    return Accumulator(config.kernel, sums, chip=memories.chip)


def divider_for(config: SoftmaxConfig, *, units: int, memories: Memories = SIMULATED) -> Divider:
    exponentials = tables_for(config).exponentials()
    division = division_of(config.kernel)
    return Divider(division, units=units, exponentials=exponentials, chip=memories.chip)


def rings_for(config: SoftmaxConfig) -> tuple[int, int]:
    """Units of a ring of dividers, and number of rings."""
    return Normalizer.choose(division_of(config.kernel), tables_for(config).prelude)


def normalizer_for(config: SoftmaxConfig) -> Normalizer:
    tables = tables_for(config)
    division = division_of(config.kernel)
    return Normalizer(division, tables.exponentials, prelude=tables.prelude)
