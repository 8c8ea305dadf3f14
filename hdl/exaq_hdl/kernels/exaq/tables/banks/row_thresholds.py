"""The logits from which on a row's elements have each code."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_loaded
from exaq_hdl.kernels.exaq.tables.words import (
    row_origin,
    row_sink,
    row_tables,
    threshold_word,
)
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories, Ram
from exaq_hdl.shell.streams import with_fields


def reached_layout(kernel: Exaq) -> data.ArrayLayout:
    """Smallest logits, in offset binary, that reach each threshold of a row."""
    return data.ArrayLayout(unsigned(kernel.format.logit_width), kernel.levels - 1)


# Cycles from a threshold's address to its sum: the RAM's, and one to add.
_LOOKUP = Ram.latency + 1


class RowThresholds(Component):
    """Adds a row's maximum to the thresholds of its bank, one after the other: T_k = max + t_k.

    A sum below the lowest logit becomes that one. With sinks that of the bank joins the maximum
    first, and its code is found on the way: the number of thresholds whose sums it reaches.
    Latency ``latency`` cycles; throughput a row in ``period`` cycles, while the row before is
    quantized. Back-pressure on ``o`` holds its payload.

    Members
    -------
    i : stream of a row's maximum, in offset binary, with its row_tables; one item a row
    store : stream of threshold_word, always ready; into banks that no row uses
    o : stream of reached_layout with the row_tables, the row_sink, and with row results the row's
        maximum, in offset binary; one item a row
    """

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self.kernel = check_loaded(kernel)
        self._memories = memories
        self.period = self.latency = self.latency_of(kernel)
        width, fields = kernel.format.logit_width, row_tables(kernel)
        self._fields = fields | row_origin(kernel)
        super().__init__(
            {
                "i": In(stream.Signature(with_fields("maximum", width, fields))),
                "store": In(stream.Signature(threshold_word(kernel), always_ready=True)),
                "o": Out(
                    stream.Signature(
                        with_fields(
                            "reached", reached_layout(kernel), self._fields | row_sink(kernel)
                        )
                    )
                ),
            }
        )

    @staticmethod
    def latency_of(kernel: Exaq) -> int:
        """``latency`` of a unit with ``kernel``."""
        return kernel.levels + _LOOKUP + bool(kernel.sinks)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel = self.kernel
        width = kernel.format.logit_width
        m.submodules.ram = ram = self._memories.ram(
            width=width + 1,
            depth=(kernel.format.contexts + 1) << kernel.bits,
            holds="thresholds of all contexts",
        )
        word = self.store.payload
        m.d.comb += [
            ram.write_enable.eq(self.store.valid),
            ram.write_address.eq(Cat(word.code, word.bank)),
            ram.write_data.eq(word.threshold),
            ram.output_enable.eq(1),
        ]

        # Codes 1 ... 2**bits - 1 are looked up; code 0 needs no threshold: there the turn ends, or,
        # with sinks, begins, since the sink is in its place.
        sinks = bool(kernel.sinks)
        code = Signal(kernel.bits + sinks, init=0 if sinks else 1)
        more, over = (~code[-1], code[-1]) if sinks else (code != 0, code == 0)
        read, arrived, complete, move = Signal(), Signal(), Signal(), Signal()
        looked_up = Signal(_LOOKUP)
        full = Signal()
        m.d.comb += [
            read.eq(self.i.valid & more),
            arrived.eq(looked_up[-1]),
            complete.eq(arrived & over & ~looked_up[:-1].any()),
            self.i.ready.eq(complete),
            ram.read_enable.eq(read),
            ram.read_address.eq(Cat(code[: kernel.bits], self.i.payload.bank)),
        ]
        m.d.sync += looked_up.eq(Cat(read, looked_up))
        with m.If(read):
            m.d.sync += code.eq(code + 1)

        total = Signal(signed(width + 2), reset_less=True)
        formed = Signal.like(self.o.payload, name="formed", reset_less=True)
        newest = Mux(total[-1], 0, total[:width])
        maximum = self.i.payload.maximum
        if sinks:
            maximum = self._join_sink(m, ram.read_data, looked_up, newest, formed.sink)
        m.d.sync += total.eq(ram.read_data.as_signed() + maximum)
        with m.If(arrived):
            reached = Value.cast(formed.reached)
            m.d.sync += reached.eq(Cat(reached[width:], newest))
            joined = {"maximum": maximum}
            m.d.sync += [
                formed[name].eq(joined.get(name, self.i.payload[name])) for name in self._fields
            ]

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
            m.d.sync += [self.o.valid.eq(1), out.eq(formed), full.eq(0), code.eq(code.init)]
        return m

    def _join_sink(
        self, m: Module, word: Value, looked_up: Signal, newest: Value, code: Value
    ) -> Signal:
        """The row's maximum with the sink, a cycle after that was the first ``word`` of the row's
        turn; and the sink's ``code``, one more with each ``newest`` sum that it reaches.
        """
        width = self.kernel.format.logit_width
        given, offset = self.i.payload.maximum, Cat(word[: width - 1], ~word[width - 1])
        sink = Signal(width, reset_less=True)
        maximum = Signal(width, reset_less=True)
        first, begins = Signal(), Signal()
        m.d.comb += first.eq(looked_up[-2] & ~looked_up[-1])
        m.d.sync += begins.eq(first)
        with m.If(first):
            m.d.sync += [sink.eq(offset), maximum.eq(Mux(given < offset, offset, given))]
        with m.If(begins):
            m.d.sync += code.eq(0)
        with m.Elif(looked_up[-1]):
            m.d.sync += code.eq(code + (sink >= newest))
        return maximum
