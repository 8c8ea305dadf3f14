"""The attention head whose keys and values come with each row, behind AXI4-Stream ports."""

from typing import Any

from amaranth.hdl import Cat, Module, Value
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq_hdl.attention.attention_head import AttentionHead
from exaq_hdl.attention.axi_attention import connect_outputs, output_axi_ports, query_axi_port
from exaq_hdl.shell.axi_unit import AxiUnit, whole_bytes
from exaq_hdl.shell.ports import SignalPort


class AxiStreamedAttention(AxiUnit):
    """AXI4-Stream top: ``AttentionHead`` with streamed operands, each vector in whole bytes.

    Latency and throughput are the unit's. ``aresetn`` is synchronous to ``aclk`` and active low.
    All outputs but ``s_axis_k_tready`` and ``s_axis_v_tready`` come from registers; these come from
    gates behind registers alone.

    Members
    -------
    s_axis_q_tdata : a row of q, a byte for each element, the first one lowest
    s_axis_k_tdata, s_axis_v_tdata : ``lanes`` keys or values, lane 0 lowest, each with its elements
        packed, the first one lowest, up to whole bytes
    s_axis_k_tkeep : of a row's last beat, lanes whose first byte is kept hold a key
    m_axis_tdata, m_axis_tuser : as of ``AxiAttention``
    """

    def __init__(self, unit: AttentionHead):
        super().__init__(unit, streamed_axi_ports(unit.config, unit.outputs_per_beat))

    def elaborate(self, platform: Any) -> Module:
        m, unit = super().elaborate(platform), self.unit
        config = unit.config
        m.d.comb += Value.cast(unit.q.payload).eq(self.s_axis_q_tdata)
        for prefix, stream, name, width in (
            ("s_axis_k", unit.keys, "keys", config.key_format.width),
            ("s_axis_v", unit.values, "values", config.value_width),
        ):
            pitch = 8 * whole_bytes(config.head_size * width)
            for lane in range(config.lanes):
                place = getattr(self, f"{prefix}_tdata").word_select(lane, pitch)
                m.d.comb += stream.payload[name][lane].eq(place)
            m.d.comb += stream.payload.last.eq(getattr(self, f"{prefix}_tlast"))
        first_bytes = self.s_axis_k_tkeep[
            :: whole_bytes(config.head_size * config.key_format.width)
        ]
        m.d.comb += unit.keys.payload.tail.eq(Cat(first_bytes))
        for prefix, stream in (
            ("s_axis_q", unit.q),
            ("s_axis_k", unit.keys),
            ("s_axis_v", unit.values),
        ):
            m.d.comb += [
                stream.valid.eq(getattr(self, f"{prefix}_tvalid")),
                getattr(self, f"{prefix}_tready").eq(stream.ready),
            ]
        connect_outputs(m, self)
        return m


def streamed_axi_ports(config: AttentionConfig, outputs_per_beat: int) -> dict[str, SignalPort]:
    """The ports of all streams."""
    size, lanes, key = config.head_size, config.lanes, config.key_format

    def vectors(prefix: str, name: str, width: int, kind: str) -> dict[str, SignalPort]:
        each = whole_bytes(size * width)
        keep = f"bytes kept; lanes whose first byte is kept hold a {name}; with tlast only"
        return {
            f"{prefix}_tdata": SignalPort(
                In,
                8 * each * lanes,
                f"{lanes} {name}s, lane 0 lowest, each {size} {kind} elements of {width} bits, "
                f"packed, the first one lowest, up to {each} whole bytes",
            ),
            **({f"{prefix}_tkeep": SignalPort(In, each * lanes, keep)} if name == "key" else {}),
            f"{prefix}_tlast": SignalPort(In, 1, f"last beat of a row's {name}s"),
            f"{prefix}_tvalid": SignalPort(In, 1, "beat offered"),
            f"{prefix}_tready": SignalPort(Out, 1, "beat taken"),
        }

    return {
        "s_axis_q_tdata": query_axi_port(size),
        "s_axis_q_tvalid": SignalPort(In, 1, "row offered"),
        "s_axis_q_tready": SignalPort(Out, 1, "row taken; a register"),
        **vectors("s_axis_k", "key", key.width, key.name),
        **vectors("s_axis_v", "value", config.value_width, "signed"),
        **output_axi_ports(config, outputs_per_beat),
    }
