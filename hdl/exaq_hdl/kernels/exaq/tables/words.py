"""What moves on the way of tables: checked words of a load, entries for the banks, a row's bank."""

from typing import Any

from amaranth.hdl import signed
from amaranth.lib import data

from exaq import Exaq
from exaq.float_format import THRESHOLD_WIDTH
from exaq_hdl.shell.streams import context_fields


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


def checked_word(kernel: Exaq) -> data.StructLayout:
    """A LOAD_WORD cut to what a legal one needs; ``fits`` where nothing was cut off."""
    width = max(threshold_width(kernel) - 1, kernel.exp_bits, kernel.format.context_bits) + 1
    return data.StructLayout({"first": 1, "fits": 1, "word": signed(width)})


def threshold_width(kernel: Exaq) -> int:
    """Bits of a threshold, a signed integer."""
    return THRESHOLD_WIDTH if kernel.format.float_format else kernel.format.logit_width + 1


def threshold_word(kernel: Exaq) -> data.StructLayout:
    """A threshold on its way into a bank: the one that codes from ``code`` on reach."""
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
