"""A ring of division steps."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer
from exaq_hdl.kernels.division.division import Division
from exaq_hdl.kernels.division.reader import ExponentialReader, Ring
from exaq_hdl.kernels.division.rounds import CountedRounds, OneHotRounds
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.counters import increment
from exaq_hdl.parts.enables import clocked
from exaq_hdl.shell.streams import item


class Divider(Component):
    """Divides every E_k by a row's sum S, round half up, saturated at 2**quotient_bits - 1.

    ``units`` steps stand in a ring; as many divisions go round in it one behind the
    other, each for quotient_bits steps, one quotient bit a step. So one unit is a serial divider,
    and more are as fast as several of them, but with one way in and one way out.

    Latency ``latency`` cycles from a sum to its last quotient; throughput a row in ``period``
    cycles. ``i`` holds a row until its last division has entered, and a copy goes round with the
    divisions. Back-pressure on ``o`` stops the ring. Quotients of codes that no element of the row
    has are meaningless where E_k > S.

    A row takes ``exponentials.prelude`` cycles, and one, until its first division enters.

    Parameters
    ----------
    division
        What is divided.
    units
        Steps in the ring: a power of two, at most 2**bits.
    exponentials
        Reader of the exponentials.
    chip
        For an FPGA a step gives back a remainder that is not negative, so that its last gates,
        behind the carries, choose. For a chip a remainder may be negative, and the next step adds:
        gates before the carries choose, by a sign that is a register. Flops that need not change
        are not clocked then. Quotients are the same.

    Members
    -------
    i : stream of ``division.complement``, in; one item a row. S is at least 1 where an element is
        live
    o : stream of ``division.quotient``, out, for k = 0, 1, ... 2**bits - 1
    ... : the ports of ``exponentials``
    """

    def __init__(
        self,
        division: Division,
        *,
        units: int,
        exponentials: ExponentialReader,
        chip: bool = False,
    ):
        self.division = division
        self._chip = chip
        self._exponentials = exponentials
        self.units = units = integer("units", units, 1, division.levels)
        if units & units - 1:
            raise ValueError(f"units must be a power of two, not {units}")
        self._batch = self.batch_period(division, units)
        self.period = self.row_period(division, units, exponentials.prelude)
        entered = self._batch * (division.levels // units - 1) + units - 1
        self.latency = exponentials.prelude + 1 + entered + division.quotient_bits + 1
        super().__init__(
            {
                "i": In(stream.Signature(division.complement)),
                "o": Out(stream.Signature(division.quotient)),
                **exponentials.ports,
            }
        )

    @staticmethod
    def batch_period(division: Division, units: int) -> int:
        """Cycles for ``units`` divisions: whole rounds."""
        return units * -(-division.quotient_bits // units)

    @classmethod
    def row_period(cls, division: Division, units: int, wait: int) -> int:
        """Cycles for the 2**bits divisions of a row, if the next one's first exponential is there
        ``wait`` cycles after the cycle that follows this one's last.
        """
        batch = cls.batch_period(division, units)
        return batch * (division.levels // units - 1) + max(batch, units + wait + 1)

    def elaborate(self, platform: Any) -> Module:
        # Division k of a batch enters the register behind the last unit in cycle k, and takes its
        # step s in cycle k + 1 + s, in unit s % units. Its last step may be in the cycle in which
        # the next division enters that register.
        m = Module()
        division, units = self.division, self.units
        steps, last_unit = division.quotient_bits, self.units - 1

        run, load, fetch, row_ends = Signal(), Signal(), Signal(), Signal()
        rounds = (CountedRounds if self._chip else OneHotRounds)(self._batch, steps, units)
        level = Signal(division.bits)
        exponential, there = self._exponentials.look_up(
            m, self, Ring(fetch=fetch, level=level, row_ends=row_ends)
        )
        # What enters next is in a register, and so `level` is one ahead of it.
        fetched = Signal()
        begin = rounds.waits & fetched
        m.d.comb += [
            load.eq(begin | rounds.entering),
            # An empty ring stands still.
            run.eq((~self.o.valid | self.o.ready) & (begin | ~rounds.waits | rounds.draining)),
            fetch.eq((run & load) | (self.i.valid & there & ~fetched)),
            row_ends.eq(run & load & (level == 0)),
            self.i.ready.eq(row_ends),
        ]
        row = Signal.like(self.i.payload, name="row", reset_less=True)
        with m.If(fetch):
            m.d.sync += [fetched.eq(1), level.eq(increment(level))]
        with m.If(row_ends):
            m.d.sync += [fetched.eq(0), level.eq(0)]
        row_enters = load & (level == 1)
        with m.If(run):
            rounds.run(m, begin, load)
            with m.If(row_enters):
                m.d.sync += row.eq(self.i.payload)

        # E * 2**prob_bits + floor(S / 2) is divided: what is above the quotient's register of it,
        # and what moves from there to the remainder bit by bit.
        half = (~item(self.i.payload, "complement"))[1:]
        above = half[steps:]
        below = Cat(half[:steps], Const(0, max(0, steps - len(half))))
        width = division.remainder_bits
        entering = Signal(width, reset_less=True)
        with m.If(fetch):
            m.d.sync += entering.eq(exponential + above)
        kept_bits = width + 1 if self._chip else width
        remainders = [
            Signal(kept_bits, name=f"remainder{u}", reset_less=True) for u in range(units)
        ]
        quotients = [Signal(steps, name=f"quotient{u}", reset_less=True) for u in range(units)]
        complement: Value = item(row, "complement")
        for u in range(units):
            remainder, quotient = remainders[u - 1], quotients[u - 1]
            doubled = Cat(quotient[-1], remainder)
            difference = Signal(kept_bits + 3, name=f"difference{u}")
            bit = Signal(name=f"bit{u}")
            ones = Const(-1, kept_bits + 1 - len(complement))
            subtrahend: Value = Cat(complement, ones)
            # doubled - S is doubled + ~S + 1; the 1 is carried in from a place below.
            less: Value = Const(1, 1)
            if self._chip:
                # Of a negative remainder, which is S too small, the same difference is + S.
                less = ~remainder[-1]
                subtrahend ^= remainder[-1].replicate(len(subtrahend))
            m.d.comb += [
                difference.eq(Cat(less, doubled) + Cat(less, subtrahend)),
                bit.eq(difference[-1]),
            ]
            # Its sign is the carry, which is right for an S of 0 too, where remainders overflow.
            after: Value = Cat(difference[1 : width + 1], ~bit)
            found = Cat(bit, quotient)[:steps]
            if u == (steps - 1) % units:
                done = found
            if not self._chip:
                kept: Value = doubled[:width]
                subtract: Value = bit
                if u == last_unit:
                    # Beside the carry chain, which is the long way.
                    kept, subtract = Mux(load, entering, kept), bit & ~load
                after = Mux(subtract, difference[1:], kept)
            elif u == last_unit:
                after = Mux(load, entering, after)
            if u == last_unit:
                found = Mux(load, below, found)
            with m.If(run):
                m.d.sync += [remainders[u].eq(after), quotients[u].eq(found)]
            if u < last_unit:
                late = Signal.like(complement, name=f"complement{u + 1}", reset_less=True)
                changes: Value = run
                if self._chip:
                    entered = Signal(name=f"entered{u + 1}")
                    with m.If(run):
                        m.d.sync += entered.eq(row_enters)
                    row_enters, changes = entered, run & entered
                with m.If(changes):
                    m.d.sync += late.eq(complement)
                complement = late

        out: Any = Signal(division.quotient, reset_less=True)
        m.d.comb += self.o.payload.eq(out)
        leaves = run & rounds.leaving
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += self.o.valid.eq(leaves)
            with clocked(m, leaves, chip=self._chip):
                m.d.sync += out.probability.eq(done)
                for name in division.summary:
                    value = ~row.complement if name == "sum" else row[name]
                    m.d.sync += out[name].eq(value)
        return m
