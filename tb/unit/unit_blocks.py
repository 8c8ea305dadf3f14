"""Blocks of EXAQ for a configuration, each with the readers of its tables."""

from exaq import SoftmaxConfig
from exaq_hdl.kernels.exaq.accumulator import Accumulator
from exaq_hdl.kernels.exaq.divider import Divider
from exaq_hdl.kernels.exaq.normalizer import Normalizer
from exaq_hdl.kernels.exaq.quantizer import Quantizer
from exaq_hdl.kernels.exaq.tables.provider import Tables, tables_of
from exaq_hdl.parts.memory import SIMULATED


def tables_for(config: SoftmaxConfig) -> Tables:
    return tables_of(config.kernel, SIMULATED)


def quantizer_for(config: SoftmaxConfig) -> Quantizer:
    return Quantizer(config.kernel, tables_for(config).thresholds())


def accumulator_for(config: SoftmaxConfig) -> Accumulator:
    return Accumulator(config.kernel, tables_for(config).sums())


def divider_for(config: SoftmaxConfig, *, units: int) -> Divider:
    return Divider(config.kernel, units=units, exponentials=tables_for(config).exponentials())


def rings_for(config: SoftmaxConfig) -> tuple[int, int]:
    """Units of a ring of dividers, and number of rings."""
    return Normalizer.choose(config.kernel, tables_for(config))


def normalizer_for(config: SoftmaxConfig) -> Normalizer:
    return Normalizer(config.kernel, tables_for(config))
