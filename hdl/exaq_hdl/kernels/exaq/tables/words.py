"""What moves on the way of tables: checked words of a load, entries for the banks, a row's bank."""

from typing import Any

from amaranth.hdl import Mux, Shape, Value, signed, unsigned
from amaranth.lib import data

from exaq import Exaq
from exaq.float_format import THRESHOLD_WIDTH
from exaq_hdl.shell.streams import context_fields, offset_binary


def row_tables(kernel: Exaq) -> dict[str, Any]:
    """Fields that say, where there are contexts, which tables a row goes by.

    ``bank`` is the place of the tables, ``context`` the row's number for them.
    """
    bank = {"bank": kernel.bank_bits} if kernel.format.contexts else {}
    return bank | row_context(kernel)


def row_context(kernel: Exaq) -> dict[str, Any]:
    """The part of ``row_tables`` that goes with the row to its end."""
    return {name: field.shape for name, field in context_fields(kernel.format).items()}


def row_origin(kernel: Exaq) -> dict[str, Any]:
    """With row results: fields that go with a row from its maximum on, for these alone.

    ``maximum`` is that of the row, as logits go in and out.
    """
    has_results = kernel.format.row_results != "none"
    return {"maximum": kernel.format.logit_width} if has_results else {}


def row_sink(kernel: Exaq) -> dict[str, Any]:
    """Field with the code of the row's sink, where rows have any."""
    return {"sink": kernel.bits} if kernel.sinks else {}


def constant_sink(kernel: Exaq) -> int:
    """The sink that all rows of a unit without contexts share, in offset binary."""
    return offset_binary(kernel.format, kernel.format.sink_key(kernel.sinks[0]))


def last_of_load(kernel: Exaq, place: Value) -> Value:
    """Whether the word of a load that has the number ``place``, from 0, is its last."""
    return place[-1] if kernel.sinks else place.all()


def place_in_load(kernel: Exaq) -> Shape:
    """Shape of a number of a word of a load."""
    return unsigned((kernel.load_length - 1).bit_length())


def place_after(kernel: Exaq, place: Value) -> Value:
    """The number of the word that follows that of ``place``, maybe of another load."""
    return Mux(last_of_load(kernel, place), 0, place + 1) if kernel.sinks else place + 1


def checked_word(kernel: Exaq) -> data.StructLayout:
    """A LOAD_WORD cut to what a legal one needs; ``fits`` where nothing was cut off."""
    width = max(threshold_width(kernel) - 1, kernel.exp_bits, kernel.format.context_bits) + 1
    return data.StructLayout({"first": 1, "fits": 1, "word": signed(width)})


def threshold_width(kernel: Exaq) -> int:
    """Bits of a threshold, a signed integer."""
    return THRESHOLD_WIDTH if kernel.format.float_format else kernel.format.logit_width + 1


def threshold_word(kernel: Exaq) -> data.StructLayout:
    """A threshold on its way into a bank: the one that codes from ``code`` on reach.

    Code 0 reaches none: in its place is the sink, where rows have any.
    """
    threshold = signed(threshold_width(kernel))
    return data.StructLayout(
        {"bank": kernel.bank_bits, "code": kernel.bits, "threshold": threshold}
    )


def exponential_word(kernel: Exaq) -> data.StructLayout:
    """The exponential of a code on its way into a bank."""
    return data.StructLayout(
        {"bank": kernel.bank_bits, "code": kernel.bits, "exponential": kernel.exp_bits}
    )


def sum_word(kernel: Exaq) -> data.StructLayout:
    """An entry of LUT_sum on its way into a bank."""
    codes = kernel.bits * kernel.group
    return data.StructLayout(
        {"bank": kernel.bank_bits, "codes": codes, "total": kernel.group_sum_bits}
    )


def excess_word(kernel: Exaq) -> data.StructLayout:
    """``lanes`` times E_0 on its way into a bank: what so many idle lanes add to LUT_sum."""
    lanes = kernel.format.lanes
    return data.StructLayout(
        {
            "bank": kernel.bank_bits,
            "lanes": range(lanes + 1),
            "excess": kernel.exp_bits + (lanes - 1).bit_length(),
        }
    )
