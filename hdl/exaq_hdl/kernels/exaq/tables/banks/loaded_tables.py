"""Readers of tables in banks, and what fills the banks."""

from functools import cached_property
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from exaq import Exaq
from exaq_hdl.kernels.exaq.tables.banks.boot import Boot
from exaq_hdl.kernels.exaq.tables.banks.context_map import ContextMap
from exaq_hdl.kernels.exaq.tables.banks.exp_ram import ExpRam
from exaq_hdl.kernels.exaq.tables.banks.row_thresholds import RowThresholds, reached_layout
from exaq_hdl.kernels.exaq.tables.banks.sum_ram import ExcessRam, SumRam
from exaq_hdl.kernels.exaq.tables.banks.table_loader import TableLoader
from exaq_hdl.kernels.exaq.tables.float_thresholds import FloatThresholds
from exaq_hdl.kernels.exaq.tables.provider import (
    ExponentialReader,
    Ring,
    RingStart,
    SumReader,
    Tables,
    ThresholdReader,
)
from exaq_hdl.kernels.exaq.tables.thermometer import count
from exaq_hdl.kernels.exaq.tables.words import (
    excess_word,
    exponential_word,
    row_context,
    row_tables,
)
from exaq_hdl.kernels.kernel_unit import ClosedRow
from exaq_hdl.parts.assembly import late
from exaq_hdl.parts.component import Component, Stream
from exaq_hdl.parts.counters import increment
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.loads import REFUSAL


class LoadedTables(Tables):
    """A bank of tables for each context, and a spare one that is loaded.

    A row goes by the tables that its context has when the row's last beat is taken: those of the
    last load whose ``loaded`` came in that cycle or before. No load disturbs a row, of its own
    context or another, or holds one back. After reset every context is loaded with the
    configuration's ``context_tables``; until then the unit takes no beat.
    """

    def __init__(self, kernel: Exaq, memories: Memories):
        self._kernel = kernel
        self._memories = memories
        self.prelude = LoadedExponentials.prelude
        self._borders = FloatThresholds if kernel.format.float_format else RowThresholds
        self.prepare = self._borders.latency_of(kernel)
        self.row_fields = row_tables(kernel)
        load = Boot.period * 2 * kernel.levels + TableLoader.latency_of(kernel)
        self.boot_cycles = kernel.format.contexts * load

    # Made when they are asked for: whoever wants readers alone makes no blocks.
    @cached_property
    def row_thresholds(self) -> RowThresholds | FloatThresholds:
        return self._borders(self._kernel, memories=self._memories)

    @cached_property
    def table_loader(self) -> TableLoader:
        return TableLoader(self._kernel)

    @cached_property
    def boot(self) -> Boot:
        return Boot(self._kernel, memories=self._memories)

    def thresholds(self) -> ThresholdReader:
        return RowThresholdReader(self._kernel)

    def sums(self) -> SumReader:
        return LoadedSums(self._kernel, self._memories)

    def exponentials(self) -> ExponentialReader:
        return LoadedExponentials(self._kernel, self._memories)

    def rows(self, of_quantizer: Stream) -> Stream:
        self._of_quantizer = of_quantizer
        return self.row_thresholds.i

    def expect_rows(self, rows: int) -> None:
        self.context_map = ContextMap(self._kernel, rows=rows, memories=self._memories)

    def admit(self, room: Value) -> Value:
        return room & ~self.boot.active

    def row_values(self, m: Module, row: ClosedRow) -> dict[str, Value]:
        """From a row's context to its bank."""
        self._map_delay = row.since_taken - 1
        m.d.comb += [self.context_map.row_in.eq(row.last), self.context_map.context.eq(row.context)]
        # The number that a row came with is told at its end, also where no context has it.
        now = {
            name: late(m, row.numbered, ContextMap.latency, name)
            for name in row_context(self._kernel)
        } | {"bank": self.context_map.bank}
        rest = row.maximum_latency - ContextMap.latency
        return {name: late(m, now[name], rest, name) for name in self.row_fields}

    @property
    def blocks(self) -> dict[str, Component]:
        return {
            "context_map": self.context_map,
            "row_thresholds": self.row_thresholds,
            "boot": self.boot,
            "table_loader": self.table_loader,
        }

    def connect(self, m: Module, unit: Any, normalisation: Any) -> None:
        """From loaded words to the banks."""
        wiring.connect(m, self.row_thresholds.o, self._of_quantizer)
        loader, boot, context_map = self.table_loader, self.boot, self.context_map
        row_done = Signal()
        m.d.sync += row_done.eq(normalisation.row_done)
        # The map hears of a load as much later as it is asked for the banks of rows.
        commit, filling = loader.commit, boot.active
        for k in range(self._map_delay):
            delayed = {"commit": commit, "filling": filling}
            commit, filling = (Signal(name=f"{name}_late{k}") for name in delayed)
            m.d.sync += [commit.eq(delayed["commit"]), filling.eq(delayed["filling"])]
        wiring.connect(m, boot.o, loader.boot)
        wiring.connect(m, wiring.flipped(unit.load), loader.i)
        m.d.comb += [
            loader.booting.eq(boot.active),
            boot.next.eq(loader.commit),
            context_map.row_out.eq(row_done),
            context_map.target.eq(loader.target),
            context_map.commit.eq(commit),
            context_map.filling.eq(filling),
            loader.spare.eq(context_map.spare),
            loader.free.eq(context_map.free),
            unit.loaded.eq(loader.commit & ~boot.active),
            unit.refused.eq(loader.refused),
            unit.busy.eq(~loader.idle | boot.active),
        ]
        wiring.connect(m, loader.thresholds, self.row_thresholds.store)
        wiring.connect(m, loader.excesses, normalisation.accumulator.store)
        if normalisation.exponentials_store is not None:
            wiring.connect(m, loader.exponentials, normalisation.exponentials_store)
        for table in normalisation.sum_tables.values():
            m.d.comb += [
                table.store.valid.eq(loader.sums.valid),
                table.store.payload.eq(loader.sums.payload),
            ]

    def manifest(self) -> dict[str, Any]:
        return {
            "cycles_after_reset": self.boot_cycles,
            "cycles_of_a_load": TableLoader.latency_of(self._kernel),
            "refused_bits": [name for name, _ in REFUSAL],
        }


class RowThresholdReader(ThresholdReader):
    """Compares logits with the row's own thresholds."""

    row_name = "reached"

    def __init__(self, kernel: Exaq):
        self._levels = kernel.levels
        self.row_shape = reached_layout(kernel)

    def find_code(
        self, m: Module, lane: int, logit: Value, row: Value, live: Value, code: Value
    ) -> None:
        hits = Signal(self._levels - 1, name=f"lane{lane}_hits", reset_less=True)
        m.d.sync += [
            hits.eq(Cat(logit >= row[k] for k in range(len(hits)))),
            code.eq(Mux(live, count(hits), 0)),
        ]


class LoadedSums(SumReader):
    """LUT_sum in RAMs for each group; the excess of idle lanes in a RAM."""

    latency = SumRam.latency
    table_name = "sum_ram"

    def __init__(self, kernel: Exaq, memories: Memories):
        self._kernel = kernel
        self._memories = memories
        self._excess_ram = ExcessRam(kernel, memories=memories)
        self.ports = {"store": In(stream.Signature(excess_word(kernel), always_ready=True))}

    def sum_table(self) -> SumRam:
        return SumRam(self._kernel, memories=self._memories)

    def look_up(self, m: Module, table: Any, beat: Any, valid: Value) -> None:
        m.d.comb += [table.bank.eq(beat.bank), table.enable.eq(valid)]

    def excess(self, m: Module, accumulator: Any, idle: Value) -> Value:
        m.submodules.excess_ram = ram = self._excess_ram
        wiring.connect(m, wiring.flipped(accumulator.store), ram.store)
        return ram.excess

    def excess_of(self, m: Module, valid: Value, idle: Value, row: dict[str, Value]) -> None:
        ram = self._excess_ram
        m.d.comb += [ram.enable.eq(valid), ram.bank.eq(row["bank"]), ram.lanes.eq(idle)]


class LoadedExponentials(ExponentialReader):
    """E_k from a RAM, looked up for each row before its first batch."""

    # ExpRam's latency, and a batch's last two cycles, in which the first two exponentials enter
    # the ring.
    prelude = ExpRam.latency + 2

    def __init__(self, kernel: Exaq, memories: Memories):
        self._ram = ExpRam(kernel, memories=memories)
        self.ports = {"store": In(stream.Signature(exponential_word(kernel), always_ready=True))}

    def start(self, units: int, batch: int) -> RingStart:
        return RingStart(cycle=batch - self.prelude, level=0, entering=0, remainder=0)

    def begin(self, m: Module, divider: Any, ring: Ring) -> Value:
        m.submodules.exp_ram = exps = self._ram
        wiring.connect(m, wiring.flipped(divider.store), exps.store)
        # Low in the prelude, whose last cycles are those of a batch but give nothing.
        self._primed = primed = Signal(name="primed")
        self._early = ~primed & ring.cycle[-self.prelude : -2].any()
        # Whether this is a row's last cycle, known from the one before.
        self._last = Signal(name="last")
        self._ring = ring
        m.d.comb += [
            exps.step.eq(ring.run & (ring.fetch | self._early)),
            exps.bank.eq(divider.i.payload.bank),
            exps.code.eq(ring.level),
        ]
        return exps.exponential

    def row_ends(self, run: Value) -> Value:
        return run & self._last

    def advance(self, m: Module) -> None:
        cycle, level = self._ring.cycle, self._ring.level
        primed, last = self._primed, self._last
        with m.If(self._early):
            m.d.sync += level.eq(increment(level))
        with m.If(cycle[-1]):
            m.d.sync += primed.eq(1)
        m.d.sync += last.eq(cycle[-2] & primed & (level == ExpRam.latency))
        with m.If(last):
            start = cycle.init
            m.d.sync += [cycle.eq(start), primed.eq(0), level.eq(0), self._ring.entering.eq(0)]

    def given(self, quotient: Value) -> Value:
        return quotient & self._primed

    def pass_on(self, m: Module, normalizer: Any, divider: Any) -> None:
        m.d.comb += [
            divider.store.valid.eq(normalizer.store.valid),
            divider.store.payload.eq(normalizer.store.payload),
        ]
