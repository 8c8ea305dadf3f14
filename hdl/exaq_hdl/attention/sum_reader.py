"""Sums of all dimensions, kept at a row's end and read one after another."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_hdl.parts.component import Component

# Inputs of a gate in the tree of ORs: those of a lookup table.
_FAN_IN = 4


class SumReader(Component):
    """Copies the level sums of all dimensions at once and gives them ``per_beat`` at a time.

    So the next row can be added up while those of one row are read. What a step does not select
    is held at zero by its register's reset, and ORs join what is left: a multiplexer would take
    more than twice the logic.

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
    read : level sums of the next ``per_beat`` dimensions, lowest first, out
    valid, last : an item leaves, the row's last one, out
    """

    def __init__(self, *, dimensions: int, per_beat: int, levels: int, level_width: int):
        self.dimensions = dimensions = integer("dimensions", dimensions, 1)
        self.per_beat = per_beat = integer("per_beat", per_beat, 1)
        if dimensions % per_beat:
            raise ValueError(f"per_beat must divide {dimensions} dimensions, not {per_beat}")
        #: Items of a row.
        self.steps = steps = dimensions // per_beat
        depth = 0
        while _FAN_IN**depth < steps:
            depth += 1
        self._depth = depth
        self.latency = 2 + depth
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
        # Cycle 0: the copy is made. Cycle 1: it stands, and bit 0 of `others` is low. What resets
        # registers is a register itself: an inverter would be one more station on a long way.
        others = Signal(self.steps, init=-1)
        busy = Signal()
        m.d.sync += [
            others.eq(Cat(~self.copy[0], others[:-1])),
            busy.eq(self.copy[0] | (busy & others[-1])),
        ]
        valid, last = busy, ~others[-1]
        for k in range(self._depth + 1):
            next_valid, next_last = Signal(name=f"valid{k}"), Signal(name=f"last{k}")
            m.d.sync += [next_valid.eq(valid), next_last.eq(last)]
            valid, last = next_valid, next_last
        m.d.comb += [self.valid.eq(valid), self.last.eq(last)]

        for place in range(self.per_beat):
            selected: list[Value] = []
            for k in range(self.steps):
                dimension = k * self.per_beat + place
                given = Value.cast(self.sums[dimension])
                kept = Signal(len(given), name=f"kept{dimension}", reset_less=True)
                gated = Signal(len(given), name=f"gated{dimension}", reset_less=True)
                with m.If(self.copy[dimension]):
                    m.d.sync += kept.eq(given)
                with m.If(others[k]):
                    m.d.sync += gated.eq(0)
                with m.Else():
                    m.d.sync += gated.eq(kept)
                selected.append(gated)
            for level in range(self._depth):
                groups = [selected[k : k + _FAN_IN] for k in range(0, len(selected), _FAN_IN)]
                selected = []
                for k, group in enumerate(groups):
                    joined = Signal.like(
                        group[0], name=f"joined{place}_{level}_{k}", reset_less=True
                    )
                    m.d.sync += joined.eq(_any(group))
                    selected.append(joined)
            m.d.comb += Value.cast(self.read[place]).eq(selected[0])
        return m


def _any(values: list[Value]) -> Value:
    joined = values[0]
    for value in values[1:]:
        joined = joined | value
    return joined
