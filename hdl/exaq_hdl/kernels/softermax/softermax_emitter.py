"""Last block of Softermax: products of exponentials and the reciprocal of their row's sum."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Softermax
from exaq_hdl.kernels.softermax.softermax_layouts import check_softermax, exponential_beat, row_item
from exaq_hdl.parts.arithmetic import half_up
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.item_ahead import ItemAhead
from exaq_hdl.parts.pipeline import Pipeline
from exaq_hdl.shell.streams import probability_beat

# Bits of a shift that its last register makes.
_FINE = 2


class SoftermaxEmitter(Component):
    """Gives each exponential its probability: a product, rounded half up and saturated.

    The reciprocal is first shifted down by its exponent and by how much the row's reference has
    risen since the beat, once for all lanes, and rounded down: it has two bits more than
    probabilities, so what is lost of it is less than half a step of them. Latency ``latency``
    cycles from an item offered to the row's first beat, ``beat_latency`` from beat to beat;
    throughput 1 beat per cycle, rows of two beats and more back to back where the next row's item
    is there in time. Back-pressure on ``o`` holds its payload, and stops ``i``.

    Parameters
    ----------
    kernel
        Parameters of Softermax.

    Members
    -------
    i : stream of exponential_beat, in; taken once its row's item was
    row : stream of row_item, in; one item a row
    o : stream of probability_beat, out
    """

    beat_latency = 5
    latency = 2 + beat_latency

    def __init__(self, kernel: Softermax):
        self.kernel = check_softermax(kernel)
        super().__init__(
            {
                "i": In(stream.Signature(exponential_beat(kernel))),
                "row": In(stream.Signature(row_item(kernel))),
                "o": Out(stream.Signature(probability_beat(kernel.format))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, beat, out = self.kernel, self.i.payload, self.o.payload
        ahead = ItemAhead(m, self.row, row_item(kernel), "row_now")
        row, readable = ahead.now, ahead.readable

        end = self.beat_latency
        pipeline = Pipeline(m, end, self.i.valid & readable, ~self.o.ready, closes_up=False)
        take = Signal()
        m.d.comb += [
            self.i.ready.eq(readable & pipeline.moves[0]),
            take.eq(self.i.valid & self.i.ready),
            self.o.valid.eq(pipeline.held[end]),
        ]
        ahead.move(take & beat.last)
        for name in ("tail", "last", "error"):
            m.d.comb += out[name].eq(pipeline.carry(0, beat[name], name, end))

        mantissa = pipeline.step(0, row.mantissa, "mantissa")
        # Not negative: a row's last reference is its highest.
        places = pipeline.step(0, (row.place - beat.reference)[: len(row.place)], "places")
        near = (len(mantissa) - 1).bit_length()
        coarse = mantissa >> Cat(Const(0, _FINE), places[_FINE:near])
        coarse = pipeline.step(1, Mux(places[near:].any(), 0, coarse), "coarse")
        fine = pipeline.step(1, places[:_FINE], "fine")
        factor = pipeline.step(2, coarse >> fine, "factor")
        for lane in range(kernel.format.lanes):
            name = f"lane{lane}"
            exponential = pipeline.carry(0, beat.exponentials[lane], f"{name}_exponential", 3)
            product = pipeline.step(3, exponential * factor, f"{name}_product")
            given = half_up(product[kernel.exp_bits :], kernel.format.prob_bits)
            m.d.comb += out.probabilities[lane].eq(pipeline.step(4, given, f"{name}_probability"))
        return m
