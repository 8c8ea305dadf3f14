"""The tables that the contexts hold after reset."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_loaded
from exaq_hdl.kernels.exaq.tables.words import (
    checked_word,
    last_of_load,
    place_after,
    place_in_load,
)
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories


class Boot(Component):
    """Loads every context with its tables, once, after reset.

    Throughput a word in 2 cycles. A load begins when the one before it has been taken and
    ``next`` has been given.

    Members
    -------
    next : the tables taken last are in effect
    active : from reset until all contexts have their tables
    o : stream of checked_word
    """

    #: Cycles for a word.
    period = 2

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self.kernel = check_loaded(kernel)
        self._memories = memories
        super().__init__(
            {
                "next": In(1),
                "active": Out(1),
                "o": Out(stream.Signature(checked_word(kernel))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel = self.kernel
        sets = kernel.context_tables
        if len(set(sets)) == 1:
            sets = sets[:1]
        place = Signal(place_in_load(kernel))
        unused = [0] * ((1 << len(place)) - kernel.load_length)
        words = [word for tables in sets for word in [*kernel.load_words(0, tables), *unused]]
        width = checked_word(kernel)["word"].width
        m.submodules.rom = table = self._memories.rom(
            signed(width), words, holds="loads of the first tables"
        )
        port = table.read_port()

        active = Signal(init=1)
        context = Signal(range(kernel.format.contexts + 1))
        # A load is over: nothing is offered until it is in effect.
        wait = Signal()
        first = Signal()
        m.d.comb += [
            self.active.eq(active),
            first.eq(place == 0),
            port.addr.eq(place if len(sets) == 1 else Cat(place, context)),
            self.o.payload.first.eq(first),
            self.o.payload.word.eq(port.data),
            self.o.payload.fits.eq(1),
        ]
        with m.If(first):
            m.d.comb += self.o.payload.word.eq(context)
        m.d.sync += self.o.valid.eq(active & ~wait & ~self.o.valid)
        with m.If(self.o.valid):
            with m.If(self.o.ready):
                m.d.sync += [
                    place.eq(place_after(kernel, place)),
                    wait.eq(last_of_load(kernel, place)),
                ]
            with m.Else():
                m.d.sync += self.o.valid.eq(1)
        with m.If(self.next & active):
            m.d.sync += [
                wait.eq(0),
                context.eq(context + 1),
                active.eq(context != kernel.format.contexts - 1),
            ]
        return m
