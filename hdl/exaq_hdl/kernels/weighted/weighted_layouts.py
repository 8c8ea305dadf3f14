"""What moves between the blocks of a kernel of two passes in one cycle."""

from amaranth.hdl import unsigned
from amaranth.lib import data

from exaq.kernels.weighted import Weighted
from exaq_hdl.shell.streams import row_flags


def row_item(kernel: Weighted) -> data.StructLayout:
    """What the finisher makes of a row's sum: the kernel's ``row_fields``."""
    return data.StructLayout(dict(kernel.row_fields))


def stored_beat(kernel: Weighted) -> data.StructLayout:
    """Beat that waits for its row's item: ``stored``, a word a lane, with the ``row_flags``.

    Where the kernel has a word that stands for zero, lanes that are not live have it, and there is
    no ``live``.
    """
    words = data.ArrayLayout(unsigned(kernel.stored_bits), kernel.format.lanes)
    flags = row_flags(kernel.format)
    if kernel.zero is not None:
        flags.pop("live", None)
    return data.StructLayout({"stored": words} | flags)


def weight_beat(kernel: Weighted) -> data.StructLayout:
    """Beat that is summed: ``weights``, one a lane, 0 in lanes that are not live; ``last``."""
    weights = data.ArrayLayout(unsigned(kernel.weight_bits), kernel.format.lanes)
    return data.StructLayout({"weights": weights, "last": 1})
