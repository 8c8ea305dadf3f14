"""From octets that can wait to a line that a station takes."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from exaq_fpga.gateware.octets import LINE, OCTETS
from exaq_hdl.parts.component import Component


class LinePacer(Component):
    """Holds octets back so that they come ``line_cycles`` cycles apart, and not closer.

    Latency 0 cycles; throughput one octet in ``line_cycles`` cycles. ``i.ready`` is low in the
    cycles between: an octet that comes too early waits, none is lost. It does not depend on
    ``i.valid``.

    Parameters
    ----------
    line_cycles
        Cycles from an octet to the next, at least 1; a station's is ``Station.line_cycles``.

    Members
    -------
    i : stream of octets
    o : LINE, the same octets
    """

    def __init__(self, line_cycles: int):
        if not isinstance(line_cycles, int) or line_cycles < 1:
            raise ValueError(f"line_cycles must be an integer of at least 1, not {line_cycles!r}")
        self.line_cycles = line_cycles
        super().__init__({"i": In(OCTETS), "o": Out(LINE)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        wait = Signal(range(self.line_cycles))
        m.d.comb += [
            self.i.ready.eq(wait == 0),
            self.o.valid.eq(self.i.valid & self.i.ready),
            self.o.payload.eq(self.i.payload),
        ]
        with m.If(self.o.valid):
            m.d.sync += wait.eq(self.line_cycles - 1)
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        return m
