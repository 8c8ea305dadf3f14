"""The softmax unit."""

from amaranth.hdl import Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.accumulator import Accumulator
from exaq_hdl.beats import choice_beat, live_lanes, logit_beat, probability_beat, row_beat
from exaq_hdl.emitter import Emitter, choose
from exaq_hdl.fifo import FallThroughFifo, Fifo
from exaq_hdl.normalizer import Normalizer
from exaq_hdl.quantizer import Quantizer
from exaq_hdl.receiver import Receiver
from exaq_hdl.row_max import RowMax
from exaq_hdl.sum_rom import SumRom


def add_named(m, name: str, component: wiring.Component):
    """Makes ``component`` a submodule and puts its name on its ports.

    Ports of different blocks are then told apart by name in Verilog and in waveforms.
    """
    m.submodules[name] = component
    for path, _, port in component.signature.flatten(component):
        Value.cast(port).name = "_".join([name, *map(str, path)])


class Softmax(wiring.Component):
    """Streaming EXAQ softmax: rows of logits in, rows of probabilities out.

    Latency: the first beat of a row of n beats leaves n + ``latency`` cycles after its last beat
    was taken, where nothing before it has to wait. Throughput: rows of ``full_rate_row``
    elements and more, in any mixture, are taken at 1 beat per cycle for ever; rows of one
    length also leave so, while a longer row behind a shorter one makes the output wait for its
    sum. Back-pressure on ``o`` holds its payload and, once the buffers are full, stops ``i``;
    nothing is lost. Bit-exact with ``exaq.softmax``. ``i.ready`` and everything on ``o`` are
    registers.

    Members
    -------
    i : stream of logit_beat
    o : stream of probability_beat
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        self.receiver = Receiver(config)
        self.row_max = RowMax(config)
        self.quantizer = Quantizer(config)
        self.sum_roms = [SumRom(config) for _ in range(config.groups)]
        self.accumulator = Accumulator(config)
        self.normalizer = Normalizer(config)
        self.emitter = Emitter(config)

        # A row waits in the row buffer for its maximum, and in the code FIFO for its table;
        # both times its followers go on arriving.
        find_max = self.row_max.latency + FallThroughFifo.latency
        find_sum = self.accumulator.latency + Fifo.latency
        make_table = find_sum + self.normalizer.latency + self.emitter.latency
        rows = -(-(config.beats + make_table) // config.full_rate_beats) + 1
        self.row_buffer = Fifo(
            row_beat(config),
            capacity=config.beats + find_max,
            slack=self.receiver.reaction + 1,
        )
        self.max_queue = FallThroughFifo(
            config.logit_width,
            capacity=rows,
            slack=self.receiver.reaction + self.row_max.latency + 1,
        )
        self.code_fifo = Fifo(
            choice_beat(config),
            capacity=config.beats + make_table,
            slack=self.quantizer.reaction + 1,
        )
        self.sum_queue = Fifo(
            config.sum_bits,
            capacity=rows,
            slack=self.quantizer.reaction + self.accumulator.latency + 1,
            lazy=True,
        )
        self.latency = self.receiver.latency + find_max + self.quantizer.latency + make_table - 1
        super().__init__(
            {
                "i": In(stream.Signature(logit_beat(config))),
                "o": Out(stream.Signature(probability_beat(config))),
            }
        )

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
            self.receiver.room.eq(self.row_buffer.room & self.max_queue.room),
            self.row_max.i.valid.eq(self.receiver.o.valid),
            self.row_max.i.payload.eq(self.receiver.o.payload),
        ]
        wiring.connect(m, self.row_max.o, self.max_queue.i)
        wiring.connect(m, self.row_buffer.o, self.quantizer.i)
        wiring.connect(m, self.max_queue.o, self.quantizer.maximum)

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
        wiring.connect(m, self.accumulator.o, self.sum_queue.i)
        wiring.connect(m, self.sum_queue.o, self.normalizer.i)
        wiring.connect(m, self.code_fifo.o, self.emitter.i)
        wiring.connect(m, self.normalizer.o, self.emitter.table)
        wiring.connect(m, self.emitter.o, wiring.flipped(self.o))
        return m
