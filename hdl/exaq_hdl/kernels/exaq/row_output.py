"""What leaves the unit for each row."""

from amaranth.hdl import Module

from exaq import Exaq
from exaq_hdl.parts.component import Stream
from exaq_hdl.shell.streams import context_fields


def give_results(m: Module, kernel: Exaq, results: Stream, row: Stream) -> None:
    """Join ``results``, of row_table or summed_row, with the unit's stream ``row``."""
    found, given = results.payload, row.payload
    m.d.comb += [row.valid.eq(results.valid), results.ready.eq(row.ready)]
    for name in ("maximum", "sum", "error", *context_fields(kernel.format)):
        m.d.comb += given[name].eq(found[name])
    if kernel.format.row_results == "table":
        m.d.comb += given.probabilities.eq(found.table)
