"""The sums of values by level behind AXI4-Stream ports."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq_hdl.attention.level_sums import LevelSums
from exaq_hdl.shell.axi_unit import AxiUnit, whole_bytes
from exaq_hdl.shell.ports import SignalPort


class AxiLevelSums(AxiUnit):
    """AXI4-Stream top: ``LevelSums`` with codes, values and sums in whole bytes.

    What a unit of codes gives connects as it is: its ``m_axis_tuser`` is ``s_axis_tuser``, its
    ``m_axis_tdata`` the lowest bytes of ``s_axis_tdata``, and the sum in its ``m_row_tdata``
    ``s_row_tdata``. Latency and throughput are the unit's. ``aresetn`` is synchronous to ``aclk``
    and active low. Every output but ``s_row_tready`` is a register.

    Members
    -------
    s_axis_tdata : codes, packed, lane 0 lowest, up to whole bytes; above these the values, packed,
        lane 0 and its element 0 lowest, up to whole bytes
    s_axis_tuser : lanes that are live
    s_row_tdata : the row's sum, from the lowest bit on; bits above it are ignored
    m_axis_tdata : outputs, each in its own whole bytes, the first one lowest
    """

    def __init__(self, unit: LevelSums):
        super().__init__(unit, level_sums_axi_ports(unit.config, unit.outputs_per_beat))

    def elaborate(self, platform: Any) -> Module:
        m, unit = super().elaborate(platform), self.unit
        beat, given = unit.i.payload, unit.o.payload
        code_bits, value_bits = len(beat.codes.as_value()), len(beat.values.as_value())
        first_value = 8 * whole_bytes(code_bits)
        m.d.comb += [
            beat.codes.as_value().eq(self.s_axis_tdata[:code_bits]),
            beat.values.as_value().eq(self.s_axis_tdata[first_value : first_value + value_bits]),
            beat.live.eq(self.s_axis_tuser),
            beat.last.eq(self.s_axis_tlast),
            unit.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(unit.i.ready),
            unit.sum.payload.sum.eq(self.s_row_tdata),
            unit.sum.valid.eq(self.s_row_tvalid),
            self.s_row_tready.eq(unit.sum.ready),
            self.m_axis_tdata.eq(given.outputs.as_value()),
            self.m_axis_tlast.eq(given.last),
            self.m_axis_tvalid.eq(unit.o.valid),
            unit.o.ready.eq(self.m_axis_tready),
        ]
        return m


def level_sums_axi_ports(config: AttentionConfig, outputs_per_beat: int) -> dict[str, SignalPort]:
    """The ports of all streams."""
    lanes, size, softmax = config.lanes, config.head_size, config.softmax
    codes = whole_bytes(softmax.bits * lanes)
    values = whole_bytes(config.value_width * size * lanes)
    return {
        "s_axis_tdata": SignalPort(
            In,
            8 * (codes + values),
            f"codes of {softmax.bits} bits, packed, lane 0 lowest, up to {codes} whole bytes; "
            f"above these the lanes' values, {size} signed elements of {config.value_width} bits "
            f"each, packed, lane 0 and element 0 lowest, up to {values} whole bytes",
        ),
        "s_axis_tuser": SignalPort(In, lanes, "lanes that are live: neither masked nor absent"),
        "s_axis_tlast": SignalPort(In, 1, "last beat of a row"),
        "s_axis_tvalid": SignalPort(In, 1, "beat offered"),
        "s_axis_tready": SignalPort(Out, 1, "beat taken; a register"),
        "s_row_tdata": SignalPort(
            In,
            8 * whole_bytes(softmax.sum_bits),
            f"sum of the row's exponentials, {softmax.sum_bits} bits; bits above are ignored",
        ),
        "s_row_tvalid": SignalPort(In, 1, "row offered"),
        "s_row_tready": SignalPort(Out, 1, "row taken"),
        "m_axis_tdata": SignalPort(
            Out,
            outputs_per_beat * config.output_width,
            f"outputs, signed, {outputs_per_beat} elements of {config.output_width} bits, the "
            "first one lowest",
        ),
        "m_axis_tlast": SignalPort(Out, 1, "last beat of a row"),
        "m_axis_tvalid": SignalPort(Out, 1, "beat offered"),
        "m_axis_tready": SignalPort(In, 1, "beat taken"),
    }
