"""Second pass: from stored words to probabilities, once the row's item is there."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq_hdl.kernels.weighted.datapath import Datapath, check_datapath
from exaq_hdl.kernels.weighted.steps import RowItem, Steps
from exaq_hdl.kernels.weighted.weighted_layouts import row_item, stored_beat
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.item_ahead import ItemAhead
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.parts.pipeline import Pipeline
from exaq_hdl.shell.streams import live_lanes, probability_beat


class WeightedEmitter(Component):
    """Gives each stored word its probability, 0 in lanes that are not live.

    It holds two row items: that of the row whose beats it takes, and the next row's, which is
    fetched meanwhile. Latency ``latency`` cycles from an item offered to the row's first beat,
    ``beat_latency`` from beat to beat; throughput 1 beat per cycle, rows of two beats and more
    back to back where the next row's item is there in time. Back-pressure on ``o`` holds its
    payload; the beats behind it close up, then ``i`` stops.

    Parameters
    ----------
    datapath
        What the kernel's lanes compute.
    memories
        Makes their tables.

    Members
    -------
    i : stream of stored_beat, in; taken once its row's item was
    row : stream of row_item, in; one item a row
    o : stream of probability_beat, out
    """

    def __init__(self, datapath: Datapath, *, memories: Memories = SIMULATED):
        self._datapath = check_datapath(datapath)
        self._memories = memories
        self.beat_latency = datapath.emit_latency + 1
        self.latency = 2 + self.beat_latency
        kernel = datapath.kernel
        super().__init__(
            {
                "i": In(stream.Signature(stored_beat(kernel))),
                "row": In(stream.Signature(row_item(kernel))),
                "o": Out(stream.Signature(probability_beat(kernel.format))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel, format = self._datapath.kernel, self._datapath.kernel.format
        beat, out = self.i.payload, self.o.payload

        ahead = ItemAhead(m, self.row, row_item(kernel), "row_now")
        row, readable = ahead.now, ahead.readable
        end = self.beat_latency
        pipeline = Pipeline(m, end, self.i.valid & readable, ~self.o.ready)
        take = Signal()
        m.d.comb += [
            self.i.ready.eq(readable & pipeline.moves[0]),
            take.eq(self.i.valid & self.i.ready),
            self.o.valid.eq(pipeline.held[end]),
        ]
        ahead.move(take & beat.last)
        for name in ("tail", "last", "error"):
            m.d.comb += out[name].eq(pipeline.carry(0, beat[name], name, end))
        if kernel.zero is None:
            live = pipeline.carry(0, live_lanes(format, beat), "live", end - 1)
        fields = RowItem(pipeline, {name: row[name] for name in kernel.row_fields})
        for lane in range(format.lanes):
            name = f"lane{lane}"
            steps = Steps(m, pipeline, first=0, name=name, memories=self._memories)
            probability = self._datapath.emit(steps, beat.stored[lane], fields)
            if kernel.zero is None:
                probability = Mux(live[lane], probability, 0)
            given = pipeline.step(end - 1, probability, f"{name}_probability")
            m.d.comb += out.probabilities[lane].eq(given)
        return m
