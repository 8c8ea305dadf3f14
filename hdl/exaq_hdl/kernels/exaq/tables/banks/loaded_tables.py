"""Readers of tables in banks, and what fills the banks."""

from functools import cached_property
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from exaq import Exaq
from exaq_hdl.kernels.division.reader import ExponentialReader, Ring
from exaq_hdl.kernels.exaq.tables.banks.boot import Boot
from exaq_hdl.kernels.exaq.tables.banks.context_map import ContextMap
from exaq_hdl.kernels.exaq.tables.banks.exp_ram import ExpRam
from exaq_hdl.kernels.exaq.tables.banks.row_thresholds import RowThresholds, reached_layout
from exaq_hdl.kernels.exaq.tables.banks.sum_ram import ExcessRam, SinkRam, SumRam
from exaq_hdl.kernels.exaq.tables.banks.table_loader import TableLoader
from exaq_hdl.kernels.exaq.tables.float_thresholds import FloatThresholds
from exaq_hdl.kernels.exaq.tables.provider import (
    SumReader,
    Tables,
    ThresholdReader,
)
from exaq_hdl.kernels.exaq.tables.thermometer import count
from exaq_hdl.kernels.exaq.tables.words import (
    excess_word,
    exponential_word,
    row_context,
    row_origin,
    row_sink,
    row_tables,
)
from exaq_hdl.kernels.kernel_unit import ClosedRow
from exaq_hdl.parts.assembly import late
from exaq_hdl.parts.component import Component, Stream
from exaq_hdl.parts.counters import increment
from exaq_hdl.parts.memory import Memories
from exaq_hdl.shell.loads import refusal


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
        load = Boot.period * kernel.load_length + TableLoader.latency_of(kernel)
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
        if self._kernel.sinks:
            levels = normalisation.accumulator.levels
            m.d.comb += [
                levels.valid.eq(loader.exponentials.valid),
                levels.payload.eq(loader.exponentials.payload),
            ]
        for table in normalisation.sum_tables.values():
            m.d.comb += [
                table.store.valid.eq(loader.sums.valid),
                table.store.payload.eq(loader.sums.payload),
            ]

    def manifest(self) -> dict[str, Any]:
        return {
            "cycles_after_reset": self.boot_cycles,
            "cycles_of_a_load": TableLoader.latency_of(self._kernel),
            "refused_bits": [name for name, _ in refusal(self._kernel.format)],
        }


class RowThresholdReader(ThresholdReader):
    """Compares logits with the row's own thresholds."""

    row_name = "reached"

    def __init__(self, kernel: Exaq):
        self._levels = kernel.levels
        self.row_shape = reached_layout(kernel)
        self.row_fields = row_tables(kernel) | row_origin(kernel) | row_sink(kernel)

    def find_code(
        self, m: Module, lane: int, logit: Value, row: Value, live: Value, code: Value
    ) -> None:
        hits = Signal(self._levels - 1, name=f"lane{lane}_hits", reset_less=True)
        m.d.sync += [
            hits.eq(Cat(logit >= row[k] for k in range(len(hits)))),
            code.eq(Mux(live, count(hits), 0)),
        ]

    def find_sink(self, m: Module, row: Any, code: Value) -> None:
        m.d.sync += code.eq(late(m, row.sink, 1, "sink"))


class LoadedSums(SumReader):
    """LUT_sum in RAMs for each group; the excess of idle lanes, and E_k of sinks, in a RAM each."""

    latency = SumRam.latency
    table_name = "sum_ram"

    def __init__(self, kernel: Exaq, memories: Memories):
        self._kernel = kernel
        self._memories = memories
        self._excess_ram = ExcessRam(kernel, memories=memories)
        self.ports = {"store": In(stream.Signature(excess_word(kernel), always_ready=True))}
        if kernel.sinks:
            self._sink_ram = SinkRam(kernel, memories=memories)
            levels = stream.Signature(exponential_word(kernel), always_ready=True)
            self.ports["levels"] = In(levels)

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

    def sink(self, m: Module, accumulator: Any, valid: Value, row: dict[str, Value]) -> Value:
        m.submodules.sink_ram = ram = self._sink_ram
        wiring.connect(m, wiring.flipped(accumulator.levels), ram.store)
        m.d.comb += [ram.enable.eq(valid), ram.bank.eq(row["bank"]), ram.code.eq(row["sink"])]
        return ram.exponential


class LoadedExponentials(ExponentialReader):
    """E_k from a RAM, whose lookups are ahead of the divider by the RAM's latency."""

    prelude = ExpRam.latency

    def __init__(self, kernel: Exaq, memories: Memories):
        self._ram = ExpRam(kernel, memories=memories)
        self.ports = {"store": In(stream.Signature(exponential_word(kernel), always_ready=True))}

    def look_up(self, m: Module, divider: Any, ring: Ring) -> tuple[Value, Value]:
        m.submodules.exp_ram = exps = self._ram
        wiring.connect(m, wiring.flipped(divider.store), exps.store)
        # Lookups of the row that are on their way.
        ahead = Signal(ExpRam.latency)
        there = ahead[-1]
        code = Signal.like(ring.level, name="code")
        m.d.comb += [
            exps.step.eq(ring.fetch | (divider.i.valid & ~there)),
            exps.bank.eq(divider.i.payload.bank),
            exps.code.eq(code),
        ]
        with m.If(exps.step):
            m.d.sync += [ahead.eq(Cat(1, ahead)), code.eq(increment(code))]
        # The next row may have another bank.
        with m.If(ring.row_ends):
            m.d.sync += [ahead.eq(0), code.eq(0)]
        return exps.exponential, there

    def pass_on(self, m: Module, normalizer: Any, divider: Any) -> None:
        m.d.comb += [
            divider.store.valid.eq(normalizer.store.valid),
            divider.store.payload.eq(normalizer.store.payload),
        ]
