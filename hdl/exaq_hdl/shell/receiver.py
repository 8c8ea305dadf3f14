"""First block of the unit: takes beats in and closes rows that are too long."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.parts.counters import LFSR_START, lfsr_next, lfsr_state, lfsr_width
from exaq_hdl.shell.beats import logit_beat, row_beat


class Receiver(wiring.Component):
    """Registers beats for the free-running blocks behind it.

    Latency 1 cycle; throughput 1 beat per cycle. ``i.ready`` is a register that follows
    ``room`` one cycle later. Logits become offset binary, lanes that are not live become the
    lowest logit, so that nobody behind has to tell them apart to find a maximum. A row that
    reaches ``max_row`` elements without ``last`` is closed there with ``error`` set; its
    further beats, up to and with ``last``, are dropped. A row whose context does not exist goes
    by context 0, with ``error`` set.

    Members
    -------
    i : stream of logit_beat
    room : whether those behind can take another beat
    o : stream of row_beat, always ready
    context : with several contexts, that of the row whose last beat is on ``o``
    unknown : where not every context number exists: that of this row does not
    long_row : the row whose last beat is on ``o`` was too long; with contexts only
    """

    latency = 1
    #: Cycles from a look at ``room`` to the beat on ``o`` that follows from it.
    reaction = 2

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        super().__init__(
            {
                "i": In(stream.Signature(logit_beat(config))),
                "room": In(1),
                "o": Out(stream.Signature(row_beat(config), always_ready=True)),
            }
            | ({"context": Out(config.context_bits)} if config.context_bits else {})
            | ({"unknown": Out(1)} if 0 < config.contexts < 1 << config.context_bits else {})
            | ({"long_row": Out(1)} if config.contexts else {})
        )

    def elaborate(self, platform):
        m = Module()
        beat = self.i.payload
        out = Signal(row_beat(self.config), reset_less=True)
        m.d.comb += self.o.payload.eq(out)
        accept = Signal()
        dropping = Signal()
        full = Signal()
        m.d.comb += accept.eq(self.i.valid & self.i.ready)
        m.d.sync += [self.i.ready.eq(self.room), self.o.valid.eq(accept & ~dropping)]

        if self.config.beats == 1:
            m.d.comb += full.eq(1)
        else:
            width = lfsr_width(self.config.beats)
            count = Signal(width, init=LFSR_START)
            m.d.comb += full.eq(count == lfsr_state(width, self.config.beats - 1))
            with m.If(accept & (beat.last | full)):
                m.d.sync += count.eq(LFSR_START)
            with m.Elif(accept & ~dropping):
                m.d.sync += count.eq(lfsr_next(count))
        with m.If(accept):
            m.d.sync += dropping.eq(~beat.last & (dropping | full))

        for lane in range(self.config.lanes):
            tail = Signal(name=f"lane{lane}_tail")
            live = Signal(name=f"lane{lane}_live")
            m.d.comb += tail.eq(~beat.last | beat.tail[lane])
            if self.config.masking:
                m.d.comb += live.eq(tail & beat.live[lane])
                m.d.sync += out.live[lane].eq(live)
            else:
                m.d.comb += live.eq(tail)
            logit = beat.logits[lane].as_unsigned()
            offset = Cat(logit[:-1], ~logit[-1])
            m.d.sync += [out.tail[lane].eq(tail), out.logits[lane].eq(Mux(live, offset, 0))]
        too_long = full & ~beat.last
        m.d.sync += [out.last.eq(beat.last | full), out.error.eq(too_long)]
        if self.config.contexts:
            m.d.sync += self.long_row.eq(accept & ~dropping & too_long)
        if self.config.context_bits:
            m.d.sync += self.context.eq(beat.context)
        if hasattr(self, "unknown"):
            unknown = beat.context >= self.config.contexts
            m.d.sync += self.unknown.eq(unknown)
            with m.If(unknown & (beat.last | full)):
                m.d.sync += out.error.eq(1)
        return m
