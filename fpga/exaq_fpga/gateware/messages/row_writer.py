"""Turns rows of probabilities into octets."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_fpga.gateware.octets import OCTETS
from exaq_hdl.checks import check_config
from exaq_hdl.parts.component import Component
from exaq_hdl.shell.streams import probability_beat

_OCTET = 8


class RowWriter(Component):
    """Gives the probabilities of beats octet by octet, each in its whole octets, lowest first.

    Latency 0 cycles; throughput 1 octet per cycle, and a cycle for each absent lane of a row's
    last beat, which gives none. A beat is taken with its last octet. Back-pressure on ``o``
    holds its payload, and stops ``i``.

    Members
    -------
    i : stream of probability_beat
    o : OCTETS
    row : pulse: all octets of a row are taken
    error : with ``row``: the unit flagged it
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        super().__init__(
            {
                "i": In(stream.Signature(probability_beat(config.format))),
                "o": Out(OCTETS),
                "row": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        beat = self.i.payload
        lanes, count = config.lanes, config.prob_bytes
        lane = Signal(range(max(lanes, 2)))
        number = Signal(range(max(count, 2)))
        last_lane, last_octet = lane == lanes - 1, number == count - 1
        probability = Signal(config.prob_bits)
        present = Signal()
        step = Signal()
        m.d.comb += [
            probability.eq(pick(lane, [beat.probabilities[k] for k in range(lanes)])),
            present.eq(pick(lane, [beat.tail[k] for k in range(lanes)])),
            self.o.valid.eq(self.i.valid & present),
            self.o.payload.eq(
                pick(number, [probability.word_select(k, _OCTET) for k in range(count)])
            ),
            step.eq(self.i.valid & (~present | (self.o.ready & last_octet))),
            self.i.ready.eq(step & last_lane),
            self.row.eq(self.i.ready & beat.last),
            self.error.eq(beat.error),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += number.eq(Mux(last_octet, 0, number + 1))
        with m.If(step):
            m.d.sync += lane.eq(Mux(last_lane, 0, lane + 1))
        return m


def pick(index: Value, values: list[Any]) -> Any:
    """The value of number ``index``, by a tree of multiplexers."""
    for bit in Cat(index):
        pairs = [values[k : k + 2] for k in range(0, len(values), 2)]
        values = [Mux(bit, *reversed(pair)) if len(pair) == 2 else pair[0] for pair in pairs]
    return values[0]
