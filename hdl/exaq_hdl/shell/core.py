"""The softmax unit with one Verilog port for each field of its streams."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.shell.beats import events, load_word, refusal
from exaq_hdl.shell.row_shell import Softmax


class FlatSoftmax(wiring.Component):
    """Core top: ``Softmax`` with ports ``i_FIELD`` and ``o_FIELD``; lane 0 lowest, no padding.

    Latency and throughput are the unit's. Clock ``clk``, synchronous reset ``rst``, active high.
    With contexts it also has the ports ``load_FIELD`` and those of ``Softmax`` that report.
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        self.softmax = Softmax(config)
        self.latency = self.softmax.latency
        live = {"i_live": In(config.lanes)} if config.masking else {}
        number, numbers, reports = {}, {}, {}
        if config.context_bits:
            number = {"i_context": In(config.context_bits)}
            numbers = {"o_context": Out(config.context_bits)}
        if config.contexts:
            reports = {
                "load_first": In(1),
                "load_word": In(load_word(config)["word"].width),
                "load_valid": In(1),
                "load_ready": Out(1),
                "loaded": Out(1),
                "refused": Out(refusal(config).size),
                "busy": Out(1),
                "events": Out(events(config).size),
            }
        super().__init__(
            {"i_logits": In(config.logit_width * config.lanes)}
            | live
            | number
            | {
                "i_tail": In(config.lanes),
                "i_last": In(1),
                "i_valid": In(1),
                "i_ready": Out(1),
                "o_probabilities": Out(config.prob_bits * config.lanes),
                "o_tail": Out(config.lanes),
                "o_last": Out(1),
                "o_error": Out(1),
            }
            | numbers
            | {
                "o_valid": Out(1),
                "o_ready": In(1),
            }
            | reports
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
        if self.config.context_bits:
            m.d.comb += [beat.context.eq(self.i_context), self.o_context.eq(out.context)]
        if self.config.contexts:
            load = softmax.load
            m.d.comb += [
                load.payload.first.eq(self.load_first),
                load.payload.word.eq(self.load_word),
                load.valid.eq(self.load_valid),
                self.load_ready.eq(load.ready),
            ]
            for name in ("loaded", "refused", "busy", "events"):
                m.d.comb += getattr(self, name).eq(getattr(softmax, name))
        return m
