"""Sums of all dimensions, kept at a row's end and read one after another."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_hdl.parts.component import Component


class SumReader(Component):
    """Copies the level sums of all dimensions at once and gives them ``per_beat`` at a time.

    So the next row can be added up while those of one row are read. What is kept moves on from
    dimension to dimension, ``per_beat`` at a step, to the first ones, which are read: a way from
    each dimension to its neighbour alone, where selecting among all would join wires from all
    over the device, and take a second register for each sum or far more logic.

    Latency ``latency`` cycles from ``copy`` to the first item; throughput 1 item per cycle. A row
    is ``steps`` items, which nothing stops; ``copy`` may come again ``steps`` cycles later.

    Parameters
    ----------
    dimensions
        Dimensions of a head.
    per_beat
        Dimensions of an item, which divide them.
    levels, level_width
        Sums of a dimension, and the width of each.

    Members
    -------
    sums : level sums of each dimension, in
    copy : the row's last beat is in them, in; a bit for each dimension, all of them alike, so that
        each can come from near it
    read : level sums of the next ``per_beat`` dimensions, lowest first, out; registers
    valid, last : an item leaves, the row's last one, out
    """

    latency = 1

    def __init__(self, *, dimensions: int, per_beat: int, levels: int, level_width: int):
        self.dimensions = dimensions = integer("dimensions", dimensions, 1)
        self.per_beat = per_beat = integer("per_beat", per_beat, 1)
        if dimensions % per_beat:
            raise ValueError(f"per_beat must divide {dimensions} dimensions, not {per_beat}")
        #: Items of a row.
        self.steps = dimensions // per_beat
        self._sums = sums = data.ArrayLayout(signed(level_width), levels)
        super().__init__(
            {
                "sums": In(data.ArrayLayout(sums, dimensions)),
                "copy": In(dimensions),
                "read": Out(data.ArrayLayout(sums, per_beat)),
                "valid": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # Bit k: items up to number k of the row are yet to leave; the last one alone is bit 0.
        left = Signal(self.steps)
        m.d.sync += left.eq(Mux(self.copy[0], -1, left >> 1))
        m.d.comb += [self.valid.eq(left[0]), self.last.eq(left[0] & ~left[1:2].any())]

        kept = [
            Signal(Value.cast(self.sums[d]).shape(), name=f"kept{d}", reset_less=True)
            for d in range(self.dimensions)
        ]
        for d, register in enumerate(kept):
            given = Value.cast(self.sums[d])
            behind = kept[d + self.per_beat] if d + self.per_beat < self.dimensions else given
            m.d.sync += register.eq(Mux(self.copy[d], given, behind))
        m.d.comb += Value.cast(self.read).eq(Cat(kept[: self.per_beat]))
        return m
