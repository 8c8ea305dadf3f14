"""The softmax unit with one Verilog port for each field of its streams."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.softmax import Softmax


class FlatSoftmax(wiring.Component):
    """Core top: ``Softmax`` with ports ``i_FIELD`` and ``o_FIELD``; lane 0 lowest, no padding.

    Latency and throughput are the unit's. Clock ``clk``, synchronous reset ``rst``, active high.
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        self.softmax = Softmax(config)
        self.latency = self.softmax.latency
        live = {"i_live": In(config.lanes)} if config.masking else {}
        super().__init__(
            {"i_logits": In(config.logit_width * config.lanes)}
            | live
            | {
                "i_tail": In(config.lanes),
                "i_last": In(1),
                "i_valid": In(1),
                "i_ready": Out(1),
                "o_probabilities": Out(config.prob_bits * config.lanes),
                "o_tail": Out(config.lanes),
                "o_last": Out(1),
                "o_error": Out(1),
                "o_valid": Out(1),
                "o_ready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = softmax = self.softmax
        beat, out = softmax.i.payload, softmax.o.payload
        m.d.comb += [
            beat.logits.eq(self.i_logits),
            beat.tail.eq(self.i_tail),
            beat.last.eq(self.i_last),
            softmax.i.valid.eq(self.i_valid),
            self.i_ready.eq(softmax.i.ready),
            self.o_probabilities.eq(out.probabilities),
            self.o_tail.eq(out.tail),
            self.o_last.eq(out.last),
            self.o_error.eq(out.error),
            self.o_valid.eq(softmax.o.valid),
            softmax.o.ready.eq(self.o_ready),
        ]
        if self.config.masking:
            m.d.comb += beat.live.eq(self.i_live)
        return m
