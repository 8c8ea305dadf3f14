"""What moves between the blocks of a kernel of one pass in one cycle, and how t is counted.

Inside the unit t and the reference are unsigned: both are counted from ``lowest`` on, which is not
above the least t; and the reference, and how much it rises, in steps of ``reference_step`` octaves.

A unit that counts ``early`` has t less by one step than it is. Its floor is then the ceiling of t,
less one step of references, and what t is below that ceiling are the inverted low bits: neither
needs an adder.
"""

from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import data

from exaq.kernels.online import Online
from exaq_hdl.checks import check_kernel
from exaq_hdl.shell.streams import row_flags


def check_online(kernel: Any) -> Any:
    """``kernel``, which must be parameters of an Online kernel; as ``check_kernel``."""
    return check_kernel(kernel, Online, "exaq.kernels.online.Online")  # type: ignore[type-abstract]


def lowest(kernel: Online, early: bool = False) -> int:
    """The octave that t and references are counted from, with ``aligned_bits``."""
    least = kernel.steps(kernel.format.logit_range[0]) - early
    return least >> kernel.step_frac + kernel.aligned_bits << kernel.aligned_bits


def first_step(kernel: Online, early: bool = False) -> int:
    """The t that is 0 inside."""
    return (lowest(kernel, early) << kernel.step_frac) + early


def highest_step(kernel: Online, early: bool = False) -> int:
    """The largest t that there is, as it is counted."""
    return kernel.steps(kernel.format.logit_range[1]) - first_step(kernel, early)


def reference_shape(kernel: Online, early: bool = False) -> range:
    """Values of a reference, as it is counted."""
    least, most = (
        (reference - lowest(kernel, early) >> kernel.step_bits) - early
        for reference in kernel.reference_range
    )
    return range(least, most + 1)


def octave_beat(kernel: Online, early: bool = False) -> data.StructLayout:
    """A beat of logits as binary logarithms ``t``; the least in dead lanes."""
    shape = unsigned(highest_step(kernel, early).bit_length())
    steps = data.ArrayLayout(shape, kernel.format.lanes)
    return data.StructLayout({"t": steps} | row_flags(kernel.format))


def reference_fields(kernel: Online, early: bool = False) -> dict[str, Any]:
    """The ``reference`` of a beat, and by how many steps it ``rise``s with the beat; where a row
    begins, by any number.
    """
    shape = reference_shape(kernel, early)
    return {"reference": shape, "rise": range(len(shape))}


def referred_beat(kernel: Online, early: bool = False) -> data.StructLayout:
    """A beat of ``t`` with its ``reference_fields``."""
    beat = octave_beat(kernel, early)
    fields = {name: beat[name].shape for name, _ in beat}
    return data.StructLayout(fields | reference_fields(kernel, early))


def summed_row(kernel: Any, early: bool = False) -> data.StructLayout:
    """A row's sum, relative to its last ``reference``, and whether it was in error."""
    reference = {"reference": reference_shape(kernel, early)}
    return data.StructLayout({"sum": kernel.sum_bits} | reference | {"error": 1})
