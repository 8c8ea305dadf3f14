"""Last block of the unit: gives each element its probability."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.shell.beats import choice_beat, item, probability_beat, table_layout


def choose(code, live) -> dict:
    """Fields of the choice_layout for ``code``, which is 0 where ``live`` is."""
    fields = {"low": code[0], "above": code[1] | ~live, "high": code[1]}
    return fields | ({"upper": code[2:]} if len(code) > 2 else {})


def select(choice, values):
    """The value that ``choice`` stands for, or 0.

    Four values and zero take two 4-input lookup tables a bit, the first of which passes the
    low bit on to the second; a multiplexer of four by itself would be mapped to three.
    """
    fours: list[Value] = []
    for k in range(0, len(values), 4):
        bits = []
        for a, b, c, d in zip(*values[k : k + 4], strict=True):
            first = Mux(choice.above, choice.low, Mux(choice.low, b, a))
            bits.append(Mux(choice.high, Mux(first, d, c), first))
        fours.append(Cat(bits))
    for k in range(len(values).bit_length() - 3):
        upper = choice.upper[k]
        fours = [Mux(upper, b, a) for a, b in zip(fours[::2], fours[1::2], strict=True)]
    return fours[0]


class Emitter(wiring.Component):
    """Gives the probabilities of the row's table that the lanes' choices stand for.

    Latency 1 cycle from beat to beat and 2 from table to beat; throughput 1 beat per cycle,
    rows back to back where the next row's table is there in time. Back-pressure on ``o`` holds
    its payload, and stops ``i``.

    Members
    -------
    i : stream of choice_beat
    table : stream of table_layout, one item a row
    o : stream of probability_beat
    """

    latency = 2

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        super().__init__(
            {
                "i": In(stream.Signature(choice_beat(config))),
                "table": In(stream.Signature(table_layout(config))),
                "o": Out(stream.Signature(probability_beat(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, beat = self.config, self.i.payload
        row = Signal(table_layout(config), name="table", reset_less=True)
        table = item(row, "table")
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
            m.d.sync += [table_valid.eq(self.table.valid), row.eq(self.table.payload)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(take):
            m.d.sync += [
                self.o.valid.eq(1),
                out.tail.eq(beat.tail),
                out.last.eq(beat.last),
                out.error.eq(beat.error),
            ]
            if config.context_bits:
                m.d.sync += out.context.eq(row.context)
            values = [table[k] for k in range(config.levels)]
            for lane in range(config.lanes):
                m.d.sync += out.probabilities[lane].eq(select(beat.choices[lane], values))
        return m
