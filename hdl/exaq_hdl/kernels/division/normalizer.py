"""The probabilities that a row can have."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq_hdl.kernels.division.divider import Divider
from exaq_hdl.kernels.division.division import Division
from exaq_hdl.kernels.division.reader import ExponentialReader
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.counters import increment, wrapped_increment

# Cycles without a row between two of them at a divider's input. Without the pause a long way would
# lead from the emitter's ready back to the queue of sums; most rings have it while they divide.
_CHANGE = 1


class Normalizer(Component):
    """Turns a row's sum S into its p-table: p_k = E_k / S, k = 0 ... 2**bits - 1.

    Round half up, saturated at 2**quotient_bits - 1. A row costs 2**bits divisions, whatever its
    length. Latency ``latency`` cycles from a sum to its last probability; throughput a row in
    ``full_rate_beats`` cycles or fewer, by the smallest set of dividers that reaches it.
    Back-pressure on ``o`` holds its payload, and stops the divisions; those of the next rows
    go on until their first quotient where a divider is free for them.

    Parameters
    ----------
    division
        What is divided.
    reader
        Makes a reader of the exponentials for each divider.
    prelude
        That of these readers.
    chip
        As of ``Divider``.

    Members
    -------
    i : stream of ``division.complement``, in; one item a row
    o : stream of ``division.word``, out; a row's levels in their order
    ... : the ports of the readers
    """

    def __init__(
        self,
        division: Division,
        reader: Callable[[], ExponentialReader],
        *,
        prelude: int = 0,
        chip: bool = False,
    ):
        self.division = division
        self.units, self.rings = self.choose(division, prelude)
        self._readers = [reader() for _ in range(self.rings)]
        self._dividers = [
            Divider(division, units=self.units, exponentials=reader, chip=chip)
            for reader in self._readers
        ]
        self.latency = 1 + self._dividers[0].latency
        #: Rows that it can hold: a ring takes the next one when all divisions of one have entered.
        self.rows = self.rings * (2 if self.units == division.levels else 1)
        super().__init__(
            {
                "i": In(stream.Signature(division.complement)),
                "o": Out(stream.Signature(division.word)),
                **self._readers[0].ports,
            }
        )

    @staticmethod
    def choose(division: Division, prelude: int) -> tuple[int, int]:
        """Units of a ring and number of rings: the smallest ring that keeps up, else several.
        ``prelude`` is that of the readers.

        Several rings share the work only where each gives its row's quotients in one burst,
        which takes a unit for every level.
        """
        for units in (2**k for k in range(division.bits + 1)):
            period = Divider.row_period(division, units, _CHANGE + prelude)
            rings = -(-period // division.full_rate_beats)
            if rings == 1:
                break
        return units, rings

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        division = self.division
        quotient: Any = Signal(division.quotient)
        level = Signal(division.bits)
        turn_in = Signal(range(self.rings))
        turn_out = Signal(range(self.rings))
        word = self.o.payload

        for k, (divider, reader) in enumerate(zip(self._dividers, self._readers, strict=True)):
            m.submodules[f"divider{k}"] = divider
            row_sum = Signal.like(self.i.payload, name=f"divider{k}_sum", reset_less=True)
            free = Signal(name=f"divider{k}_free")
            m.d.comb += [
                free.eq(~divider.i.valid & (turn_in == k)),
                divider.i.payload.eq(row_sum),
            ]
            with m.If(divider.i.ready):
                m.d.sync += divider.i.valid.eq(0)
            with m.If(free):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [divider.i.valid.eq(self.i.valid), row_sum.eq(self.i.payload)]
            reader.pass_on(m, self, divider)
            with m.If(turn_out == k):
                m.d.comb += [
                    self.o.valid.eq(divider.o.valid),
                    quotient.eq(divider.o.payload),
                    divider.o.ready.eq(self.o.ready),
                ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += turn_in.eq(wrapped_increment(turn_in, self.rings))

        m.d.comb += [word.level.eq(level), word.probability.eq(quotient.probability)]
        m.d.comb += [word[name].eq(quotient[name]) for name in division.summary]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += level.eq(increment(level))
            with m.If(level.all()):
                m.d.sync += turn_out.eq(wrapped_increment(turn_out, self.rings))
        return m
