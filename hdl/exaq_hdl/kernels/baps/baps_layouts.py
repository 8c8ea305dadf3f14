"""What moves between the blocks of BAPS in one cycle, beside what ``online_layouts`` has."""

from amaranth.hdl import Cat, Const, Value, signed, unsigned
from amaranth.lib import data

from exaq import Baps
from exaq.kernels.baps_golden import CODE_BITS, MANTISSA_BITS, QUOTIENT_SHIFT
from exaq_hdl.checks import check_kernel
from exaq_hdl.kernels.division.division import Division
from exaq_hdl.kernels.online.online_layouts import lowest, reference_fields, reference_shape
from exaq_hdl.shell.streams import row_flags


def check_baps(kernel: Baps) -> Baps:
    """``kernel``, which must be parameters of BAPS; as ``check_kernel``."""
    return check_kernel(kernel, Baps, "exaq.Baps")


def octaves_of(kernel: Baps, reference: Value) -> Value:
    """A reference as it leaves the unit."""
    return Cat(Const(0, kernel.step_bits), reference) + lowest(kernel)


def coded_beat(kernel: Baps) -> data.StructLayout:
    """Codes of ``e5m3``, 0 in lanes that are not live, with what ``referred_beat`` has besides."""
    codes = data.ArrayLayout(unsigned(CODE_BITS), kernel.format.lanes)
    return data.StructLayout({"codes": codes} | row_flags(kernel.format) | reference_fields(kernel))


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


def result_row(kernel: Baps) -> data.StructLayout:
    """A row's sum as it leaves the unit: the reference signed and in octaves."""
    reference = {"reference": signed(kernel.reference_bits)}
    return data.StructLayout({"sum": kernel.sum_bits} | reference | {"error": 1})
