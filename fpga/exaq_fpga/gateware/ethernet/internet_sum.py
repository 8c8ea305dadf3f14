"""The sum that IP and UDP are checked by (RFC 1071), octet by octet."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from exaq_hdl.parts.component import Component

#: Sum of what is whole: the checksum's own octets make it so.
WHOLE = 0xFFFF


class InternetSum(Component):
    """Ones' complement sum of words of 16 bits, high octet first. Latency 1 cycle.

    Parameters
    ----------
    init
        ``total`` after a reset.

    Members
    -------
    restart : ``total`` becomes ``start``, whatever else comes
    start : In(16)
    valid, octet, high : an octet to add, and whether it is the first of its word
    total : Out(16)
    """

    def __init__(self, init: int = 0) -> None:
        self.init = init
        super().__init__(
            {
                "restart": In(1),
                "start": In(16),
                "valid": In(1),
                "octet": In(8),
                "high": In(1),
                "total": Out(16),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        # The carry out of the word comes in again with the next octet. It leaves a word that is
        # low enough for that, since of each word only one octet comes at a time.
        m = Module()
        total, carry = Signal(16, init=self.init), Signal()
        zeros = Const(0, 8)
        word = Mux(self.high, Cat(zeros, self.octet), self.octet)
        m.d.comb += self.total.eq(total + carry)
        with m.If(self.restart):
            m.d.sync += Cat(total, carry).eq(self.start)
        with m.Elif(self.valid):
            m.d.sync += Cat(total, carry).eq(total + word + carry)
        return m
