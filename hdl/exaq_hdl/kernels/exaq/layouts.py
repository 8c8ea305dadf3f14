"""What moves between the blocks of EXAQ in one cycle."""

from amaranth.hdl import ShapeLike, unsigned
from amaranth.lib import data

from exaq import Exaq
from exaq_hdl.kernels.exaq.tables.words import row_context, row_sink, row_tables
from exaq_hdl.shell.streams import row_flags, with_fields


def code_beat(kernel: Exaq) -> data.StructLayout:
    """Beat behind the quantizer: codes, 0 in lanes that are not live, the row's tables, and the
    code of its sink.
    """
    codes = data.ArrayLayout(unsigned(kernel.bits), kernel.format.lanes)
    rows = row_tables(kernel) | row_sink(kernel)
    return data.StructLayout({"codes": codes} | row_flags(kernel.format) | rows)


def row_complement(kernel: Exaq) -> ShapeLike:
    """``complement``, ~S of a row's sum S, with the row_tables; see ``with_fields``."""
    return with_fields("complement", kernel.sum_bits, row_tables(kernel))


def row_table(kernel: Exaq) -> ShapeLike:
    """``table``, the 2**bits probabilities that a row can have, by code, with the row_context."""
    table = data.ArrayLayout(unsigned(kernel.format.prob_bits), kernel.levels)
    return with_fields("table", table, row_context(kernel))
