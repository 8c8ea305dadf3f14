"""The sum of a row's weights."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq_hdl.kernels.weighted.datapath import Datapath, check_datapath
from exaq_hdl.kernels.weighted.weighted_layouts import weight_beat
from exaq_hdl.parts.arithmetic import tree_depth
from exaq_hdl.parts.component import Component


class WeightSum(Component):
    """Adds up the weights of each row.

    A registered tree of adders over the lanes, then one running register. Latency ``latency``
    cycles from a row's last beat to its sum; throughput 1 beat per cycle, rows back to back. Exact:
    nothing rounds or overflows up to ``max_row`` elements. The sum of a row without a live element
    is 0, and no other row's is.

    Parameters
    ----------
    datapath
        What the kernel's lanes compute.

    Members
    -------
    i : stream of weight_beat, in, always ready
    o : stream of sum_bits bits, out, always ready; one item a row
    """

    def __init__(self, datapath: Datapath):
        self.kernel = kernel = check_datapath(datapath).kernel
        self.latency = tree_depth(kernel.format.lanes) + 1
        super().__init__(
            {
                "i": In(stream.Signature(weight_beat(kernel), always_ready=True)),
                "o": Out(stream.Signature(kernel.sum_bits, always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()

        def register(value: Value, name: str) -> Signal:
            result = Signal.like(value, name=name, reset_less=True)
            m.d.sync += result.eq(value)
            return result

        values: Sequence[Value] = list(self.i.payload.weights)
        valid, last = self.i.valid, self.i.payload.last
        for level in range(self.latency - 1):
            pairs = [values[k : k + 2] for k in range(0, len(values), 2)]
            values = [
                register(sum(pair[1:], pair[0]), f"level{level}_{k}")
                for k, pair in enumerate(pairs)
            ]
            stage = Signal(name=f"level{level}_valid")
            m.d.sync += stage.eq(valid)
            valid, last = stage, register(last, f"level{level}_last")

        running = Signal(self.kernel.sum_bits)
        summed = Signal(self.kernel.sum_bits)
        total = Signal(self.kernel.sum_bits, reset_less=True)
        m.d.comb += [summed.eq(running + values[0]), self.o.payload.eq(total)]
        m.d.sync += [total.eq(summed), self.o.valid.eq(valid & last)]
        with m.If(valid & last):
            m.d.sync += running.eq(0)
        with m.Elif(valid):
            m.d.sync += running.eq(summed)
        return m
