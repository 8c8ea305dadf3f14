"""What moves between the blocks of EXAQ in one cycle."""

from typing import Any

from amaranth.hdl import ShapeLike, unsigned
from amaranth.lib import data

from exaq import Exaq
from exaq_hdl.kernels.exaq.tables.words import row_context, row_origin, row_tables
from exaq_hdl.shell.streams import row_flags, with_fields


def code_beat(kernel: Exaq) -> data.StructLayout:
    """Beat behind the quantizer: codes, 0 in lanes that are not live, and the row's tables."""
    codes = data.ArrayLayout(unsigned(kernel.bits), kernel.format.lanes)
    flags = row_flags(kernel.format) | row_tables(kernel) | row_origin(kernel)
    return data.StructLayout({"codes": codes} | flags)


def divides(kernel: Exaq) -> bool:
    """Whether a unit divides: one that gives codes and sums alone does not."""
    return kernel.format.output == "probabilities" or kernel.format.row_results == "table"


def row_reports(kernel: Exaq) -> dict[str, Any]:
    """With row results: fields that a row's sum has beside its row_tables, to go with it."""
    origin = row_origin(kernel)
    return origin | {"error": 1} if origin else {}


def row_complement(kernel: Exaq) -> ShapeLike:
    """``complement``, ~S of a row's sum S, with the row_tables and row_reports; see
    ``with_fields``.
    """
    return with_fields("complement", kernel.sum_bits, row_tables(kernel) | row_reports(kernel))


def summed_row(kernel: Exaq) -> ShapeLike:
    """``sum``, S itself, otherwise as ``row_complement``."""
    return with_fields("sum", kernel.sum_bits, row_tables(kernel) | row_reports(kernel))


def row_table(kernel: Exaq) -> ShapeLike:
    """``table``, the 2**bits probabilities that a row can have, by code, with the row_context
    and, with row results, the row_reports and ``sum``, the row's sum.
    """
    table = data.ArrayLayout(unsigned(kernel.format.prob_bits), kernel.levels)
    reports = row_reports(kernel)
    results = reports | {"sum": kernel.sum_bits} if reports else {}
    return with_fields("table", table, row_context(kernel) | results)
