"""The softmax unit behind AXI4-Stream ports."""

from amaranth.hdl import Cat, ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.shell.control import AXI_LITE, Control
from exaq_hdl.shell.row_shell import Softmax


class AxiSoftmax(wiring.Component):
    """AXI4-Stream top: ``Softmax`` with each lane in its own whole bytes, lane 0 lowest.

    Latency and throughput are the unit's. ``aresetn`` is synchronous to ``aclk`` and active
    low. Every output is a register.

    Members
    -------
    s_axis_tdata : logits, sign-extended; bits above logit_width are ignored
    s_axis_tkeep : lanes that hold an element, by their lowest byte; looked at with tlast only
    s_axis_tuser : with masking, bit i masks lane i
    m_axis_tdata : probabilities, zero-extended
    m_axis_tkeep : ones, but for the absent lanes of a row's last beat
    m_axis_tuser : the row was longer than max_row, or its context is unknown; with tlast only
    s_axis_tid, m_axis_tid : with several contexts: the row's; the beat that closes it counts
    s_axi_... : with contexts: AXI4-Lite slave for tables and counters, see Control
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        self.softmax = Softmax(config)
        self.latency = self.softmax.latency
        user = {"s_axis_tuser": In(config.lanes)} if config.masking else {}
        number, numbers = {}, {}
        if config.context_bits:
            number = {"s_axis_tid": In(config.context_bits)}
            numbers = {"m_axis_tid": Out(config.context_bits)}
        bus = {}
        if config.contexts:
            self.control = Control(config, latency=self.latency)
            bus = {name: member for name, (member, _) in AXI_LITE.items()}
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                "s_axis_tdata": In(8 * config.logit_bytes * config.lanes),
                "s_axis_tkeep": In(config.logit_bytes * config.lanes),
            }
            | user
            | number
            | {
                "s_axis_tlast": In(1),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "m_axis_tdata": Out(8 * config.prob_bytes * config.lanes),
                "m_axis_tkeep": Out(config.prob_bytes * config.lanes),
                "m_axis_tuser": Out(1),
            }
            | numbers
            | {
                "m_axis_tlast": Out(1),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
            }
            | bus
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.domains.sync = sync = ClockDomain(local=True)
        m.d.comb += [sync.clk.eq(self.aclk), sync.rst.eq(~self.aresetn)]
        m.submodules.core = softmax = self.softmax

        logits, probabilities = softmax.i.payload, softmax.o.payload
        m.d.comb += [
            softmax.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(softmax.i.ready),
            logits.last.eq(self.s_axis_tlast),
            logits.tail.eq(Cat(self.s_axis_tkeep[:: config.logit_bytes])),
            self.m_axis_tvalid.eq(softmax.o.valid),
            softmax.o.ready.eq(self.m_axis_tready),
            self.m_axis_tlast.eq(probabilities.last),
            self.m_axis_tuser.eq(probabilities.error),
        ]
        if config.masking:
            m.d.comb += logits.live.eq(~self.s_axis_tuser)
        if config.context_bits:
            m.d.comb += [
                logits.context.eq(self.s_axis_tid),
                self.m_axis_tid.eq(probabilities.context),
            ]
        if config.contexts:
            self._control(m)
        for lane in range(config.lanes):
            word = self.s_axis_tdata.word_select(lane, 8 * config.logit_bytes)
            keep = self.m_axis_tkeep.word_select(lane, config.prob_bytes)
            m.d.comb += [
                logits.logits[lane].eq(word[: config.logit_width].as_signed()),
                self.m_axis_tdata.word_select(lane, 8 * config.prob_bytes).eq(
                    probabilities.probabilities[lane]
                ),
                keep.eq(probabilities.tail[lane].replicate(config.prob_bytes)),
            ]
        return m

    def _control(self, m):
        m.submodules.control = control = self.control
        for name, (member, _) in AXI_LITE.items():
            outer, inner = getattr(self, name), getattr(control, name)
            m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        wiring.connect(m, control.load, self.softmax.load)
        for name in ("loaded", "refused", "busy", "events"):
            m.d.comb += getattr(control, name).eq(getattr(self.softmax, name))
