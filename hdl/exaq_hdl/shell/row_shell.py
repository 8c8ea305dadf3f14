"""The softmax unit."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.kernels.exaq.accumulator import Accumulator
from exaq_hdl.kernels.exaq.normalizer import Normalizer
from exaq_hdl.kernels.exaq.output import Emitter, choose
from exaq_hdl.kernels.exaq.quantizer import Quantizer
from exaq_hdl.kernels.exaq.tables.boot import Boot
from exaq_hdl.kernels.exaq.tables.context_map import ContextMap
from exaq_hdl.kernels.exaq.tables.row_thresholds import RowThresholds
from exaq_hdl.kernels.exaq.tables.sum_ram import SumRam
from exaq_hdl.kernels.exaq.tables.sum_rom import SumRom
from exaq_hdl.kernels.exaq.tables.table_loader import TableLoader
from exaq_hdl.parts.fifo import FallThroughFifo, Fifo
from exaq_hdl.shell.beats import (
    choice_beat,
    events,
    live_lanes,
    load_word,
    logit_beat,
    of_row,
    probability_beat,
    refusal,
    row_beat,
    row_tables,
)
from exaq_hdl.shell.receiver import Receiver
from exaq_hdl.shell.row_max import RowMax


def add_named(m, name: str, component: wiring.Component):
    """Makes ``component`` a submodule and puts its name on its ports.

    Ports of different blocks are then told apart by name in Verilog and in waveforms.
    """
    m.submodules[name] = component
    for path, _, port in component.signature.flatten(component):
        Value.cast(port).name = "_".join([name, *map(str, path)])


def unit_ports(config: SoftmaxConfig) -> dict[str, wiring.Member]:
    """The ports of ``Softmax``, and of whatever stands in its place."""
    ports = {
        "i": In(stream.Signature(logit_beat(config))),
        "o": Out(stream.Signature(probability_beat(config))),
    }
    if config.contexts:
        ports |= {
            "load": In(stream.Signature(load_word(config))),
            "loaded": Out(1),
            "refused": Out(refusal(config)),
            "busy": Out(1),
            "events": Out(events(config)),
        }
    return ports


class Softmax(wiring.Component):
    """Streaming EXAQ softmax: rows of logits in, rows of probabilities out.

    Latency: the first beat of a row of n beats leaves n + ``latency`` cycles after its last beat
    was taken, where nothing before it has to wait. Throughput: rows of ``full_rate_row``
    elements and more, in any mixture, are taken at 1 beat per cycle for ever; rows of one
    length also leave so, while a longer row behind a shorter one makes the output wait for its
    sum. Back-pressure on ``o`` holds its payload and, once the buffers are full, stops ``i``;
    nothing is lost. Bit-exact with ``exaq.softmax``. ``i.ready`` and everything on ``o`` are
    registers.

    With contexts, tables can be loaded at any time. A row goes by the tables that its context
    has when the row's last beat is taken: those of the last load whose ``loaded`` came in that
    cycle or before.
    No load disturbs a row, of its own context or another, or holds one back. After reset the
    unit first loads the configuration's ``context_tables``; until then it takes no beat.

    Members
    -------
    i : stream of logit_beat
    o : stream of probability_beat
    load : with contexts: stream of load_word, see TableLoader; waits while tables are made and
        while rows use the tables that the load before has replaced
    loaded : with contexts: pulse, a load is in effect
    refused : with contexts: refusal, for one cycle: a load was refused, no table has changed
    busy : with contexts: from reset until the cycle before ``i.ready``, and from a load's first
        word until ``loaded`` or ``refused``
    events : with contexts: events of each cycle, a cycle late
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        self.receiver = Receiver(config)
        self.row_max = RowMax(config)
        self.quantizer = Quantizer(config)
        sum_table = SumRam if config.contexts else SumRom
        self.sum_roms: list[Any] = [sum_table(config) for _ in range(config.groups)]
        self.accumulator = Accumulator(config)
        self.normalizer = Normalizer(config)
        self.emitter = Emitter(config)

        # A row waits in the row buffer for its maximum, and in the code FIFO for its table;
        # both times its followers go on arriving.
        find_max = self.row_max.latency + FallThroughFifo.latency
        if config.contexts:
            self.row_thresholds = RowThresholds(config)
            find_max += self.row_thresholds.latency
        find_sum = self.accumulator.latency + Fifo.latency
        make_table = find_sum + self.normalizer.latency + self.emitter.latency
        rows = -(-(config.beats + make_table) // config.full_rate_beats) + 1
        self.row_buffer = Fifo(
            row_beat(config),
            capacity=config.beats + find_max,
            slack=self.receiver.reaction + 1,
        )
        self.max_queue = FallThroughFifo(
            of_row(config, "maximum", config.logit_width),
            capacity=rows,
            slack=self.receiver.reaction + self.row_max.latency + 1,
        )
        self.code_fifo = Fifo(
            choice_beat(config),
            capacity=config.beats + make_table,
            slack=self.quantizer.reaction + 1,
        )
        self.sum_queue = Fifo(
            of_row(config, "complement", config.sum_bits),
            capacity=rows,
            slack=self.quantizer.reaction + self.accumulator.latency + 1,
            lazy=True,
        )
        self.latency = self.receiver.latency + find_max + self.quantizer.latency + make_table - 1
        #: Cycles after reset until beats are taken, beyond the one that every unit needs.
        self.boot_cycles = 0
        if config.contexts:
            # Rows wait in these queues, and between them a row a cycle can be on its way.
            queues = self.max_queue.fifo.depth + self.sum_queue.depth
            self.context_map = ContextMap(config, rows=queues + self.latency)
            self.table_loader = TableLoader(config)
            self.boot = Boot(config)
            load = Boot.period * 2 * config.levels + self.table_loader.latency
            self.boot_cycles = config.contexts * load
        super().__init__(unit_ports(config))

    def elaborate(self, platform):
        # From the receiver to the row buffer and from the quantizer to the code FIFO beats
        # run free: `room` is looked at before one starts, never on its way.
        m = Module()
        add_named(m, "receiver", self.receiver)
        add_named(m, "row_max", self.row_max)
        add_named(m, "row_buffer", self.row_buffer)
        add_named(m, "max_queue", self.max_queue)
        add_named(m, "quantizer", self.quantizer)
        add_named(m, "code_fifo", self.code_fifo)
        add_named(m, "accumulator", self.accumulator)
        add_named(m, "sum_queue", self.sum_queue)
        add_named(m, "normalizer", self.normalizer)
        add_named(m, "emitter", self.emitter)

        wiring.connect(m, wiring.flipped(self.i), self.receiver.i)
        wiring.connect(m, self.receiver.o, self.row_buffer.i)
        m.d.comb += [
            self.receiver.room.eq(self._room()),
            self.row_max.i.valid.eq(self.receiver.o.valid),
            self.row_max.i.payload.eq(self.receiver.o.payload),
        ]
        if self.config.contexts:
            self._choose_tables(m)
            self._load_tables(m)
            self._watch(m)
        else:
            wiring.connect(m, self.row_max.o, self.max_queue.i)
            wiring.connect(m, self.max_queue.o, self.quantizer.maximum)
        wiring.connect(m, self.row_buffer.o, self.quantizer.i)

        beat, stored = self.quantizer.o.payload, self.code_fifo.i.payload
        live = live_lanes(self.config, beat)
        for lane in range(self.config.lanes):
            for field, value in choose(beat.codes[lane], live[lane]).items():
                m.d.comb += stored.choices[lane][field].eq(value)
        m.d.comb += [
            self.code_fifo.i.valid.eq(self.quantizer.o.valid),
            stored.tail.eq(beat.tail),
            stored.last.eq(beat.last),
            stored.error.eq(beat.error),
            self.quantizer.room.eq(self.code_fifo.room & self.sum_queue.room),
            self.accumulator.i.valid.eq(self.quantizer.o.valid),
            self.accumulator.i.payload.eq(beat),
        ]
        bits = self.config.bits * self.config.group
        codes = beat.codes.as_value()
        for g, sum_rom in enumerate(self.sum_roms):
            add_named(m, f"sum_rom{g}", sum_rom)
            m.d.comb += [
                sum_rom.codes.eq(codes.word_select(g, bits)),
                self.accumulator.totals[g].eq(sum_rom.total),
            ]
            if self.config.contexts:
                m.d.comb += [
                    sum_rom.bank.eq(beat.bank),
                    sum_rom.enable.eq(self.quantizer.o.valid),
                    sum_rom.store.valid.eq(self.table_loader.sums.valid),
                    sum_rom.store.payload.eq(self.table_loader.sums.payload),
                ]
        wiring.connect(m, self.accumulator.o, self.sum_queue.i)
        wiring.connect(m, self.sum_queue.o, self.normalizer.i)
        wiring.connect(m, self.code_fifo.o, self.emitter.i)
        wiring.connect(m, self.normalizer.o, self.emitter.table)
        wiring.connect(m, self.emitter.o, wiring.flipped(self.o))
        return m

    def _room(self):
        room = self.row_buffer.room & self.max_queue.room
        return room & ~self.boot.active if self.config.contexts else room

    def _choose_tables(self, m):
        """From a row's context to its bank, and with its maximum to its thresholds."""
        add_named(m, "context_map", self.context_map)
        add_named(m, "row_thresholds", self.row_thresholds)
        context_map = self.context_map
        last = self.receiver.o.valid & self.receiver.o.payload.last
        m.d.comb += context_map.row_in.eq(last)
        tables = {}
        if self.config.context_bits:
            tables["context"] = late(m, self.receiver.context, ContextMap.latency, "context")
            known = self.receiver.context
            if hasattr(self.receiver, "unknown"):
                known = Mux(self.receiver.unknown, 0, known)
            m.d.comb += context_map.context.eq(known)
        tables["bank"] = context_map.bank

        row = self.max_queue.i.payload
        m.d.comb += [
            self.max_queue.i.valid.eq(self.row_max.o.valid),
            row.maximum.eq(self.row_max.o.payload),
        ]
        rest = self.row_max.latency - ContextMap.latency
        for name in row_tables(self.config):
            m.d.comb += row[name].eq(late(m, tables[name], rest, name))
        wiring.connect(m, self.max_queue.o, self.row_thresholds.i)
        wiring.connect(m, self.row_thresholds.o, self.quantizer.reached)

    def _load_tables(self, m):
        """From loaded words to the banks."""
        add_named(m, "boot", self.boot)
        add_named(m, "table_loader", self.table_loader)
        loader, boot, context_map = self.table_loader, self.boot, self.context_map
        row_done = Signal()
        m.d.sync += row_done.eq(self.normalizer.o.valid & self.normalizer.o.ready)
        wiring.connect(m, boot.o, loader.boot)
        wiring.connect(m, wiring.flipped(self.load), loader.i)
        m.d.comb += [
            loader.booting.eq(boot.active),
            boot.next.eq(loader.commit),
            context_map.row_out.eq(row_done),
            context_map.target.eq(loader.target),
            context_map.commit.eq(loader.commit),
            context_map.filling.eq(boot.active),
            loader.spare.eq(context_map.spare),
            loader.free.eq(context_map.free),
            self.loaded.eq(loader.commit & ~boot.active),
            self.refused.eq(loader.refused),
            self.busy.eq(~loader.idle | boot.active),
        ]
        wiring.connect(m, loader.thresholds, self.row_thresholds.store)
        wiring.connect(m, loader.excesses, self.accumulator.store)
        wiring.connect(m, loader.levels, self.normalizer.store)

    def _watch(self, m):
        left = self.o.valid & self.o.ready
        row_sum = self.accumulator.o
        m.d.sync += [
            self.events.row.eq(left & self.o.payload.last),
            self.events.beat.eq(left),
            self.events.input_stalled.eq(self.i.valid & ~self.i.ready),
            self.events.output_stalled.eq(self.o.valid & ~self.o.ready),
            self.events.long_row.eq(self.receiver.long_row),
            # A live row's sum is at least that of its maximum, which is not 0.
            self.events.masked_row.eq(row_sum.valid & row_sum.payload.complement.all()),
        ]


def late(m, value, cycles: int, name: str):
    """``value`` a number of cycles later."""
    for k in range(cycles):
        register = Signal.like(value, name=f"{name}_late{k}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value
