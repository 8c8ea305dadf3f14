"""Readers of tables that are constants."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value

from exaq import Exaq
from exaq_hdl.kernels.exaq.tables.constants.exp_rom import ExpRom, lookup
from exaq_hdl.kernels.exaq.tables.constants.sum_rom import SumRom
from exaq_hdl.kernels.exaq.tables.provider import (
    ExponentialReader,
    Ring,
    RingStart,
    SumReader,
    Tables,
    ThresholdReader,
)
from exaq_hdl.kernels.exaq.tables.thermometer import count
from exaq_hdl.kernels.exaq.tables.words import row_tables
from exaq_hdl.parts.component import Stream
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.streams import item, offset_binary


class ConstantTables(Tables):
    """Thresholds in gates, LUT_sum in ROMs, exponentials in gates."""

    prelude = 0

    def __init__(self, kernel: Exaq, memories: Memories):
        self._kernel = kernel
        self._memories = memories
        self.least_maximum = constant_sink(kernel) if kernel.sinks else 0

    def thresholds(self) -> ThresholdReader:
        return ConstantThresholds(self._kernel)

    def sums(self) -> SumReader:
        return ConstantSums(self._kernel, self._memories)

    def exponentials(self) -> ExponentialReader:
        return ConstantExponentials(self._kernel)

    def rows(self, of_quantizer: Stream) -> Stream:
        return of_quantizer

    def expect_rows(self, rows: int) -> None:
        pass

    def connect(self, m: Module, unit: Any, normalisation: Any) -> None:
        pass


def constant_sink(kernel: Exaq) -> int:
    """The sink that all rows of a unit without contexts share, in offset binary."""
    return offset_binary(kernel.format, kernel.format.sink_key(kernel.sinks[0]))


class ConstantThresholds(ThresholdReader):
    """Compares an element's distance from the maximum with constants."""

    row_name = "maximum"

    def __init__(self, kernel: Exaq):
        self._kernel = kernel
        self.row_shape = width = kernel.format.logit_width
        # Distances below -2**near get code 0 by the synchronous reset of the code registers,
        # as do lanes that are not live; the comparisons see `near` bits and a sign.
        self._thresholds = [max(threshold, -(2**width)) for threshold in kernel.tables.thresholds]
        lowest = self._thresholds[0]
        self.row_fields = row_tables(kernel)
        self._near = (-lowest - 1).bit_length() if lowest else 0

    def find_code(
        self, m: Module, lane: int, logit: Value, row: Value, live: Value, code: Value
    ) -> None:
        near = self._near
        difference = Signal(self.row_shape + 1, name=f"lane{lane}_difference", reset_less=True)
        m.d.sync += difference.eq(logit - row)
        low, high, negative = difference[:near], difference[near:-1], difference[-1]
        far = negative & ~high.all() if len(high) else Const(0)
        reached = [reaches(low, negative, threshold) for threshold in self._thresholds]
        m.d.sync += code.eq(Mux(live & ~far, count(reached), 0))

    def find_sink(self, m: Module, row: Any, code: Value) -> None:
        # The sink is a constant too: it reaches a threshold where the maximum is near enough.
        maximum = item(row, self.row_name)
        beyond = [constant_sink(self._kernel) - threshold + 1 for threshold in self._thresholds]
        hits = Signal(len(beyond), name="sink_hits", reset_less=True)
        m.d.sync += code.eq(count(hits))
        for k, limit in enumerate(beyond):
            # No maximum is beyond what its width holds.
            reached = Const(1) if limit >> len(maximum) else ~at_least(maximum, limit)
            m.d.sync += hits[k].eq(reached)


def reaches(low: Value, negative: Value, threshold: int) -> Value:
    """Whether a difference <= 0 is at or above a constant ``threshold`` <= 0.

    The difference, at least -2**len(low), comes as its low bits and its sign; so does the
    threshold. Written as one gate a bit, from the lowest up: a constant leaves so little of a
    comparison that logic beats a carry chain.
    """
    return ~negative | at_least(low, threshold) if threshold else ~negative


def at_least(bits: Value, constant: int) -> Value:
    """Whether unsigned ``bits`` are at or above the lowest bits of ``constant``."""
    result: Value = Const(1)
    for k, bit in enumerate(bits):
        result = bit & result if constant >> k & 1 else bit | result
    return result


class ConstantSums(SumReader):
    """LUT_sum in a ROM for each group; the excess of idle lanes in gates."""

    latency = SumRom.latency
    table_name = "sum_rom"

    def __init__(self, kernel: Exaq, memories: Memories):
        self._kernel = kernel
        self._memories = memories

    def sum_table(self) -> SumRom:
        return SumRom(self._kernel, memories=self._memories)

    def look_up(self, m: Module, table: Any, beat: Any, valid: Value) -> None:
        pass

    def excess(self, m: Module, accumulator: Any, idle: Value) -> Value:
        lanes, lowest = self._kernel.format.lanes, self._kernel.tables.exp_rom[0]
        excess = Signal(range(lowest * lanes + 1), reset_less=True)
        m.d.sync += excess.eq(lookup(idle, [n * lowest for n in range(lanes + 1)]))
        return excess

    def excess_of(self, m: Module, valid: Value, idle: Value, row: dict[str, Value]) -> None:
        pass

    def sink(self, m: Module, accumulator: Any, valid: Value, row: dict[str, Value]) -> Value:
        code = Signal(self._kernel.bits, name="sink_code", reset_less=True)
        m.d.sync += code.eq(row["sink"])
        exponential = Signal(self._kernel.exp_bits, name="sink_exponential")
        m.d.comb += exponential.eq(lookup(code, self._kernel.tables.exp_rom))
        return exponential


class ConstantExponentials(ExponentialReader):
    """E_k by gates. A row's first ones enter the ring while the row before is finished."""

    prelude = 0

    def __init__(self, kernel: Exaq):
        self._kernel = kernel

    def start(self, units: int, batch: int) -> RingStart:
        exponentials = self._kernel.tables.exp_rom
        return RingStart(
            cycle=0,
            level=(1 if units == 1 else 2) % self._kernel.levels,
            entering=0 if units == 1 else exponentials[1],
            remainder=exponentials[0],
        )

    def begin(self, m: Module, divider: Any, ring: Ring) -> Value:
        m.submodules.exp_rom = exps = ExpRom(self._kernel)
        self._end = ring.cycle[-1]
        self._last = ring.level == 1 if divider.units < self._kernel.levels else Const(1)
        m.d.comb += exps.code.eq(ring.level)
        return exps.exponential

    def row_ends(self, run: Value) -> Value:
        return run & self._end & self._last

    def advance(self, m: Module) -> None:
        pass

    def given(self, quotient: Value) -> Value:
        return quotient

    def pass_on(self, m: Module, normalizer: Any, divider: Any) -> None:
        pass
