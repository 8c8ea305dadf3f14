"""Turns a head's outputs into octets."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq_fpga.gateware.messages.row_writer import pick
from exaq_fpga.gateware.octets import OCTETS
from exaq_hdl.attention.attention_head import head_fields
from exaq_hdl.parts.component import Component
from exaq_hdl.shell.ports import layout

_OCTET = 8


class OutputWriter(Component):
    """Gives the outputs of beats octet by octet, the first one first, each lowest octet first.

    Latency 0 cycles; throughput 1 octet per cycle. A beat is taken with its last octet.
    Back-pressure on ``o`` holds its payload, and stops ``i``.

    Parameters
    ----------
    config, outputs_per_beat
        As of ``AttentionHead``.

    Members
    -------
    i : stream of head_fields
    o : OCTETS
    row : pulse: all octets of a row are taken
    error : with ``row``: the unit flagged it
    """

    def __init__(self, config: AttentionConfig, outputs_per_beat: int):
        self.octets = outputs_per_beat * config.output_width // _OCTET
        fields = layout(head_fields(config, outputs_per_beat))
        super().__init__(
            {"i": In(stream.Signature(fields)), "o": Out(OCTETS), "row": Out(1), "error": Out(1)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        beat: Any = self.i.payload
        outputs = Value.cast(beat.outputs)
        place = Signal(range(max(self.octets, 2)))
        last_place = place == self.octets - 1
        moved = self.o.valid & self.o.ready
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.o.payload.eq(
                pick(place, [outputs.word_select(k, _OCTET) for k in range(self.octets)])
            ),
            self.i.ready.eq(moved & last_place),
            self.row.eq(self.i.ready & beat.last),
            self.error.eq(beat.error),
        ]
        with m.If(moved):
            m.d.sync += place.eq(Mux(last_place, 0, place + 1))
        return m
