"""The sum of a row."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.kernels.exaq.layouts import (
    code_beat,
    row_complement,
    row_reports,
    summed_row,
)
from exaq_hdl.kernels.exaq.tables.provider import SumReader
from exaq_hdl.kernels.exaq.tables.words import row_tables
from exaq_hdl.parts.arithmetic import ones, tree_depth
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.enables import clocked
from exaq_hdl.shell.streams import item, live_lanes


class Accumulator(Component):
    """Sum S of the exponentials of a row's live elements, and of its sink.

    Given as its complement ~S where the unit divides, which spares whoever subtracts it an
    inverter for every bit; else as it is.
    Latency ``latency`` cycles from a row's last beat to its sum; throughput 1 beat per cycle, rows
    back to back. Exact: nothing rounds or overflows. LUT_sum counts every lane that is not live as
    level 0, so E_0 is taken off again once for each. The sink's exponential is what a row's running
    sum starts from.

    Parameters
    ----------
    kernel
        EXAQ's parameters.
    sums
        Reader of LUT_sum.
    chip
        Whether it is for a chip, where registers that need not change are not clocked.

    Members
    -------
    i : stream of code_beat, in, always ready
    totals : array of the beat's LUT_sum entries, in, one a group; they come ``sums.latency``
        cycles after the beat
    o : stream of row_complement, or of summed_row where the unit does not divide, out, always
        ready; one item a row
    live : with sinks and contexts: whether the row of ``o`` has a live element
    ... : the ports of ``sums``
    """

    def __init__(self, kernel: Exaq, sums: SumReader, *, chip: bool = False):
        self.kernel = check_exaq(kernel)
        self._sums = sums
        self._chip = chip
        self._divides = kernel.format.gives_probabilities
        self.latency = sums.latency + tree_depth(kernel.groups) + 2
        # A sum tells of live elements, unless there is a sink in it; contexts count such rows.
        self._tells_live = bool(kernel.sinks) and bool(kernel.format.contexts)
        super().__init__(
            {
                "i": In(stream.Signature(code_beat(kernel), always_ready=True)),
                "totals": In(data.ArrayLayout(kernel.group_sum_bits, kernel.groups)),
                "o": Out(
                    stream.Signature(
                        row_complement(kernel) if self._divides else summed_row(kernel),
                        always_ready=True,
                    )
                ),
                **({"live": Out(1)} if self._tells_live else {}),
                **self._sums.ports,
            }
        )

    @property
    def empty_row(self) -> Value:
        """Pulse: the row whose sum comes has no live element."""
        # A live row's sum is at least that of its maximum, which is not 0.
        if self._tells_live:
            return self.o.valid & ~self.live
        if self._divides:
            return self.o.valid & item(self.o.payload, "complement").all()
        return self.o.valid & ~item(self.o.payload, "sum").any()

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel = self.kernel

        def register(value: Value, name: str) -> Signal:
            result = Signal.like(value, name=name, reset_less=True)
            m.d.sync += result.eq(value)
            return result

        def add_up(values: Sequence[Value], name: str) -> Value:
            level = 0
            while len(values) > 1:
                pairs = [values[k : k + 2] for k in range(0, len(values), 2)]
                values = [
                    register(sum(pair[1:], pair[0]), f"{name}_level{level}_{k}")
                    for k, pair in enumerate(pairs)
                ]
                level += 1
            return values[0]

        live = live_lanes(kernel.format, self.i.payload)
        idle_counts = []
        for g in range(kernel.groups):
            lanes = ~live[g * kernel.group : (g + 1) * kernel.group]
            idle_counts.append(register(ones(lanes), f"group{g}_idle"))
        idle = add_up(idle_counts, "idle")

        names = row_tables(kernel) | row_reports(kernel)
        fields = {name: self.i.payload[name] for name in names}
        excess = self._sums.excess(m, self, idle)
        total = add_up([self.totals[g] for g in range(kernel.groups)], "total")
        step = Signal(signed(len(total) + 1), name="negative", reset_less=True)
        if not self._divides:
            step = Signal(len(total), name="positive", reset_less=True)
        m.d.sync += step.eq(excess - total if self._divides else total - excess)

        if kernel.sinks:
            fields["sink"] = self.i.payload.sink
        if self._tells_live:
            fields["live"] = live.any()
        valid, last = self.i.valid, self.i.payload.last
        for k in range(self.latency - 1):
            stage = Signal(name=f"stage{k}_valid")
            m.d.sync += stage.eq(valid)
            valid, last = stage, register(last, f"stage{k}_last")
            fields = {name: register(f, f"stage{k}_{name}") for name, f in fields.items()}
            if k == tree_depth(kernel.groups):
                self._sums.excess_of(m, valid, idle, fields)
                if kernel.sinks:
                    sink = self._sums.sink(m, self, valid, fields)
                    del fields["sink"]
        if self._tells_live:
            self._tell_live(m, fields.pop("live"), valid, last)

        # The complement goes from -1 down by the beats' totals: -1 - S is ~S.
        start, name = (-1, "complement") if self._divides else (0, "sum")
        running = Signal(kernel.sum_bits, init=start)
        summed = Signal(kernel.sum_bits, name=name)
        row_sum = Signal(kernel.sum_bits, reset_less=True)
        m.d.comb += [summed.eq(running + step), item(self.o.payload, name).eq(row_sum)]
        ends = valid & last
        with clocked(m, ends, chip=self._chip):
            m.d.sync += row_sum.eq(summed)
        m.d.sync += self.o.valid.eq(ends)
        for name, value in fields.items():
            with clocked(m, ends, chip=self._chip):
                of_row = register(value, f"row_{name}")
            m.d.comb += self.o.payload[name].eq(of_row)
        if kernel.sinks:
            self._start_from(m, sink, running, summed, valid, last)
            return m
        with m.If(valid & last):
            m.d.sync += running.eq(start)
        with m.Elif(valid):
            m.d.sync += running.eq(summed)
        return m

    def _start_from(
        self,
        m: Module,
        sink: Value,
        running: Signal,
        summed: Signal,
        valid: Value,
        last: Value,
    ) -> None:
        """Go on with the beats' totals, and in front of a row's first beat with ``sink``.

        ``sink`` is that of the beat a cycle before it is ``valid``. Where none comes then, no row
        is begun yet, and the next cycle's takes its place.
        """
        begun = Signal()
        with m.If(valid):
            m.d.sync += begun.eq(~last)
        with m.If(valid & ~last):
            m.d.sync += running.eq(summed)
        with m.Elif(valid | ~begun):
            above = Const(0).replicate(len(running) - len(sink))
            m.d.sync += running.eq(~Cat(sink, above) if self._divides else sink)

    def _tell_live(self, m: Module, beat_live: Value, valid: Value, last: Value) -> None:
        found = Signal()
        with m.If(valid):
            m.d.sync += found.eq(~last & (found | beat_live))
        m.d.sync += self.live.eq(found | beat_live)
