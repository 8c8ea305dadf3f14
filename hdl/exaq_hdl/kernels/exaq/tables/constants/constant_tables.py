"""Readers of tables that are constants."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring

from exaq import Exaq
from exaq_hdl.kernels.division.reader import ExponentialReader, Ring
from exaq_hdl.kernels.exaq.tables.banks.loaded_tables import RowThresholdReader
from exaq_hdl.kernels.exaq.tables.constants.exp_rom import ExpRom
from exaq_hdl.kernels.exaq.tables.constants.sum_rom import SumRom
from exaq_hdl.kernels.exaq.tables.float_thresholds import FloatThresholds
from exaq_hdl.kernels.exaq.tables.provider import (
    SumReader,
    Tables,
    ThresholdReader,
)
from exaq_hdl.kernels.exaq.tables.thermometer import count
from exaq_hdl.kernels.exaq.tables.words import constant_sink, row_tables
from exaq_hdl.parts.component import Component, Stream
from exaq_hdl.parts.lookup import lookup
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.streams import item

# Bits of a distance up to which a table of codes takes no more logic than comparisons do.
_TABLE_BITS = 8
# Levels up to which a chip's gates find a code in the cycle in which they subtract.
_ONE_CYCLE_LEVELS = 8


class ConstantTables(Tables):
    """Thresholds in gates, LUT_sum in ROMs, exponentials in gates."""

    prelude = 0

    def __init__(self, kernel: Exaq, memories: Memories):
        self._kernel = kernel
        self._memories = memories
        self.least_maximum = constant_sink(kernel) if kernel.sinks else 0

    def thresholds(self) -> ThresholdReader:
        return ConstantThresholds(self._kernel, self._memories)

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


class ConstantFloatTables(ConstantTables):
    """The same for floating-point logits: each row gets the borders that it is compared with."""

    def __init__(self, kernel: Exaq, memories: Memories):
        super().__init__(kernel, memories)
        self.prepare = FloatThresholds.latency_of(kernel)

    @cached_property
    def row_thresholds(self) -> FloatThresholds:
        return FloatThresholds(self._kernel, memories=self._memories)

    @property
    def blocks(self) -> dict[str, Component]:
        return {"row_thresholds": self.row_thresholds}

    def thresholds(self) -> ThresholdReader:
        return RowThresholdReader(self._kernel)

    def rows(self, of_quantizer: Stream) -> Stream:
        self._of_quantizer = of_quantizer
        return self.row_thresholds.i

    def connect(self, m: Module, unit: Any, normalisation: Any) -> None:
        wiring.connect(m, self.row_thresholds.o, self._of_quantizer)


class ConstantThresholds(ThresholdReader):
    """Compares an element's distance below the maximum with constants, or looks its code up.

    In an FPGA a distance of few bits goes into the lookup's gates as it comes from a register; in a
    chip it needs none.
    """

    row_name = "maximum"

    def __init__(self, kernel: Exaq, memories: Memories):
        self.row_shape = kernel.format.logit_width
        self.row_fields = row_tables(kernel)
        few = self.row_shape <= _TABLE_BITS and kernel.levels <= _ONE_CYCLE_LEVELS
        self.latency = 1 if memories.chip and few else 2
        self._kernel = kernel
        # Code k and those above it are reached up to this distance.
        self._reaches = [-threshold for threshold in kernel.tables.thresholds]
        # Distances of more bits get code 0 by the synchronous reset of the code registers, as do
        # lanes that are not live.
        self._near = min(self._reaches[0].bit_length(), self.row_shape)

    def find_code(
        self, m: Module, lane: int, logit: Value, row: Value, live: Value, code: Value
    ) -> None:
        distance = self._one_before(m, row - logit, f"lane{lane}_distance")
        near, far = distance[: self._near], distance[self._near :].any()
        m.d.sync += code.eq(Mux(live & ~far, code_within(near, self._reaches), 0))

    def find_sink(self, m: Module, row: Any, code: Value) -> None:
        # The sink is a constant too: it has a code up to a maximum that is so far above it.
        maximum = self._one_before(m, item(row, self.row_name), "sink_maximum")
        limits = [constant_sink(self._kernel) + reach for reach in self._reaches]
        m.d.sync += code.eq(code_within(maximum, limits))

    def _one_before(self, m: Module, value: Value, name: str) -> Value:
        """``value``, in the cycle before its code."""
        if self.latency == 1:
            return value[: self.row_shape]
        register = Signal(self.row_shape, name=name, reset_less=True)
        m.d.sync += register.eq(value)
        return register


def code_within(value: Value, limits: Sequence[int]) -> Value:
    """How many of the constant ``limits``, which do not rise, ``value`` is at most."""
    if len(value) > _TABLE_BITS:
        return count([within(value, limit) for limit in limits])
    codes = [sum(each <= limit for limit in limits) for each in range(2 ** len(value))]
    return table(value, [Const(code, len(limits).bit_length()) for code in codes])


def within(value: Value, most: int) -> Value:
    """Whether ``value`` is at most the constant ``most``.

    Written as one gate a bit, from the lowest up: a constant leaves so little of a comparison
    that logic beats a carry chain.
    """
    if most >> len(value):
        return Const(1)
    result: Value = Const(1)
    for k, bit in enumerate(value):
        result = ~bit | result if most >> k & 1 else ~bit & result
    return result


def table(address: Value, constants: Sequence[Const]) -> Value:
    """constants[address], 2**len(address) of them: a multiplexer wherever two halves differ."""
    if len({each.value for each in constants}) == 1:
        return constants[0]
    half = len(constants) // 2
    low, high = constants[:half], constants[half:]
    return Mux(address[-1], table(address[:-1], high), table(address[:-1], low))


class ConstantSums(SumReader):
    """LUT_sum in a ROM for each group; the excess of idle lanes in gates."""

    table_name = "sum_rom"

    def __init__(self, kernel: Exaq, memories: Memories):
        self._kernel = kernel
        self._memories = memories
        self.latency = SumRom.latency_in(memories)

    def sum_table(self) -> SumRom:
        return SumRom(self._kernel, memories=self._memories)

    def look_up(self, m: Module, table: Any, beat: Any, valid: Value) -> None:
        pass

    def excess(self, m: Module, accumulator: Any, idle: Value) -> Value:
        lanes, lowest = self._kernel.format.lanes, self._kernel.tables.exp_rom[0]
        excess = Signal(range(lowest * lanes + 1), reset_less=True)
        looked_up = m.d.sync if self.latency > 1 else m.d.comb
        looked_up += excess.eq(lookup(idle, [n * lowest for n in range(lanes + 1)]))
        return excess

    def excess_of(self, m: Module, valid: Value, idle: Value, row: dict[str, Value]) -> None:
        pass

    def sink(self, m: Module, accumulator: Any, valid: Value, row: dict[str, Value]) -> Value:
        code = Signal(self._kernel.bits, name="sink_code", reset_less=True)
        kept = m.d.sync if self.latency > 1 else m.d.comb
        kept += code.eq(row["sink"])
        exponential = Signal(self._kernel.exp_bits, name="sink_exponential")
        m.d.comb += exponential.eq(lookup(code, self._kernel.tables.exp_rom))
        return exponential


class ConstantExponentials(ExponentialReader):
    """E_k by gates."""

    prelude = 0

    def __init__(self, kernel: Exaq):
        self._kernel = kernel

    def look_up(self, m: Module, divider: Any, ring: Ring) -> tuple[Value, Value]:
        m.submodules.exp_rom = exps = ExpRom(self._kernel)
        m.d.comb += exps.code.eq(ring.level)
        return exps.exponential, Const(1)

    def pass_on(self, m: Module, normalizer: Any, divider: Any) -> None:
        pass
