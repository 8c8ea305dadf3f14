"""Codes of rows meet values that come with each row, from outside."""

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq_hdl.attention.level_layouts import softmax_fields, value_fields
from exaq_hdl.attention.streamed_scores import streamed_row_note
from exaq_hdl.parts.component import Component
from exaq_hdl.shell.ports import Field, Fields, layout


class StreamedValues(Component):
    """Joins each beat of codes with a beat of values, and says which rows are in error.

    A row whose values end before its codes goes on without any; of one whose codes end first the
    other values are taken and dropped. Both are in error, and the next row is right again.

    Latency 0 cycles; throughput a beat a cycle. ``values.ready`` comes from registers and
    ``codes.valid``, not from ``values.valid``.

    Parameters
    ----------
    config
        The head's parameters.

    Members
    -------
    values : stream of streamed_value_fields, in
    codes : stream of softmax_fields, in: codes, or probabilities
    row : stream of streamed_row_note, in: what each row is; taken with its last beat
    o : stream of value_fields, out
    error : stream of a bit for each row, always ready, out: with its last beat's leaving here
    room : whether ``error`` can be taken, in; looked at ``reaction`` cycles before it is told
    """

    latency = 0
    #: Cycles from a look at ``room`` until what was then let through is counted behind ``error``.
    reaction = 1

    def __init__(self, config: AttentionConfig):
        self.config = config
        codes = layout(softmax_fields(config))
        super().__init__(
            {
                "values": In(stream.Signature(layout(streamed_value_fields(config)))),
                "codes": In(stream.Signature(codes)),
                "row": In(stream.Signature(streamed_row_note(config))),
                "o": Out(stream.Signature(layout(value_fields(config)))),
                "error": Out(stream.Signature(1, always_ready=True)),
                "room": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        values, codes, out = self.values, self.codes, self.o
        # The row's values have ended before its codes, or the other way round.
        ended, dropping = Signal(), Signal()
        may, taken, ends = Signal(), Signal(), Signal()
        m.d.comb += [
            may.eq(codes.valid & self.row.valid & self.room & ~dropping),
            out.valid.eq(may & (values.valid | ended)),
            taken.eq(out.valid & out.ready),
            ends.eq(taken & codes.payload.last),
            codes.ready.eq(taken),
            values.ready.eq(dropping | (may & out.ready & ~ended)),
            self.row.ready.eq(ends),
            self.error.valid.eq(ends),
            self.error.payload.eq(self.row.payload.error | ended | ~values.payload.last),
            Value.cast(out.payload["values"]).eq(Value.cast(values.payload["values"])),
        ]
        for name in value_fields(self.config):
            if name != "values":
                m.d.comb += out.payload[name].eq(codes.payload[name])
        with m.If(dropping):
            m.d.sync += dropping.eq(~(values.valid & values.payload.last))
        with m.Elif(taken):
            m.d.sync += [
                ended.eq((ended | values.payload.last) & ~ends),
                dropping.eq(ends & ~ended & ~values.payload.last),
            ]
        return m


def streamed_value_fields(config: AttentionConfig) -> Fields:
    """A beat of values, for one row of q."""
    width = config.value_width
    values = data.ArrayLayout(config.head_size * width, config.lanes)
    meaning = f"values, lane 0 lowest, each of signed elements, {width} bits, the first lowest"
    return {
        "values": Field(values, meaning),
        "last": Field(1, "last beat of a row's values"),
    }
