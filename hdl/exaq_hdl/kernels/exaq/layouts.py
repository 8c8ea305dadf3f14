"""What moves between the blocks of EXAQ in one cycle."""

from typing import Any

from amaranth.hdl import ShapeLike, unsigned
from amaranth.lib import data

from exaq import Exaq
from exaq_hdl.kernels.division.division import Division
from exaq_hdl.kernels.exaq.tables.words import row_context, row_origin, row_sink, row_tables
from exaq_hdl.shell.streams import row_flags, with_fields


def lane_codes(kernel: Exaq) -> data.ArrayLayout:
    """A code for each lane."""
    return data.ArrayLayout(unsigned(kernel.bits), kernel.format.lanes)


def code_beat(kernel: Exaq) -> data.StructLayout:
    """Beat behind the quantizer: codes, 0 in lanes that are not live, the row's tables, what its
    results need, and the code of its sink.
    """
    rows = row_tables(kernel) | row_origin(kernel) | row_sink(kernel)
    return data.StructLayout({"codes": lane_codes(kernel)} | row_flags(kernel.format) | rows)


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


def row_summary(kernel: Exaq) -> dict[str, Any]:
    """What goes with a row's p-table: the row_context and, with row results, these but the table:
    row_reports and ``sum``, the row's sum.
    """
    reports = row_reports(kernel)
    return row_context(kernel) | (reports | {"sum": kernel.sum_bits} if reports else {})


def table_word(kernel: Exaq) -> data.StructLayout:
    """The probability of a level in a row; the row_summary comes with level 0."""
    word = {"level": kernel.bits, "probability": kernel.format.prob_bits}
    return data.StructLayout(word | row_summary(kernel))


def division_of(kernel: Exaq) -> Division:
    """What a unit that gives probabilities divides: the exponentials of its levels."""
    return Division(
        bits=kernel.bits,
        quotient_bits=kernel.format.prob_bits,
        exp_bits=kernel.exp_bits,
        sum_bits=kernel.sum_bits,
        full_rate_beats=kernel.format.full_rate_beats,
        row=row_tables(kernel) | row_reports(kernel),
        summary=row_summary(kernel),
    )


def row_report(kernel: Exaq) -> data.StructLayout:
    """The row_summary of a unit with row results and, where these have tables, ``table``: the
    2**bits probabilities that a row can have, by code.
    """
    table = data.ArrayLayout(unsigned(kernel.format.prob_bits), kernel.levels)
    tables = {"table": table} if kernel.format.row_results == "table" else {}
    return data.StructLayout(row_summary(kernel) | tables)
