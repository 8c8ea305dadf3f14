"""Sum of a row's exponentials, relative to a reference that rises by fours."""

import operator
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Softermax
from exaq.kernels.softermax import SUM_STEP_BITS
from exaq_hdl.kernels.softermax.softermax_layouts import (
    check_softermax,
    exponential_beat,
    sum_references,
    summed_row,
)
from exaq_hdl.parts.arithmetic import registered_tree, tree_depth
from exaq_hdl.parts.assembly import late
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.lookup import lookup

# Octaves of a step of a sum's reference.
_STEP = 1 << SUM_STEP_BITS


class RowSum(Component):
    """Adds up exponentials, in units of their last place with the lowest reference in a step.

    What a beat adds is shifted up by where its reference is within the step of four octaves. Where
    a beat is in a higher step, the sum so far is shifted down by as many fours; what is shifted out
    is cut off. Nothing else rounds or overflows. Latency ``latency`` cycles from a row's last beat
    to its sum; throughput 1 beat per cycle, rows back to back.

    Parameters
    ----------
    kernel
        Parameters of Softermax.

    Members
    -------
    i : stream of exponential_beat, always ready
    o : stream of summed_row, always ready; one item a row
    """

    def __init__(self, kernel: Softermax):
        self.kernel = check_softermax(kernel)
        self.latency = tree_depth(kernel.format.lanes) + 2
        super().__init__(
            {
                "i": In(stream.Signature(exponential_beat(kernel), always_ready=True)),
                "o": Out(stream.Signature(summed_row(kernel), always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, beat = self.kernel, self.i.payload
        depth, width = tree_depth(kernel.format.lanes), kernel.sum_bits
        total = registered_tree(m, list(beat.exponentials), operator.add, "sum")
        valid = self.i.valid
        for level in range(depth):
            stage = Signal(name=f"level{level}_valid")
            m.d.sync += stage.eq(valid)
            valid = stage
        last = late(m, beat.last, depth, "last")
        reference = late(m, beat.reference, depth, "reference")
        within, step = reference[:SUM_STEP_BITS], reference[SUM_STEP_BITS:]

        # The sum so far, by how many steps its reference rises; nothing of it where a row begins.
        running = Signal(width, reset_less=True)
        rises = min(len(sum_references(kernel)), -(-width // _STEP))
        shifted = [running[_STEP * rise :] for rise in range(rises)]
        begins, before = Signal(init=1), Signal.like(step, name="before", reset_less=True)
        rise = Signal(range(rises + 1), reset_less=True)
        rose = (step - before)[: len(step)]
        with m.If(valid):
            m.d.sync += [begins.eq(last), before.eq(step)]
        m.d.sync += rise.eq(Mux(begins | (rose >= rises), rises, rose))

        addend = Signal(width, reset_less=True)
        adds, ends = Signal(), Signal(reset_less=True)
        given = Signal.like(step, name="given", reset_less=True)
        m.d.sync += [
            addend.eq(total << within),
            adds.eq(valid),
            ends.eq(last),
            self.o.valid.eq(adds & ends),
            given.eq(before),
        ]
        with m.If(adds):
            m.d.sync += running.eq(lookup(rise, [*shifted, Const(0, width)]) + addend)
        m.d.comb += [
            self.o.payload.sum.eq(running),
            self.o.payload.reference.eq(given),
        ]
        return m
