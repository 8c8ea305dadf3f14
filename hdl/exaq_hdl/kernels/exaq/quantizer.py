"""From logits to codes."""

from contextlib import nullcontext
from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_exaq
from exaq_hdl.kernels.exaq.layouts import code_beat
from exaq_hdl.kernels.exaq.tables.provider import ThresholdReader
from exaq_hdl.kernels.exaq.tables.words import row_origin, row_tables
from exaq_hdl.parts.component import Component, Stream
from exaq_hdl.shell.streams import item, logit_of, row_beat, row_flags, with_fields


class Quantizer(Component):
    """Code of each element: how many thresholds its distance from the row's maximum reaches.

    Latency ``latency`` cycles; throughput 1 beat per cycle. A beat of a row is taken when the row's
    maximum is there and ``room`` was high a cycle ago; then nothing stalls it any more, but where
    the unit gives codes: there ``o`` is its output, whose back-pressure holds the payload, stops
    what is behind it, and stops ``i``. Exact: equal to the authors' quantizer for every logit
    (docs/numerics.md). Lanes that are not live get code 0. The code of a row's
    sink comes with every beat.

    Parameters
    ----------
    kernel
        EXAQ's parameters.
    thresholds
        Reader of the thresholds.

    Members
    -------
    i : stream of row_beat, in
    ``thresholds.row_name`` : stream of ``thresholds.row_shape`` with its ``row_fields``, in; one
        item a row, taken with the row's last beat; also as ``row``
    room : Signal(1), in; whether those behind can take another beat
    o : stream of code_beat, out; always ready where the unit gives probabilities
    """

    def __init__(self, kernel: Exaq, thresholds: ThresholdReader):
        self.kernel = check_exaq(kernel)
        self._thresholds = thresholds
        self.latency = thresholds.latency
        #: Cycles from a look at ``room`` to the beat on ``o`` that follows from it.
        self.reaction = self.latency + 1
        self._stalls = kernel.format.output == "codes"
        row = with_fields(thresholds.row_name, thresholds.row_shape, thresholds.row_fields)
        super().__init__(
            {
                "i": In(stream.Signature(row_beat(kernel.format))),
                thresholds.row_name: In(stream.Signature(row)),
                "room": In(1),
                "o": Out(stream.Signature(code_beat(kernel), always_ready=not self._stalls)),
            }
        )

    @property
    def row(self) -> Stream:
        """The stream of what a row's beats are compared with."""
        return getattr(self, self._thresholds.row_name)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, row = self.kernel, self.row
        room, ready, valid = Signal(), Signal(), Signal()
        free: Value = room
        moves: Any = nullcontext()
        if self._stalls:
            advance = Signal()
            m.d.comb += advance.eq(~self.o.valid | self.o.ready)
            free, moves = room & advance, m.If(advance)
        m.d.comb += [
            ready.eq(row.valid & free),
            self.i.ready.eq(ready),
            row.ready.eq(self.i.valid & free & self.i.payload.last),
        ]
        m.d.sync += room.eq(self.room)
        out: Any = Signal(code_beat(kernel), reset_less=True)
        m.d.comb += self.o.payload.eq(out)
        with moves:
            taken = self.i.valid & ready
            if self.latency > 1:
                m.d.sync += valid.eq(taken)
                taken = valid
            m.d.sync += self.o.valid.eq(taken)
            self._quantize(m, out)
        return m

    def _quantize(self, m: Module, out: Any) -> None:
        """The steps from a beat to its codes, the last one into the register ``out``."""
        kernel, row = self.kernel, self.row
        flags = {name: self.i.payload[name] for name in row_flags(kernel.format)}
        flags |= {name: row.payload[name] for name in row_tables(kernel)}
        if row_origin(kernel):
            flags["maximum"] = logit_of(kernel.format, item(row.payload, "maximum"))
        # The flags as they are in the cycle before the codes.
        held = {}
        for name, flag in flags.items():
            if self.latency > 1:
                held[name] = Signal.like(flag, name=f"held_{name}", reset_less=True)
                m.d.sync += held[name].eq(flag)
            else:
                held[name] = flag
            m.d.sync += out[name].eq(held[name])
        if kernel.sinks:
            self._thresholds.find_sink(m, row.payload, out.sink)
        live = held["live" if kernel.format.partial_rows else "tail"]
        compared = item(row.payload, self._thresholds.row_name)
        for lane in range(kernel.format.lanes):
            logit = self.i.payload.logits[lane]
            self._thresholds.find_code(m, lane, logit, compared, live[lane], out.codes[lane])
