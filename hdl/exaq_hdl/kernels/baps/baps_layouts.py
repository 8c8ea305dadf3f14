"""What moves between the blocks of BAPS in one cycle.

Inside the unit t and the reference are unsigned: both are counted from ``lowest`` on, which is not
above the least t; and the reference, and how much it rises, in steps of ``reference_step`` octaves.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Value, signed, unsigned
from amaranth.lib import data

from exaq import Baps
from exaq.kernels.baps_golden import CODE_BITS, MANTISSA_BITS, QUOTIENT_SHIFT, STEP_BITS
from exaq_hdl.checks import check_kernel
from exaq_hdl.kernels.division.division import Division
from exaq_hdl.shell.streams import row_flags


def check_baps(kernel: Baps) -> Baps:
    """``kernel``, which must be parameters of BAPS; as ``check_kernel``."""
    return check_kernel(kernel, Baps, "exaq.Baps")


def lowest(kernel: Baps) -> int:
    """The octave that t and references are counted from: a multiple of ``reference_step``."""
    least = kernel.steps(kernel.format.logit_range[0])
    return least >> STEP_BITS + kernel.step_bits << kernel.step_bits


def highest_step(kernel: Baps) -> int:
    """The largest t that there is, counted from ``lowest``."""
    return kernel.steps(kernel.format.logit_range[1]) - (lowest(kernel) << STEP_BITS)


def reference_shape(kernel: Baps) -> range:
    """Values of a reference, counted from ``lowest``."""
    least, most = (
        reference - lowest(kernel) >> kernel.step_bits for reference in kernel.reference_range
    )
    return range(least, most + 1)


def octaves_of(kernel: Baps, reference: Value) -> Value:
    """A reference as it leaves the unit."""
    return Cat(Const(0, kernel.step_bits), reference) + lowest(kernel)


def octave_beat(kernel: Baps) -> data.StructLayout:
    """A beat of logits as binary logarithms ``t`` in steps of 1/16; the least in dead lanes."""
    steps = data.ArrayLayout(unsigned(highest_step(kernel).bit_length()), kernel.format.lanes)
    return data.StructLayout({"t": steps} | row_flags(kernel.format))


def _referred(kernel: Baps) -> dict[str, Any]:
    shape = reference_shape(kernel)
    return {"reference": shape, "rise": range(len(shape))}


def referred_beat(kernel: Baps) -> data.StructLayout:
    """The same with its ``reference``, and by how many octaves that ``rise``s with the beat; where
    a row begins, by any number.
    """
    beat = octave_beat(kernel)
    return data.StructLayout({name: beat[name].shape for name, _ in beat} | _referred(kernel))


def coded_beat(kernel: Baps) -> data.StructLayout:
    """Codes of ``e5m3``, 0 in lanes that are not live, with what ``referred_beat`` has besides."""
    codes = data.ArrayLayout(unsigned(CODE_BITS), kernel.format.lanes)
    return data.StructLayout({"codes": codes} | row_flags(kernel.format) | _referred(kernel))


def stored_beat(kernel: Baps) -> data.StructLayout:
    """A beat of codes that waits for its row's sum: tail, last and error with it."""
    codes = data.ArrayLayout(unsigned(CODE_BITS), kernel.format.lanes)
    flags = {"tail": kernel.format.lanes, "last": 1, "error": 1}
    return data.StructLayout({"codes": codes, "reference": reference_shape(kernel)} | flags)


def division_of(kernel: Baps) -> Division:
    """What a unit of linear probabilities divides: mantissas."""
    reference = {"reference": reference_shape(kernel)}
    return Division(
        bits=MANTISSA_BITS,
        quotient_bits=kernel.quotient_bits,
        exp_bits=MANTISSA_BITS + 1 + QUOTIENT_SHIFT,
        sum_bits=kernel.sum_bits,
        full_rate_beats=kernel.format.full_rate_beats,
        row=reference,
        summary=reference,
    )


def table_word(kernel: Baps) -> data.StructLayout:
    """What a mantissa, ``level``, is in a row: a quotient, or of floating-point probabilities a
    word as ``baps_golden.float_words`` has it, with the sum's ``place``. The row's last
    ``reference``, and the place, come with level 0.
    """
    if kernel.probability_format == "linear":
        return division_of(kernel).word
    fields = {"level": MANTISSA_BITS, "probability": MANTISSA_BITS + 1}
    place = {"place": range(kernel.sum_bits)}
    return data.StructLayout(fields | {"reference": reference_shape(kernel)} | place)


def summed_row(kernel: Baps) -> data.StructLayout:
    """A row's sum, relative to its last ``reference``, and whether it was in error."""
    reference = {"reference": reference_shape(kernel)}
    return data.StructLayout({"sum": kernel.sum_bits} | reference | {"error": 1})


def result_row(kernel: Baps) -> data.StructLayout:
    """The same as it leaves the unit: the reference signed and in octaves."""
    reference = {"reference": signed(kernel.reference_bits)}
    return data.StructLayout({"sum": kernel.sum_bits} | reference | {"error": 1})
