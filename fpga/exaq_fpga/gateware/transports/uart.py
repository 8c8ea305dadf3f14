"""UART, 8N1: eight data bits, lowest first, no parity, one stop bit."""

from fractions import Fraction
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_fpga.boards.uart_link import LEAST_DIVISOR
from exaq_fpga.gateware.octets import LINE, OCTETS
from exaq_hdl.parts.component import Component

_DATA_BITS = 8
_STOP_BIT = 1 + _DATA_BITS


def _checked(divisor: int) -> int:
    return integer("divisor, in clock cycles a bit,", divisor, LEAST_DIVISOR)


def _stop_sample(divisor: int) -> int:
    """Cycles from a start bit, once seen, to the sample of its stop bit."""
    return divisor // 2 + _STOP_BIT * divisor


def tolerance(divisor: int) -> tuple[Fraction, Fraction]:
    """By what part of ``divisor`` cycles a sender's bits may be longer, and shorter.

    The receiver sees a start bit up to a cycle late. Its sample of the stop bit must fall neither
    into the bit before that nor, where octets follow each other without a gap, behind it.
    """
    divisor = _checked(divisor)
    sample = _stop_sample(divisor)
    return (
        Fraction(sample, _STOP_BIT * divisor) - 1,
        1 - Fraction(sample + 1, (_STOP_BIT + 1) * divisor),
    )


class UartReceiver(Component):
    """Takes octets from a line.

    Each bit is sampled once, in its middle, and an octet is out once its stop bit was; octets may
    follow each other without a gap. ``tolerance`` says how far the sender's clock may be off. A
    low of at most ``divisor // 2`` cycles begins no octet. Octets on ``o`` are at least
    ``line_cycles`` cycles apart, whatever the sender's clock. Where the stop bit is low, the octet
    is dropped and nothing is taken until the line is high again: a break of any length is one
    error.

    Parameters
    ----------
    divisor
        Clock cycles a bit, at least 4.

    Members
    -------
    rx : the pin; synchronised here
    o : stream of octets, always ready
    error : pulse: an octet without stop bit was dropped
    """

    def __init__(self, divisor: int):
        self.divisor = _checked(divisor)
        self.line_cycles = _stop_sample(divisor) + 1
        super().__init__({"rx": In(1), "o": Out(LINE), "error": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        rx = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, rx, init=1)

        # A one runs ahead of the data bits; when it has come down to bit 0, all are in.
        shift = Signal(1 + _DATA_BITS, reset_less=True)
        timer = Signal(range(self.divisor))
        sample = Signal()
        m.d.comb += [sample.eq(timer == 0), self.o.payload.eq(shift[1:])]
        m.d.sync += [self.o.valid.eq(0), self.error.eq(0), timer.eq(timer - 1)]
        with m.If(sample):
            m.d.sync += timer.eq(self.divisor - 1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += timer.eq(self.divisor // 2 - 1)
                with m.If(~rx):
                    m.next = "START"
            with m.State("START"), m.If(sample):
                m.d.sync += shift.eq(1 << _DATA_BITS)
                with m.If(rx):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "OCTET"
            with m.State("OCTET"), m.If(sample):
                with m.If(~shift[0]):
                    m.d.sync += shift.eq(Cat(shift[1:], rx))
                with m.Else():
                    m.d.sync += [self.o.valid.eq(rx), self.error.eq(~rx)]
                    with m.If(rx):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "BREAK"
            with m.State("BREAK"), m.If(rx):
                m.next = "IDLE"
        return m


class UartTransmitter(Component):
    """Puts octets on a line. Throughput one octet in ``10 * divisor`` cycles, without a gap.

    The start bit begins a cycle after the octet was taken. ``i.ready`` is high while the line is
    idle and in the last cycle of a stop bit.

    Parameters
    ----------
    divisor
        Clock cycles a bit, at least 4.

    Members
    -------
    i : stream of octets
    tx : the pin, a register; high while idle and in reset
    """

    def __init__(self, divisor: int):
        self.divisor = _checked(divisor)
        super().__init__({"i": In(OCTETS), "tx": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # The stop bit is the last one in: when it has gone out, zeros are left.
        shift = Signal(_DATA_BITS + 1)
        tx = Signal(init=1)
        timer = Signal(range(self.divisor))
        bit_ends = Signal()
        m.d.comb += [
            self.tx.eq(tx),
            bit_ends.eq(timer == 0),
            self.i.ready.eq(bit_ends & (shift == 0)),
        ]
        with m.If(~bit_ends):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(shift != 0):
            m.d.sync += [Cat(tx, shift).eq(shift), timer.eq(self.divisor - 1)]
        with m.Elif(self.i.valid):
            m.d.sync += [
                Cat(tx, shift).eq(Cat(Const(0, 1), self.i.payload, Const(1, 1))),
                timer.eq(self.divisor - 1),
            ]
        return m
