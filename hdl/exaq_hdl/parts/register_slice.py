"""Registers in a stream, both ways."""

from typing import Any

from amaranth.hdl import Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq_hdl.parts.component import Component


class RegisterSlice(Component):
    """Cuts every way between the two sides of a stream, at no loss of throughput.

    Latency 1 cycle; throughput 1 item per cycle. ``i.ready`` and everything on ``o`` are registers.

    Parameters
    ----------
    shape
        Shape of an item.

    Members
    -------
    i, o : streams
    """

    latency = 1

    def __init__(self, shape: ShapeLike):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        shape = Value.cast(self.i.payload).shape()
        # A place for the item that comes in the cycle in which `o` was not taken.
        aside = Signal(shape, reset_less=True)
        leaving = Signal(shape, reset_less=True)
        occupied, moves = Signal(), Signal()
        given: Value = Value.cast(self.i.payload)
        m.d.comb += [
            self.i.ready.eq(~occupied),
            moves.eq(~self.o.valid | self.o.ready),
            Value.cast(self.o.payload).eq(leaving),
        ]
        with m.If(moves):
            m.d.sync += [
                self.o.valid.eq(occupied | self.i.valid),
                leaving.eq(Mux(occupied, aside, given)),
                occupied.eq(0),
            ]
        with m.Elif(~occupied):
            m.d.sync += [occupied.eq(self.i.valid), aside.eq(given)]
        return m
