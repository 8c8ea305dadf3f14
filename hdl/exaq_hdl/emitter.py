"""Last block of the unit: gives each element its probability."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from exaq import SoftmaxConfig

from exaq_hdl.beats import code_beat, live_lanes, probability_beat, table_layout


def select(code, values):
    """values[code] by a tree of multiplexers, highest bit of the code at the root."""
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    return Mux(code[-1], select(code[:-1], values[middle:]), select(code[:-1], values[:middle]))


class Emitter(wiring.Component):
    """Replaces codes by the probabilities of their row's table, and lanes that are not live by 0.

    Latency 1 cycle from beat to beat and 2 from table to beat; throughput 1 beat per cycle,
    rows back to back where the next row's table is there in time. Back-pressure on ``o`` holds
    its payload, and stops ``i``.

    Members
    -------
    i : stream of code_beat
    table : stream of table_layout, one item a row
    o : stream of probability_beat
    """

    latency = 2

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(code_beat(config))),
                "table": In(stream.Signature(table_layout(config))),
                "o": Out(stream.Signature(probability_beat(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, beat = self.config, self.i.payload
        table = Signal(table_layout(config), reset_less=True)
        table_valid = Signal()
        take = Signal()
        out = Signal(probability_beat(config), reset_less=True)
        m.d.comb += [
            self.o.payload.eq(out),
            self.i.ready.eq(table_valid & (~self.o.valid | self.o.ready)),
            take.eq(self.i.valid & self.i.ready),
            self.table.ready.eq(~table_valid | (take & beat.last)),
        ]
        with m.If(self.table.ready):
            m.d.sync += [table_valid.eq(self.table.valid), table.eq(self.table.payload)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(take):
            m.d.sync += [
                self.o.valid.eq(1),
                out.tail.eq(beat.tail),
                out.last.eq(beat.last),
                out.error.eq(beat.error),
            ]

        # The zero is a synchronous reset of the register, which outranks its enable.
        live = live_lanes(config, beat)
        values = [table[k] for k in range(config.levels)]
        for lane in range(config.lanes):
            with m.If(take & ~live[lane]):
                m.d.sync += out.probabilities[lane].eq(0)
            with m.Elif(take):
                m.d.sync += out.probabilities[lane].eq(select(beat.codes[lane], values))
        return m
