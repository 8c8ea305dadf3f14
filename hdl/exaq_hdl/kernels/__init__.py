"""Kernels: what a row of logits becomes, each a numeric algorithm of its own."""

from exaq_hdl.kernels.kernel_unit import ClosedRow, KernelUnit, hardware_of, make_unit, unit_kind

# isort: off
# Each registers itself.
from exaq_hdl.kernels.exaq.exaq_unit import ExaqUnit
from exaq_hdl.kernels.baps.baps_unit import BapsUnit
from exaq_hdl.kernels.multiply.multiply_unit import MultiplyUnit
from exaq_hdl.kernels.softermax.softermax_unit import SoftermaxUnit
from exaq_hdl.kernels.shift.shift_unit import ShiftUnit
from exaq_hdl.kernels.lut.lut_unit import LutUnit

# isort: on

__all__ = [
    "BapsUnit",
    "ClosedRow",
    "ExaqUnit",
    "KernelUnit",
    "LutUnit",
    "MultiplyUnit",
    "ShiftUnit",
    "SoftermaxUnit",
    "hardware_of",
    "make_unit",
    "unit_kind",
]
