"""The unit behind AXI4-Stream ports."""

from typing import Any, ClassVar

from amaranth.hdl import Cat, ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig, StreamFormat
from exaq_hdl.checks import check_config
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.control import AXI_LITE, Control
from exaq_hdl.shell.ports import SignalPort, members
from exaq_hdl.shell.row_shell import Softmax
from exaq_hdl.shell.streams import row_error
from exaq_hdl.shell.tops import top


def axi_stream_ports(format: StreamFormat) -> dict[str, SignalPort]:
    """The ports of both streams."""
    lanes, number = format.lanes, format.context_bits
    floats = format.float_format
    kind = "signed" if floats is None else f"{floats.name} numbers"
    placing = "each in its own whole bytes, lane 0 lowest"
    user = {"s_axis_tuser": SignalPort(In, lanes, "bit i masks lane i")}
    id_in = SignalPort(In, number, "context of the row; the beat that closes it counts")
    id_out = SignalPort(Out, number, "context of the row")
    return (
        {
            "s_axis_tdata": SignalPort(
                In, 8 * format.logit_bytes * lanes, f"logits, {kind}, {placing}"
            ),
            "s_axis_tkeep": SignalPort(
                In,
                format.logit_bytes * lanes,
                "lanes that hold an element, by their lowest byte; with tlast only",
            ),
        }
        | (user if format.masking else {})
        | ({"s_axis_tid": id_in} if number else {})
        | {
            "s_axis_tlast": SignalPort(In, 1, "last beat of a row"),
            "s_axis_tvalid": SignalPort(In, 1, "beat offered"),
            "s_axis_tready": SignalPort(Out, 1, "beat taken; a register"),
            "m_axis_tdata": SignalPort(
                Out, 8 * format.prob_bytes * lanes, f"probabilities, unsigned, {placing}"
            ),
            "m_axis_tkeep": SignalPort(
                Out, format.prob_bytes * lanes, "ones, but for absent lanes of a row's last beat"
            ),
            "m_axis_tuser": SignalPort(Out, 1, f"{row_error(format)}; with tlast only"),
        }
        | ({"m_axis_tid": id_out} if number else {})
        | {
            "m_axis_tlast": SignalPort(Out, 1, "last beat of a row"),
            "m_axis_tvalid": SignalPort(Out, 1, "beat offered"),
            "m_axis_tready": SignalPort(In, 1, "beat taken"),
        }
    )


@top("axi")
class AxiSoftmax(Component):
    """AXI4-Stream top: ``Softmax`` with each lane in its own whole bytes, lane 0 lowest.

    Latency and throughput are the unit's. ``aresetn`` is synchronous to ``aclk`` and active
    low. Every output is a register.

    Members
    -------
    s_axis_tdata : logits; bits above logit_width are ignored
    s_axis_tkeep : lanes that hold an element, by their lowest byte; looked at with tlast only
    s_axis_tuser : with masking, bit i masks lane i
    m_axis_tdata : probabilities, zero-extended
    m_axis_tkeep : ones, but for the absent lanes of a row's last beat
    m_axis_tuser : the row is in error, see ``row_error``; with tlast only
    s_axis_tid, m_axis_tid : with several contexts: the row's; the beat that closes it counts
    s_axi_... : with contexts: AXI4-Lite slave for tables and counters, see Control
    """

    clocking: ClassVar[dict[str, SignalPort]] = {}

    def __init__(self, config: SoftmaxConfig, *, memories: Memories = SIMULATED):
        self.config = check_config(config)
        self.softmax = Softmax(config, memories=memories)
        self.latency = self.softmax.latency
        bus = {}
        if config.format.contexts:
            self.control = Control(config, latency=self.latency)
            bus = AXI_LITE
        #: Every port, each with what it is.
        self.ports = (
            {
                "aclk": SignalPort(In, 1, "clock"),
                "aresetn": SignalPort(In, 1, "synchronous reset, active low"),
            }
            | axi_stream_ports(config.format)
            | bus
        )
        super().__init__(members(self.ports))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        format = self.config.format
        sync: Any = ClockDomain("sync", local=True)
        m.domains.sync = sync
        m.d.comb += [sync.clk.eq(self.aclk), sync.rst.eq(~self.aresetn)]
        m.submodules.core = softmax = self.softmax

        logits, probabilities = softmax.i.payload, softmax.o.payload
        m.d.comb += [
            softmax.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(softmax.i.ready),
            logits.last.eq(self.s_axis_tlast),
            logits.tail.eq(Cat(self.s_axis_tkeep[:: format.logit_bytes])),
            self.m_axis_tvalid.eq(softmax.o.valid),
            softmax.o.ready.eq(self.m_axis_tready),
            self.m_axis_tlast.eq(probabilities.last),
            self.m_axis_tuser.eq(probabilities.error),
        ]
        if format.masking:
            m.d.comb += logits.live.eq(~self.s_axis_tuser)
        if format.context_bits:
            m.d.comb += [
                logits.context.eq(self.s_axis_tid),
                self.m_axis_tid.eq(probabilities.context),
            ]
        if format.contexts:
            self._control(m)
        for lane in range(format.lanes):
            word = self.s_axis_tdata.word_select(lane, 8 * format.logit_bytes)
            keep = self.m_axis_tkeep.word_select(lane, format.prob_bytes)
            m.d.comb += [
                logits.logits[lane].eq(word[: format.logit_width].as_signed()),
                self.m_axis_tdata.word_select(lane, 8 * format.prob_bytes).eq(
                    probabilities.probabilities[lane]
                ),
                keep.eq(probabilities.tail[lane].replicate(format.prob_bytes)),
            ]
        return m

    def _control(self, m: Module) -> None:
        m.submodules.control = control = self.control
        for name, port in AXI_LITE.items():
            outer, inner = getattr(self, name), getattr(control, name)
            m.d.comb += inner.eq(outer) if port.flow is In else outer.eq(inner)
        wiring.connect(m, control.load, self.softmax.load)
        for name in ("loaded", "refused", "busy", "events"):
            m.d.comb += getattr(control, name).eq(getattr(self.softmax, name))
