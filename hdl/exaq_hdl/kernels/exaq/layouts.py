"""What moves between the blocks of EXAQ in one cycle."""

from amaranth.hdl import ShapeLike, unsigned
from amaranth.lib import data

from exaq import Exaq
from exaq_hdl.kernels.exaq.tables.words import row_context, row_tables
from exaq_hdl.shell.streams import row_flags, with_fields


def lane_codes(kernel: Exaq) -> data.ArrayLayout:
    """A code for each lane."""
    return data.ArrayLayout(unsigned(kernel.bits), kernel.format.lanes)


def code_beat(kernel: Exaq) -> data.StructLayout:
    """Beat behind the quantizer: codes, 0 in lanes that are not live, and the row's tables."""
    return data.StructLayout(
        {"codes": lane_codes(kernel)} | row_flags(kernel.format) | row_tables(kernel)
    )


def row_complement(kernel: Exaq) -> ShapeLike:
    """``complement``, ~S of a row's sum S, with the row_tables; see ``with_fields``."""
    return with_fields("complement", kernel.sum_bits, row_tables(kernel))


def table_word(kernel: Exaq) -> data.StructLayout:
    """The probability of a level in a row; the row_context comes with level 0, else it is 0."""
    word = {"level": kernel.bits, "probability": kernel.format.prob_bits}
    return data.StructLayout(word | row_context(kernel))
