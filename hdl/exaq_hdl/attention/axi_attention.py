"""The attention head behind AXI4-Stream ports."""

from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq_hdl.attention.attention_head import AttentionHead
from exaq_hdl.shell.axi_unit import AxiUnit, whole_bytes
from exaq_hdl.shell.ports import SignalPort


class AxiAttention(AxiUnit):
    """AXI4-Stream top: ``AttentionHead`` with rows, keys and values in whole bytes.

    Latency and throughput are the unit's. ``aresetn`` is synchronous to ``aclk`` and active low.
    All outputs come from registers.

    Members
    -------
    s_axis_q_tdata : a row of q, a byte for each element, the first one lowest
    s_axis_q_tuser : with tlast: no further head uses these keys and values
    s_axis_k_tdata, s_axis_v_tdata : a key or a value, elements packed, the first one lowest, up to
        whole bytes
    m_axis_tdata : outputs, each in its own whole bytes, the first one lowest
    m_axis_tuser : with tlast: keys or values of the row's head were in error
    """

    def __init__(self, unit: AttentionHead):
        super().__init__(unit, attention_axi_ports(unit.config, unit.outputs_per_beat))

    def elaborate(self, platform: Any) -> Module:
        m, unit = super().elaborate(platform), self.unit
        for prefix, stream, name in (
            ("s_axis_q", unit.q, "q"),
            ("s_axis_k", unit.keys, "vector"),
            ("s_axis_v", unit.values, "vector"),
        ):
            m.d.comb += [
                Value.cast(stream.payload[name]).eq(getattr(self, f"{prefix}_tdata")),
                stream.payload.last.eq(getattr(self, f"{prefix}_tlast")),
                stream.valid.eq(getattr(self, f"{prefix}_tvalid")),
                getattr(self, f"{prefix}_tready").eq(stream.ready),
            ]
        m.d.comb += unit.q.payload.release.eq(self.s_axis_q_tuser)
        connect_outputs(m, self)
        return m


def connect_outputs(m: Module, top: Any) -> None:
    """The outputs of the head in a ``top`` with the ports of ``output_axi_ports``."""
    found = top.unit.o
    m.d.comb += [
        top.m_axis_tdata.eq(Value.cast(found.payload.outputs)),
        top.m_axis_tuser.eq(found.payload.error),
        top.m_axis_tlast.eq(found.payload.last),
        top.m_axis_tvalid.eq(found.valid),
        found.ready.eq(top.m_axis_tready),
    ]


def attention_axi_ports(config: AttentionConfig, outputs_per_beat: int) -> dict[str, SignalPort]:
    """The ports of all streams."""
    size, key = config.head_size, config.key_format

    def vector(prefix: str, name: str, width: int, kind: str) -> dict[str, SignalPort]:
        total = whole_bytes(size * width)
        meaning = (
            f"a {name}: {size} {kind} elements of {width} bits, packed, the first one lowest, "
            f"up to {total} whole bytes"
        )
        return {
            f"{prefix}_tdata": SignalPort(In, 8 * total, meaning),
            f"{prefix}_tlast": SignalPort(In, 1, f"last {name} of its head"),
            f"{prefix}_tvalid": SignalPort(In, 1, f"{name} offered"),
            f"{prefix}_tready": SignalPort(Out, 1, f"{name} taken; a register"),
        }

    return {
        "s_axis_q_tdata": query_axi_port(size),
        "s_axis_q_tuser": SignalPort(
            In, 1, "with tlast only: no further head uses these keys and values"
        ),
        "s_axis_q_tlast": SignalPort(In, 1, "last row of a head, whose rows are counted anew"),
        "s_axis_q_tvalid": SignalPort(In, 1, "row offered"),
        "s_axis_q_tready": SignalPort(Out, 1, "row taken; a register"),
        **vector("s_axis_k", "key", key.width, key.name),
        **vector("s_axis_v", "value", config.value_width, "signed"),
        **output_axi_ports(config, outputs_per_beat),
    }


def query_axi_port(size: int) -> SignalPort:
    """A row of q of so many elements."""
    meaning = f"a row of q: {size} signed elements, a byte each, the first one lowest"
    return SignalPort(In, 8 * size, meaning)


def output_axi_ports(config: AttentionConfig, outputs_per_beat: int) -> dict[str, SignalPort]:
    """The ports of the stream of outputs."""
    return {
        "m_axis_tdata": SignalPort(
            Out,
            outputs_per_beat * config.output_width,
            f"outputs, signed, {outputs_per_beat} elements of {config.output_width} bits, the "
            "first one lowest",
        ),
        "m_axis_tuser": SignalPort(
            Out, 1, "with tlast: keys or values were too many, or their numbers differ; else 0"
        ),
        "m_axis_tlast": SignalPort(Out, 1, "last beat of a row"),
        "m_axis_tvalid": SignalPort(Out, 1, "beat offered"),
        "m_axis_tready": SignalPort(In, 1, "beat taken"),
    }
