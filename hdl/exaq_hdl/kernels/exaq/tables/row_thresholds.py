"""The logits from which on a row's elements have each code."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.parts.memory import Ram
from exaq_hdl.shell.beats import of_row, row_tables, threshold_word


def reached_layout(config: SoftmaxConfig) -> data.ArrayLayout:
    """Smallest logits, in offset binary, that reach each threshold of a row."""
    return data.ArrayLayout(unsigned(config.logit_width), config.levels - 1)


# Cycles from a threshold's address to its sum: the RAM's, and one to add.
_LOOKUP = Ram.latency + 1


class RowThresholds(wiring.Component):
    """Adds a row's maximum to the thresholds of its bank, one after the other: T_k = max + t_k.

    A sum below the lowest logit becomes that one. Latency ``latency`` cycles; throughput a row
    in ``period`` cycles, while the row before is quantized. Back-pressure on ``o`` holds its
    payload.

    Members
    -------
    i : stream of a row's maximum, in offset binary, with its row_tables; one item a row
    store : stream of threshold_word, always ready; into banks that no row uses
    o : stream of reached_layout with the row_tables; one item a row
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config, contexts=True)
        self.period = self.latency = config.levels + _LOOKUP
        super().__init__(
            {
                "i": In(stream.Signature(of_row(config, "maximum", config.logit_width))),
                "store": In(stream.Signature(threshold_word(config), always_ready=True)),
                "o": Out(stream.Signature(of_row(config, "reached", reached_layout(config)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        width = config.logit_width
        m.submodules.ram = ram = Ram(width=width + 1, depth=(config.contexts + 1) << config.bits)
        word = self.store.payload
        m.d.comb += [
            ram.write_enable.eq(self.store.valid),
            ram.write_address.eq(Cat(word.code, word.bank)),
            ram.write_data.eq(word.threshold),
            ram.output_enable.eq(1),
        ]

        # Codes 1 ... 2**bits - 1 are looked up; code 0 needs no threshold: there the turn ends.
        code = Signal(config.bits, init=1)
        read, arrived, complete, move = Signal(), Signal(), Signal(), Signal()
        looked_up = Signal(_LOOKUP)
        full = Signal()
        m.d.comb += [
            read.eq(self.i.valid & (code != 0)),
            arrived.eq(looked_up[-1]),
            complete.eq(arrived & (code == 0) & ~looked_up[:-1].any()),
            self.i.ready.eq(complete),
            ram.read_enable.eq(read),
            ram.read_address.eq(Cat(code, self.i.payload.bank)),
        ]
        m.d.sync += looked_up.eq(Cat(read, looked_up))
        with m.If(read):
            m.d.sync += code.eq(code + 1)

        total = Signal(signed(width + 2), reset_less=True)
        formed = Signal.like(self.o.payload, name="formed", reset_less=True)
        m.d.sync += total.eq(ram.read_data.as_signed() + self.i.payload.maximum)
        with m.If(arrived):
            reached = Value.cast(formed.reached)
            newest = Mux(total[-1], 0, total[:width])
            m.d.sync += reached.eq(Cat(reached[width:], newest))
            m.d.sync += [formed[name].eq(self.i.payload[name]) for name in row_tables(config)]

        # A register of its own keeps the way of `o.ready` short.
        out = Signal.like(self.o.payload, name="out", reset_less=True)
        m.d.comb += [
            self.o.payload.eq(out),
            move.eq(full & (~self.o.valid | self.o.ready)),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(complete):
            m.d.sync += full.eq(1)
        with m.If(move):
            m.d.sync += [self.o.valid.eq(1), out.eq(formed), full.eq(0), code.eq(1)]
        return m
