"""A ring of division steps."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq.scalars import integer
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.kernels.exaq.layouts import row_complement
from exaq_hdl.kernels.exaq.tables.provider import ExponentialReader, Ring
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.counters import increment
from exaq_hdl.shell.streams import item


def quotient_layout(kernel: Exaq) -> data.StructLayout:
    """floor(E * 2**prob_bits / S), and whether 1 has to be added to round and saturate it."""
    return data.StructLayout({"floor": kernel.format.prob_bits, "round_up": 1})


class Divider(Component):
    """Divides every E_k by a row's sum S.

    ``units`` restoring steps stand in a ring; as many divisions go round in it one behind the
    other, each for prob_bits + 1 steps, one quotient bit a step, the last bit being the one
    that rounds. So one unit is a serial divider, and more are as fast as several of them, but
    with one way in and one way out.

    Latency ``latency`` cycles from a sum to its last quotient; throughput a row in ``period``
    cycles. ``i`` holds the sum until the divisions are done. Back-pressure on ``o`` stops the
    ring. Quotients of codes that no element of the row has are meaningless where E_k > S.

    A row takes ``exponentials.prelude`` cycles until its first division.

    Parameters
    ----------
    kernel
        EXAQ's parameters.
    units
        Steps in the ring: a power of two, at most 2**bits.
    exponentials
        Reader of the exponentials.

    Members
    -------
    i : stream of sum_bits bits, ~S, with the row_tables, in; one item a row. S is at least 1
        where an element is live
    o : stream of quotient_layout, out, for k = 0, 1, ... 2**bits - 1
    ... : the ports of ``exponentials``
    """

    def __init__(self, kernel: Exaq, *, units: int, exponentials: ExponentialReader):
        self.kernel = check_exaq(kernel)
        self._exponentials = exponentials
        self.units = units = integer("units", units, 1, kernel.levels)
        if units & units - 1:
            raise ValueError(f"units must be a power of two, not {units}")
        self._batch = self.batch_period(kernel, units)
        self.period = self.row_period(kernel, units, exponentials.prelude)
        self.latency = self.period - self._batch + units - 1 + kernel.format.prob_bits + 1
        super().__init__(
            {
                "i": In(stream.Signature(row_complement(kernel))),
                "o": Out(stream.Signature(quotient_layout(kernel))),
                **exponentials.ports,
            }
        )

    @staticmethod
    def batch_period(kernel: Exaq, units: int) -> int:
        """Cycles for ``units`` divisions: whole rounds, and S held until the last one's end."""
        if units == 1:
            return kernel.format.prob_bits + 2
        return units * (1 + -(-kernel.format.prob_bits // units))

    @classmethod
    def row_period(cls, kernel: Exaq, units: int, prelude: int) -> int:
        """Cycles for the 2**bits divisions of a row, ``prelude`` before them."""
        return prelude + cls.batch_period(kernel, units) * kernel.levels // units

    def elaborate(self, platform: Any) -> Module:
        # In cycle c of a batch, division k = 0 ... units - 1 takes its step c - k. It enters the
        # last register in the cycle before its first step, by an OR: what stands before that
        # register has been cleared by then, so the step on the way in leaves zero.
        m = Module()
        kernel, units, batch = self.kernel, self.units, self._batch
        steps = kernel.format.prob_bits
        exponentials = self._exponentials
        start = exponentials.start(units, batch)
        complement = item(self.i.payload, "complement")

        run = Signal()
        cycle = Signal(batch, init=1 << start.cycle)
        fetch = Signal()
        level = Signal(kernel.bits, init=start.level)
        entering = Signal(kernel.exp_bits, init=start.entering)
        m.d.comb += [
            run.eq(self.i.valid & (~self.o.valid | self.o.ready)),
            fetch.eq(Cat(cycle[k % batch] for k in range(-2, units - 2)).any()),
        ]
        ring = Ring(run=run, cycle=cycle, fetch=fetch, level=level, entering=entering)
        exponential = exponentials.begin(m, self, ring)
        m.d.comb += self.i.ready.eq(exponentials.row_ends(run))
        with m.If(run):
            m.d.sync += [cycle.eq(cycle.rotate_left(1)), entering.eq(0)]
            with m.If(fetch):
                m.d.sync += [level.eq(increment(level)), entering.eq(exponential)]
            exponentials.advance(m)

        remainders = [
            Signal(
                kernel.sum_bits,
                name=f"remainder{u}",
                init=start.remainder * (u == units - 1),
                reset_less=u < units - 2,
            )
            for u in range(units)
        ]
        quotients = [Signal(steps, name=f"quotient{u}", reset_less=True) for u in range(units)]
        bits = [Signal(name=f"bit{u}") for u in range(units)]
        for u in range(units):
            difference = Signal(kernel.sum_bits + 2, name=f"difference{u}")
            # The lowest bit by a gate: as a multiplexer with 0 it would become a late reset.
            upper = Mux(bits[u], difference[1:], remainders[u - 1])[: kernel.sum_bits - 1]
            left: Value = Cat(difference[0] & bits[u], upper)
            # doubled - S is doubled + ~S + 1, and the lowest bit of doubled is free for the 1.
            m.d.comb += [
                difference.eq(Cat(1, remainders[u - 1]) + Cat(complement, 1)),
                bits[u].eq(difference[-1]),
            ]
            if u == units - 1:
                left = left | entering
            # By a gate too: a reset of its own would tear the carry chain apart on iCE40.
            if u == (units - 2) % units:
                left = left & (~fetch).replicate(len(left))
            with m.If(run):
                m.d.sync += [
                    remainders[u].eq(left),
                    quotients[u].eq((quotients[u - 1] << 1) | bits[u]),
                ]

        # Without a quotient of ones to round up, rounding never overflows: that is saturation.
        given = exponentials.given(cycle[steps : steps + units].any())
        floor = quotients[steps % units - 1]
        out: Any = Signal(quotient_layout(kernel), reset_less=True)
        m.d.comb += self.o.payload.eq(out)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(run & given),
                out.floor.eq(floor),
                out.round_up.eq(bits[steps % units] & ~floor.all()),
            ]
        return m
