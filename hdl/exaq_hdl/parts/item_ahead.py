"""An item that is in use, and the next one, which is fetched meanwhile."""

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data

from exaq_hdl.parts.component import Stream


class ItemAhead:
    """Two registers behind a stream in a module: no way leads from what moves them to its ready.

    Latency 2 cycles from an item offered to ``readable``; an item in 2 cycles.

    Parameters
    ----------
    m
        Module that gets the registers.
    source
        Stream of items.
    name
        What the item in use is called.

    Members
    -------
    now : the item in use
    readable : whether there is one
    """

    def __init__(self, m: Module, source: Stream, layout: data.StructLayout, name: str):
        self._m = m
        coming: Any = Signal(layout, name="coming", reset_less=True)
        self.now: Any = Signal(layout, name=name, reset_less=True)
        complete, readable, move = Signal(), Signal(), Signal()
        self.readable, self._move = readable, move
        m.d.comb += source.ready.eq(~complete)
        with m.If(move):
            m.d.sync += [complete.eq(0), readable.eq(complete), self.now.eq(coming)]
        with m.If(~complete):
            m.d.sync += [complete.eq(source.valid), coming.eq(source.payload)]

    def move(self, done: Value) -> None:
        """Says when the item in use is done with, which it is where there is none; once."""
        self._m.d.comb += self._move.eq(~self.readable | done)
