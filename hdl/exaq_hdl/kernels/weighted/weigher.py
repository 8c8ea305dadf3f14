"""First pass: from logits to stored words and weights."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq_hdl.kernels.weighted.datapath import Datapath, check_datapath
from exaq_hdl.kernels.weighted.steps import Steps
from exaq_hdl.kernels.weighted.weighted_layouts import stored_beat, weight_beat
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.parts.pipeline import Pipeline
from exaq_hdl.shell.streams import row_beat, row_flags


class Weigher(Component):
    """Stored word and weight of each element, from its distance to the row's maximum.

    The distance, maximum minus logit, is in a register after 1 cycle, then the kernel's ``weigh``
    follows. Latency ``latency`` cycles; throughput 1 beat per cycle. A beat of a row is taken when
    the row's maximum is there and ``room`` was high a cycle ago; then nothing stalls it any more.
    Exact: distances are never negative where an element is live. Lanes that are not live weigh 0,
    and have the kernel's word for zero where it has one.

    Parameters
    ----------
    datapath
        What the kernel's lanes compute.
    memories
        Makes their tables.

    Members
    -------
    i : stream of row_beat, in
    maximum : stream of logit_width bits, in; one item a row, taken with the row's last beat
    room : Signal(1), in; whether those behind can take another beat
    stored : stream of stored_beat, out, always ready
    weights : stream of weight_beat, out, always ready; valid with ``stored``
    """

    def __init__(self, datapath: Datapath, *, memories: Memories = SIMULATED):
        self._datapath = check_datapath(datapath)
        self._memories = memories
        self.latency = 2 + datapath.weigh_latency
        #: Cycles from a look at ``room`` to the beat on the outputs that follows from it.
        self.reaction = 1 + self.latency
        kernel = datapath.kernel
        super().__init__(
            {
                "i": In(stream.Signature(row_beat(kernel.format))),
                "maximum": In(stream.Signature(kernel.format.logit_width)),
                "room": In(1),
                "stored": Out(stream.Signature(stored_beat(kernel), always_ready=True)),
                "weights": Out(stream.Signature(weight_beat(kernel), always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, format = self._datapath.kernel, self._datapath.kernel.format
        beat = self.i.payload
        room, ready = Signal(), Signal()
        m.d.sync += room.eq(self.room)
        m.d.comb += [
            ready.eq(self.maximum.valid & room),
            self.i.ready.eq(ready),
            self.maximum.ready.eq(self.i.valid & room & beat.last),
        ]
        pipeline = Pipeline(m, self.latency, self.i.valid & ready, Const(0))
        end = self.latency
        flags = {name: [pipeline.carry(0, beat[name], name, end - 1)] for name in row_flags(format)}
        live = flags["live" if format.partial_rows else "tail"][0]
        stored, weights = self.stored.payload, self.weights.payload
        for lane in range(format.lanes):
            name = f"lane{lane}"
            # Lanes that are not live hold the lowest logit, so none is above the maximum.
            apart = (self.maximum.payload - beat.logits[lane])[: format.logit_width]
            distance = pipeline.step(0, apart, f"{name}_distance")
            steps = Steps(m, pipeline, first=1, name=name, memories=self._memories)
            word, weight = self._datapath.weigh(steps, distance)
            if kernel.zero is not None:
                word = Mux(live[lane], word, Const(kernel.zero, kernel.stored_bits))
            weight = Mux(live[lane], weight, 0)
            m.d.comb += [
                stored.stored[lane].eq(pipeline.step(end - 1, word, f"{name}_stored")),
                weights.weights[lane].eq(pipeline.step(end - 1, weight, f"{name}_weight")),
            ]
        for name, values in flags.items():
            values.append(pipeline.step(end - 1, values[0], name))
            if name in dict(stored_beat(kernel)):
                m.d.comb += stored[name].eq(values[1])
        m.d.comb += [
            self.stored.valid.eq(pipeline.held[end]),
            self.weights.valid.eq(pipeline.held[end]),
            weights.last.eq(flags["last"][1]),
        ]
        return m
