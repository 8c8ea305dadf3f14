"""The reciprocal of a row's sum, by a serial divider."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_hdl.parts.component import Component


def reciprocal_fields(sum_bits: int, bits: int, least: int) -> dict[str, int]:
    """Widths of ``mantissa`` and ``exponent``; see ``Reciprocal``."""
    return {"mantissa": bits, "exponent": max(1, _shifts(sum_bits, least).bit_length())}


def _shifts(sum_bits: int, least: int) -> int:
    """Places that a sum may have to be shifted until its highest bit is 1."""
    return sum_bits - least.bit_length()


class Reciprocal(Component):
    """Mantissa and exponent of 1 / S, as ``exaq.kernels.reciprocal`` defines them.

    With e = floor(log2 S) the mantissa is floor(2**bits * 2**e / S), and 2**bits - 1 where that is
    2**bits, which is so for powers of two. Given is e - floor(log2 least) as ``exponent``. First S
    is shifted up by a place a cycle until its highest bit is 1, then one restoring step a cycle
    gives one bit of the quotient. Latency ``latency`` cycles, whatever S is; throughput an item in
    ``period`` cycles. Back-pressure on ``o`` holds its payload, and stops ``i``. A sum below
    ``least``, such as 0, gives any item.

    Parameters
    ----------
    sum_bits
        Width of S.
    bits
        Width of the mantissa.
    least
        Least S whose reciprocal is wanted.

    Members
    -------
    i : stream of sum_bits bits, in
    o : stream of a struct of ``mantissa`` and ``exponent``, out
    """

    def __init__(self, *, sum_bits: int, bits: int, least: int):
        self.sum_bits = integer("sum_bits", sum_bits, 1)
        self.bits = integer("bits", bits, 1)
        self.least = integer("least", least, 1, 2**sum_bits - 1)
        self.latency = self.period = self.cycles(sum_bits, bits, least)
        fields = reciprocal_fields(sum_bits, bits, least)
        super().__init__(
            {
                "i": In(stream.Signature(sum_bits)),
                "o": Out(stream.Signature(data.StructLayout(fields))),
            }
        )

    @staticmethod
    def cycles(sum_bits: int, bits: int, least: int) -> int:
        """Latency and period of a divider of these parameters."""
        return _shifts(sum_bits, least) + bits + 1

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        shifts, width = _shifts(self.sum_bits, self.least), self.sum_bits
        divisor = Signal(width, reset_less=True)
        remainder = Signal(width, reset_less=True)
        quotient = Signal(self.bits, reset_less=True)
        exponent = Signal.like(self.o.payload.exponent, reset_less=True)
        # Cycles that are left, and that were left when the division began.
        left = Signal(range(shifts + self.bits + 1))
        busy, divides = Signal(), Signal()
        m.d.comb += [
            self.o.payload.mantissa.eq(quotient),
            self.o.payload.exponent.eq(exponent),
            self.i.ready.eq(~busy & (~self.o.valid | self.o.ready)),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(busy):
            m.d.sync += left.eq(left - 1)
            with m.If(left == self.bits + 1):
                m.d.sync += divides.eq(1)
            with m.If(left == 1):
                m.d.sync += [busy.eq(0), self.o.valid.eq(1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                busy.eq(1),
                divides.eq(not shifts),
                left.eq(shifts + self.bits),
                divisor.eq(self.i.payload),
                exponent.eq(shifts),
                # What the highest bit of a shifted sum stands for. A power of two equals it, and
                # goes on doing so: its quotient is all ones.
                remainder.eq(1 << (width - 1)),
            ]
        with m.Elif(~divides):
            shift = ~divisor[-1]
            m.d.sync += [
                divisor.eq(Mux(shift, Cat(0, divisor[:-1]), divisor)),
                exponent.eq(exponent - shift),
            ]
        with m.Elif(busy):
            doubled = Cat(0, remainder)
            difference = Signal(width + 2)
            bit = Signal()
            m.d.comb += [difference.eq(doubled - divisor), bit.eq(~difference[-1])]
            m.d.sync += [
                remainder.eq(Mux(bit, difference, doubled)),
                quotient.eq(Cat(bit, quotient)),
            ]
        return m
