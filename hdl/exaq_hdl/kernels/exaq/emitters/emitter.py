"""Last block of EXAQ: gives each element its probability, from its row's p-table."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.kernels.exaq.layouts import table_word
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.streams import probability_beat


class Emitter(Component):
    """Gives the probabilities that the lanes' codes have in the row's p-table, 0 in dead lanes.

    It keeps two p-tables: that of the row whose beats it takes, and the next row's, which comes
    meanwhile. Latency ``latency`` cycles from a table's last word to the row's first beat;
    throughput 1 beat per cycle, rows back to back where the next row's table is there in time.
    Back-pressure on ``o`` holds its payload, and stops ``i``.

    This is what all places of the p-table have in common; ``emitter_of`` chooses one.

    Parameters
    ----------
    kernel
        EXAQ's parameters.
    element
        Layout of a lane's element, in the coding that the place wants.

    Members
    -------
    i : stream of ``elements``, one a lane, with tail, last and error, in
    table : stream of table_word, in; a row's levels in their order
    o : stream of probability_beat, out
    """

    latency: int

    def __init__(self, kernel: Exaq, element: data.StructLayout):
        self.kernel = check_exaq(kernel)
        lanes = kernel.format.lanes
        elements = {"elements": data.ArrayLayout(element, lanes)}
        beat = data.StructLayout(elements | {"tail": lanes, "last": 1, "error": 1})
        super().__init__(
            {
                "i": In(stream.Signature(beat)),
                "table": In(stream.Signature(table_word(kernel))),
                "o": Out(stream.Signature(probability_beat(kernel.format))),
            }
        )

    def coded(self, code: Value, live: Value) -> Mapping[str, Any]:
        """Fields of the element whose code is ``code``, 0 where it is not ``live``."""
        raise NotImplementedError


def emitter_of(kernel: Exaq, memories: Memories) -> Emitter:
    """The emitter with its p-tables where ``kernel.p_table_place`` says; in a design for a chip,
    where a memory of so few words is flops anyway, in registers.
    """
    # Here, so that a place need not know the others.
    from exaq_hdl.kernels.exaq.emitters.block_emitter import BlockEmitter
    from exaq_hdl.kernels.exaq.emitters.distributed_emitter import DistributedEmitter
    from exaq_hdl.kernels.exaq.emitters.register_emitter import RegisterEmitter

    if kernel.p_table_place == "registers" or memories.chip:
        return RegisterEmitter(kernel)
    if kernel.p_table_place == "distributed":
        return DistributedEmitter(kernel, memories=memories)
    return BlockEmitter(kernel, memories=memories)
