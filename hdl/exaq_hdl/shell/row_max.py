"""The maximum of a row."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import StreamFormat
from exaq.scalars import integer
from exaq_hdl.checks import check_format
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.fifo import FallThroughFifo, Fifo
from exaq_hdl.shell.streams import row_beat


class RowMax(Component):
    """Largest logit of each row, in offset binary.

    A registered tree over the lanes, then one running register. Latency ceil(log2(lanes))
    cycles, but at least ``head_start``, from a row's last beat to its maximum; throughput 1 beat
    per cycle, rows back to back.
    A row without a live element gives the lowest logit, which is what its lanes hold, or ``least``.

    Parameters
    ----------
    format
        The stream format.
    least
        What every maximum is at least, in offset binary: a sink that all rows share. The running
        register starts from it.
    head_start
        Cycles that a beat's way through the row buffer takes longer than a maximum's through its
        queue. With no maximum earlier than that, the unit's latency is the same for every row.

    Members
    -------
    i : stream of row_beat, always ready
    o : stream of logit_width bits, always ready; one item a row
    """

    def __init__(
        self,
        format: StreamFormat,
        *,
        least: int = 0,
        head_start: int = Fifo.latency - FallThroughFifo.latency,
    ):
        self.format = check_format(format)
        self.least = integer("least", least, 0, 2**format.logit_width - 1)
        self.latency = max((format.lanes - 1).bit_length(), head_start)
        super().__init__(
            {
                "i": In(stream.Signature(row_beat(format), always_ready=True)),
                "o": Out(stream.Signature(format.logit_width, always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width = self.format.logit_width

        def larger(a: Value, b: Value) -> Value:
            return Mux(a < b, b, a)

        def delay(signal: Value, name: str) -> Signal:
            register = Signal.like(signal, name=name, reset_less=True)
            m.d.sync += register.eq(signal)
            return register

        values = [self.i.payload.logits[lane] for lane in range(self.format.lanes)]
        valid, last = self.i.valid, self.i.payload.last
        for level in range(self.latency):
            pairs = [values[k : k + 2] for k in range(0, len(values), 2)]
            values = []
            for k, pair in enumerate(pairs):
                node = Signal(width, name=f"level{level}_max{k}", reset_less=True)
                m.d.sync += node.eq(larger(*pair) if len(pair) == 2 else pair[0])
                values.append(node)
            stage_valid = Signal(name=f"level{level}_valid")
            m.d.sync += stage_valid.eq(valid)
            valid, last = stage_valid, delay(last, f"level{level}_last")

        running = Signal(width, init=self.least)
        m.d.comb += [self.o.payload.eq(larger(running, values[0])), self.o.valid.eq(valid & last)]
        with m.If(valid & last):
            m.d.sync += running.eq(self.least)
        with m.Elif(valid):
            m.d.sync += running.eq(self.o.payload)
        return m
