"""What moves between the blocks of Softermax in one cycle, beside what ``online_layouts`` has.

The unit counts ``early``: what t is below its ceiling are then its inverted low bits.
"""

from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import data

from exaq import Softermax
from exaq_hdl.checks import check_kernel
from exaq_hdl.kernels.online.online_layouts import reference_fields, reference_shape
from exaq_hdl.kernels.weighted.reciprocal import reciprocal_fields
from exaq_hdl.shell.streams import row_flags

EARLY = True


def check_softermax(kernel: Any) -> Softermax:
    """``kernel``, which must be parameters of Softermax; as ``check_kernel``."""
    return check_kernel(kernel, Softermax, "exaq.Softermax")


def _exponentials(kernel: Softermax) -> dict[str, Any]:
    return {"exponentials": data.ArrayLayout(unsigned(kernel.exp_bits), kernel.format.lanes)}


def exponential_beat(kernel: Softermax) -> data.StructLayout:
    """A beat of ``exponentials``, 0 in lanes that are not live, with its ``reference_fields``."""
    flags = row_flags(kernel.format)
    flags.pop("live", None)
    return data.StructLayout(_exponentials(kernel) | flags | reference_fields(kernel, EARLY))


def stored_beat(kernel: Softermax) -> data.StructLayout:
    """A beat of exponentials that waits for its row's sum: tail, last and error with it."""
    reference = {"reference": reference_shape(kernel, EARLY)}
    flags = {"tail": kernel.format.lanes, "last": 1, "error": 1}
    return data.StructLayout(_exponentials(kernel) | reference | flags)


def row_item(kernel: Softermax) -> data.StructLayout:
    """What is made of a row's sum: the ``mantissa`` of its reciprocal, and ``place``, by how many
    octaves that is to be shifted down for an exponential with reference 0.
    """
    fields = reciprocal_fields(kernel.sum_bits, kernel.reciprocal_bits, kernel.least_sum)
    most = kernel.sum_bits - kernel.exp_bits + reference_shape(kernel, EARLY)[-1]
    return data.StructLayout({"mantissa": fields["mantissa"], "place": range(most + 1)})
