"""Which lanes of a beat are within their row's window."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from exaq import StreamFormat
from exaq_hdl.checks import check_format
from exaq_hdl.parts.component import Component


class Window(Component):
    """Compares the elements of each beat with the window [start, stop) that came with its row.

    Latency 1 cycle; throughput 1 beat a cycle. A row begins after reset and after each beat taken
    with ``last``; a row of any length is followed to its end, also beyond ``max_row``. Exact for
    every start and stop that ``index_bits`` hold: where start is not below stop no lane is kept,
    and a stop beyond the row cuts nothing off.

    Members
    -------
    start, stop : Signal(index_bits), in; indices of elements, looked at with a row's first beat
    taken, last : Signal(1), in; the beat is taken, and is its row's last
    kept : Signal(lanes), out; bit i says that lane i's element is within the window, of the beat
        taken in the cycle before
    """

    latency = 1

    def __init__(self, format: StreamFormat):
        self.format = check_format(format)
        bits = format.index_bits
        super().__init__(
            {
                "start": In(bits),
                "stop": In(bits),
                "taken": In(1),
                "last": In(1),
                "kept": Out(format.lanes),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        # A bound runs down by the lanes with each beat. What the lanes compare with is registered
        # before they do, for the sake of the clock.
        m = Module()
        lanes = self.format.lanes
        later = Signal()
        with m.If(self.taken):
            m.d.sync += later.eq(~self.last)

        def reached(name: str, bound: Value) -> Value:
            """A bit a lane: whether its element is at ``bound`` or behind it."""
            now, left = (Signal(len(bound), name=f"{name}_{what}") for what in ("now", "left"))
            near = Signal((lanes - 1).bit_length(), name=f"{name}_near")
            here, behind = (Signal(name=f"{name}_{what}") for what in ("here", "behind"))
            m.d.comb += now.eq(Mux(later, left, bound))
            with m.If(self.taken):
                # The borrow says that the bound is within the beat, unless it is behind already.
                m.d.sync += [
                    Cat(left, here).eq(now - lanes),
                    near.eq(now[: len(near)]),
                    behind.eq(later & (behind | here)),
                ]
            return Cat(behind | (here & (near <= lane)) for lane in range(lanes))

        m.d.comb += self.kept.eq(reached("start", self.start) & ~reached("stop", self.stop))
        return m
