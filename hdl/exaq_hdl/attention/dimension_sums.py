"""Sums of one dimension's values, level by level, while a row's beats pass."""

from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_hdl.parts.arithmetic import gated_sum, tree_depth
from exaq_hdl.parts.component import Component


class DimensionSums(Component):
    """Adds up one dimension of a row's values, those of each level for themselves; exact.

    A lane's value counts for the levels whose gates are high, none or one. The gates are in the
    first adders of the tree over the lanes, and what restarts a level's running sum is in the
    adder of that: on devices with a table in front of each carry, ANDs cost nothing.

    Latency ``latency`` cycles from a beat to the sums that it is in; throughput 1 beat per cycle.
    Sums stand while all gates are low and ``keep`` is high. Free running: nothing stops it.

    Parameters
    ----------
    lanes
        Values of a beat.
    levels
        Sums.
    value_width, level_width
        Widths of a value and of a sum; both are signed.

    Members
    -------
    values : a beat's values, in
    gates : for each lane, lowest first, a bit for each level, level 0 lowest, in
    keep : ``tree_latency`` cycles behind the beat: what was added up before counts too, in
    sums : a sum for each level, out; registers
    """

    def __init__(
        self,
        *,
        lanes: int,
        levels: int,
        value_width: int,
        level_width: int,
    ):
        self.lanes = lanes = integer("lanes", lanes, 1)
        self.levels = levels = integer("levels", levels, 1)
        self.value_width = integer("value_width", value_width, 1)
        self.level_width = integer("level_width", level_width, value_width)
        #: Cycles from a beat to its sums over the lanes, before the accumulators.
        self.tree_latency = tree_depth(lanes)
        self.latency = self.tree_latency + 1
        super().__init__(
            {
                "values": In(data.ArrayLayout(signed(value_width), lanes)),
                "gates": In(data.ArrayLayout(levels, lanes)),
                "keep": In(1),
                "sums": Out(data.ArrayLayout(signed(level_width), levels)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width = self.level_width
        running = [
            Signal(width, name=f"running{level}", reset_less=True) for level in range(self.levels)
        ]
        beats = self._over_lanes(m)
        for level, (before, beat) in enumerate(zip(running, beats, strict=True)):
            added = gated_sum(before, self.keep, _bits(beat.value, width), beat.gate)
            m.d.sync += before.eq(added)
            m.d.comb += self.sums[level].eq(before.as_signed())
        return m

    def _over_lanes(self, m: Module) -> list["_Node"]:
        """For each level the sum of its values in a beat."""
        nodes = [
            [_Node(self.values[lane], self.gates[lane][level]) for lane in range(self.lanes)]
            for level in range(self.levels)
        ]
        for depth in range(self.tree_latency):
            nodes = self._joined(m, nodes, f"tree{depth}_")
        return [each[0] for each in nodes]

    def _joined(self, m: Module, nodes: list[list["_Node"]], name: str) -> list[list["_Node"]]:
        """Nodes of each level joined two by two, a register behind each."""
        width = 1 + max(len(node.value) for node in nodes[0])
        joined = []
        for level, each in enumerate(nodes):
            found = [
                gated_sum(_bits(a.value, width), a.gate, _bits(b.value, width), b.gate).as_signed()
                for a, b in zip(each[::2], each[1::2], strict=False)
            ]
            if len(each) % 2:
                odd = each[-1]
                bits = _bits(odd.value, len(odd.value))
                found.append((bits & odd.gate.replicate(len(bits))).as_signed())
            registers = []
            for k, value in enumerate(found):
                register = Signal.like(value, name=f"{name}sum{level}_{k}", reset_less=True)
                m.d.sync += register.eq(value)
                registers.append(_Node(register, Const(1)))
            joined.append(registers)
        return joined


class _Node(NamedTuple):
    """A sum of values in the tree, and the bit that gates it."""

    value: Value
    gate: Value


def _bits(value: Value, width: int) -> Value:
    """The bits of a signed number, in ``width`` of them."""
    return Cat(value, value[-1].replicate(width))[:width]
