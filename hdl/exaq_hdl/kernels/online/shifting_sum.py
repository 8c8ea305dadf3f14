"""Sum of a row's weights, relative to its last reference."""

from abc import ABC, abstractmethod
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq_hdl.parts.arithmetic import tree_depth
from exaq_hdl.parts.assembly import late
from exaq_hdl.parts.component import Component


class Weights(ABC):
    """What the elements of a beat add to their row's sum.

    Members
    -------
    kernel : parameters of the kernel, with ``sum_bits`` and ``reference_step``
    beat : layout of a beat, with ``last``, ``error`` and ``reference_fields``
    row : layout of a row's sum, a ``summed_row``
    latency : cycles from a beat to what ``of`` returns
    """

    kernel: Any
    beat: data.StructLayout
    row: data.StructLayout
    latency: int

    @abstractmethod
    def of(self, m: Module, beat: Any) -> list[Value]:
        """The weight of each lane, unsigned, ``latency`` cycles behind ``beat``."""


class ShiftingSum(Component):
    """Adds up the weights of a row's elements.

    Where a beat's reference rises, the sum so far is shifted down by as much. Latency
    ``latency`` cycles from a row's last beat to its sum; throughput 1 beat per cycle, rows back to
    back. What is shifted out is cut off; nothing else rounds or overflows.

    Parameters
    ----------
    weights
        What elements add.

    Members
    -------
    i : stream of ``weights.beat``, always ready
    o : stream of ``weights.row``, always ready; one item a row
    """

    def __init__(self, weights: Weights):
        self.kernel = kernel = weights.kernel
        self._weights = weights
        self.latency = weights.latency + tree_depth(kernel.format.lanes) + 1
        super().__init__(
            {
                "i": In(stream.Signature(weights.beat, always_ready=True)),
                "o": Out(stream.Signature(weights.row, always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, beat = self.kernel, self.i.payload
        totals = self._weights.of(m, beat)
        for level in range(tree_depth(kernel.format.lanes)):
            pairs = [totals[k : k + 2] for k in range(0, len(totals), 2)]
            totals = []
            for k, pair in enumerate(pairs):
                total = sum(pair[1:], pair[0])
                node = Signal.like(total, name=f"level{level}_sum{k}", reset_less=True)
                m.d.sync += node.eq(total)
                totals.append(node)
        (total,) = totals

        before = self.latency - 1
        valid = self.i.valid
        for k in range(before):
            register = Signal(name=f"valid{k}")
            m.d.sync += register.eq(valid)
            valid = register
        last, rise, reference, error = (
            late(m, value, before, name)
            for name, value in (
                ("last", beat.last),
                ("rise", beat.rise),
                ("reference", beat.reference),
                ("error", beat.error),
            )
        )
        running = Signal(kernel.sum_bits)
        summed = Signal(kernel.sum_bits)
        out: Any = Signal(self._weights.row, reset_less=True)
        m.d.comb += [
            summed.eq(shifted_down(running, rise, kernel.reference_step) + total),
            self.o.payload.eq(out),
        ]
        m.d.sync += [
            self.o.valid.eq(valid & last),
            out.sum.eq(summed),
            out.reference.eq(reference),
            out.error.eq(error),
        ]
        with m.If(valid):
            m.d.sync += running.eq(Mux(last, 0, summed))
        return m


def shifted_down(value: Value, by: Value, step: int) -> Value:
    """``value`` shifted down by ``by`` times ``step`` places, a power of two."""
    return value >> Cat(Const(0, step.bit_length() - 1), by)
