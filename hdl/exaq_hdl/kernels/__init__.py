"""Kernels: what a row of logits becomes, each a numeric algorithm of its own."""

from exaq_hdl.kernels.kernel_unit import ClosedRow, KernelUnit, hardware_of, make_unit, unit_kind

from exaq_hdl.kernels.exaq.exaq_unit import ExaqUnit  # isort: skip, registers itself

__all__ = ["ClosedRow", "ExaqUnit", "KernelUnit", "hardware_of", "make_unit", "unit_kind"]
