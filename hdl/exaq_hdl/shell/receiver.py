"""First block of the unit: takes beats in and closes rows that are too long."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import StreamFormat
from exaq.float_format import FloatFormat
from exaq_hdl.checks import check_format
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.counters import LFSR_START, lfsr_next, lfsr_state, lfsr_width
from exaq_hdl.shell.row_reports import Cycle, row_reports
from exaq_hdl.shell.streams import logit_beat, row_beat
from exaq_hdl.shell.window import Window


class Receiver(Component):
    """Registers beats for the free-running blocks behind it.

    Latency 1 cycle, 2 with windows; throughput 1 beat per cycle. ``i.ready`` is a register that
    follows ``room`` one cycle later. Logits become offset binary, lanes that are not live become
    the lowest logit, so that nobody behind has to tell them apart to find a maximum. A lane is
    live that holds an element, unless that is masked: by its ``live`` bit, by the row's window, or
    by being the mask value. Floating-point numbers become their keys; those that are not finite
    are not live, and a row that has a NaN or +inf where it would be live gets ``error`` with its
    last beat. A row that
    reaches ``max_row`` elements without ``last`` is closed there with ``error`` set; its
    further beats, up to and with ``last``, are dropped.

    Members
    -------
    i : stream of logit_beat, in
    room : Signal(1), in; whether those behind can take another beat
    o : stream of row_beat, out, always ready
    ... : those of ``row_reports``, out, which say more of the row whose last beat is on ``o``
    """

    latency = 1

    @staticmethod
    def reaction_of(format: StreamFormat) -> int:
        """Cycles from a look at ``room`` to the beat on ``o`` that follows from it."""
        return 2 + (Window.latency if format.window else 0)

    def __init__(self, format: StreamFormat):
        self.format = check_format(format)
        if format.window:
            self.latency += Window.latency
        self.reaction = self.reaction_of(format)
        self._reports = row_reports(format)
        super().__init__(
            {
                "i": In(stream.Signature(logit_beat(format))),
                "room": In(1),
                "o": Out(stream.Signature(row_beat(format), always_ready=True)),
            }
            | {name: port for each in self._reports for name, port in each.ports.items()}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        beat = self.i.payload
        out: Any = Signal(row_beat(self.format), reset_less=True)
        m.d.comb += self.o.payload.eq(out)
        accept = Signal()
        dropping = Signal()
        full = Signal()
        m.d.comb += accept.eq(self.i.valid & self.i.ready)
        if self.format.window:
            beat, accept, kept = self._compared(m, beat, accept)
        m.d.sync += [self.i.ready.eq(self.room), self.o.valid.eq(accept & ~dropping)]

        if self.format.beats == 1:
            m.d.comb += full.eq(1)
        else:
            width = lfsr_width(self.format.beats)
            count = Signal(width, init=LFSR_START)
            m.d.comb += full.eq(count == lfsr_state(width, self.format.beats - 1))
            with m.If(accept & (beat.last | full)):
                m.d.sync += count.eq(LFSR_START)
            with m.Elif(accept & ~dropping):
                m.d.sync += count.eq(lfsr_next(count))
        with m.If(accept):
            m.d.sync += dropping.eq(~beat.last & (dropping | full))

        floats = self.format.float_format
        # Lanes whose element puts its row in error.
        bad = Signal(self.format.lanes)
        for lane in range(self.format.lanes):
            tail = Signal(name=f"lane{lane}_tail")
            live = Signal(name=f"lane{lane}_live")
            m.d.comb += tail.eq(~beat.last | beat.tail[lane])
            logit = beat.logits[lane].as_unsigned()
            offset, lowest = Cat(logit[:-1], ~logit[-1]), 0
            part: Value = tail
            if self.format.masking:
                part = part & beat.live[lane]
            if self.format.window:
                part = part & kept[lane]
            if self.format.mask_value == "lowest":
                part = part & offset.any()
            if floats is not None:
                finite, wrong = of_float(floats, logit)
                m.d.comb += bad[lane].eq(part & wrong)
                part = part & finite
                offset = Cat(logit[:-1] ^ logit[-1].replicate(len(logit) - 1), ~logit[-1])
                lowest = floats.lowest + (1 << (len(logit) - 1))
            m.d.comb += live.eq(part)
            if self.format.partial_rows:
                m.d.sync += out.live[lane].eq(live)
            m.d.sync += [out.tail[lane].eq(tail), out.logits[lane].eq(Mux(live, offset, lowest))]
        too_long = full & ~beat.last
        m.d.sync += [out.last.eq(beat.last | full), out.error.eq(too_long)]
        cycle = Cycle(
            beat=beat,
            taken=accept & ~dropping,
            closes=beat.last | full,
            too_long=too_long,
            bad=bad.any(),
            out=out,
        )
        for report in self._reports:
            report.watch(m, self, cycle)
        return m

    def _compared(self, m: Module, beat: Any, accept: Signal) -> tuple[Any, Signal, Value]:
        """A cycle later: the beat, whether it was taken, and its lanes within the row's window."""
        m.submodules.window = window = Window(self.format)
        m.d.comb += [
            window.start.eq(beat.start),
            window.stop.eq(beat.stop),
            window.taken.eq(accept),
            window.last.eq(beat.last),
        ]
        held: Any = Signal.like(beat, name="held", reset_less=True)
        taken = Signal()
        m.d.sync += [held.eq(beat), taken.eq(accept)]
        return held, taken, window.kept


def of_float(floats: FloatFormat, bits: Value) -> tuple[Value, Value]:
    """Whether a number of the format is finite, and whether it is NaN or +inf."""
    finite = ~bits[floats.mantissa : -1].all()
    return finite, ~finite & (~bits[-1] | bits[: floats.mantissa].any())
