"""The clock of a board's design, and its reset after power-up."""

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer

from exaq_hdl.parts.component import Component

#: Shortest reset, in us. Block RAM of iCE40 reads as zeros for about 3 us after configuration;
#: so much the longer, as Amaranth's own reset of these devices is.
RESET_MICROSECONDS = 15


class Clocking(Component):
    """Drives domain ``sync``: a clock from a pin, through a PLL or not, and its reset.

    The reset is high from configuration until the PLL has been locked for ``reset_cycles`` in a
    row (without a PLL, for as long from the first clock edge on), and again whenever the PLL
    loses its lock. It leaves with the clock's edge.

    Parameters
    ----------
    pin
        The clock's pin, as a platform gives it for direction ``-``.
    frequency
        Of domain ``sync``, in Hz.
    pll
        One of ``exaq_fpga.gateware.clock.pll``, or None: the pin's clock as it comes.
    pad
        Whether the pin is the PLL's own, so that no buffer can stand between.
    """

    def __init__(self, pin: Any, frequency: int, pll: Any = None, *, pad: bool = False) -> None:
        self.pin = pin
        self.pll = pll
        self.pad = pad
        self.reset_cycles = -(-frequency * RESET_MICROSECONDS // 1_000_000)
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.power_on = ClockDomain(reset_less=True, local=True)
        if self.pll is not None and self.pad:
            source = self.pin.io
        else:
            m.submodules.buffer = buffer = io.Buffer(io.Direction.Input, self.pin)
            source = buffer.i
        steady = Signal()
        if self.pll is None:
            clock = source
            m.d.comb += steady.eq(1)
        else:
            m.submodules.pll, clock, locked = self.pll.instance(source, pad=self.pad)
            m.submodules.lock = FFSynchronizer(locked, steady, o_domain="power_on")
        m.d.comb += [ClockSignal("sync").eq(clock), ClockSignal("power_on").eq(clock)]

        count = Signal(range(self.reset_cycles + 1))
        running = Signal()
        m.d.power_on += running.eq(count == self.reset_cycles)
        with m.If(~steady):
            m.d.power_on += [count.eq(0), running.eq(0)]
        with m.Elif(count != self.reset_cycles):
            m.d.power_on += count.eq(count + 1)
        m.d.comb += ResetSignal("sync").eq(~running)
        return m
