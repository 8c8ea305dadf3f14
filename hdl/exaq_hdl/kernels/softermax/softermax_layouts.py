"""What moves between the blocks of Softermax in one cycle, beside what ``online_layouts`` has.

The unit counts ``early``: what t is below its ceiling are then its inverted low bits. It counts
from a multiple of four octaves, so that the high bits of a reference are the sum's.
"""

from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import data

from exaq import Softermax
from exaq.kernels.softermax import SUM_STEP_BITS
from exaq_hdl.checks import check_kernel
from exaq_hdl.kernels.online.online_layouts import reference_shape
from exaq_hdl.kernels.weighted.reciprocal import reciprocal_fields

EARLY = True


def check_softermax(kernel: Any) -> Softermax:
    """``kernel``, which must be parameters of Softermax; as ``check_kernel``."""
    return check_kernel(kernel, Softermax, "exaq.Softermax")


def exponential_beat(kernel: Softermax) -> data.StructLayout:
    """A beat of ``exponentials``, 0 in lanes that are not live, relative to its ``reference``."""
    exponentials = data.ArrayLayout(unsigned(kernel.exp_bits), kernel.format.lanes)
    reference = {"reference": reference_shape(kernel, EARLY)}
    flags = {"tail": kernel.format.lanes, "last": 1, "error": 1}
    return data.StructLayout({"exponentials": exponentials} | reference | flags)


def sum_references(kernel: Softermax) -> range:
    """Values of a sum's reference: the high bits of a beat's."""
    return range((reference_shape(kernel, EARLY)[-1] >> SUM_STEP_BITS) + 1)


def summed_row(kernel: Softermax) -> data.StructLayout:
    """A row's sum, relative to its last ``reference``, in steps of four octaves."""
    return data.StructLayout({"sum": kernel.sum_bits, "reference": sum_references(kernel)})


def row_item(kernel: Softermax) -> data.StructLayout:
    """What is made of a row's sum: the ``mantissa`` of its reciprocal, and ``place``, by how many
    octaves that is to be shifted down for an exponential with reference 0.
    """
    fields = reciprocal_fields(kernel.sum_bits, kernel.reciprocal_bits, kernel.least_sum)
    most = kernel.sum_bits - kernel.exp_bits + (sum_references(kernel)[-1] << SUM_STEP_BITS)
    return data.StructLayout({"mantissa": fields["mantissa"], "place": range(most + 1)})
