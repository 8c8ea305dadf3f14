"""Turns rows of probabilities or codes, and their results, into octets."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_fpga.gateware.octets import OCTETS
from exaq_fpga.link.protocol import element_octets, result_octets, sum_octets
from exaq_hdl.checks import check_config
from exaq_hdl.parts.component import Component
from exaq_hdl.shell.ports import StreamPort, layout
from exaq_hdl.shell.row_shell import unit_ports

_OCTET = 8


class RowWriter(Component):
    """Gives the elements of beats octet by octet, each in its whole octets, lowest first, and
    behind a row's elements its results, where the unit gives any.

    Latency 0 cycles; throughput 1 octet per cycle, and a cycle for each absent lane of a row's
    last beat, which gives none. A beat is taken with its last octet, and so are a row's results.
    Back-pressure on ``o`` holds its payload, and stops ``i`` and ``results``.

    Members
    -------
    i : stream of the unit's ``o``
    results : with row results: stream of the unit's ``row``
    o : OCTETS
    row : pulse: all octets of a row are taken
    error : with ``row``: the unit flagged it
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        streams = unit_streams(config)
        results = {"results": In(streams["row"])} if "row" in streams else {}
        super().__init__(
            {"i": In(streams["o"])} | results | {"o": Out(OCTETS), "row": Out(1), "error": Out(1)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        beat = self.i.payload
        elements = beat.codes if config.output == "codes" else beat.probabilities
        lanes, count = config.lanes, element_octets(config)
        lane = Signal(range(max(lanes, 2)))
        number = Signal(range(max(count, 2)))
        last_lane, last_octet = lane == lanes - 1, number == count - 1
        element = Signal(_OCTET * count)
        present = Signal()
        step, last = Signal(), Signal()
        # The row's elements have gone, its results have not.
        waiting = Signal()
        m.d.comb += [
            element.eq(pick(lane, [elements[k] for k in range(lanes)])),
            present.eq(pick(lane, [beat.tail[k] for k in range(lanes)])),
            step.eq(self.i.valid & ~waiting & (~present | (self.o.ready & last_octet))),
            self.i.ready.eq(step & last_lane),
            last.eq(self.i.ready & beat.last),
        ]
        octet = pick(number, [element.word_select(k, _OCTET) for k in range(count)])
        with m.If(self.i.valid & present & ~waiting & self.o.ready):
            m.d.sync += number.eq(Mux(last_octet, 0, number + 1))
        with m.If(step):
            m.d.sync += lane.eq(Mux(last_lane, 0, lane + 1))
        if config.row_results == "none":
            m.d.comb += [
                self.o.valid.eq(self.i.valid & present),
                self.o.payload.eq(octet),
                self.row.eq(last),
                self.error.eq(beat.error),
            ]
            return m

        place = Signal(range(max(result_octets(config), 2)))
        last_place = place == result_octets(config) - 1
        m.d.comb += [
            self.o.valid.eq(Mux(waiting, self.results.valid, self.i.valid & present)),
            self.o.payload.eq(Mux(waiting, pick(place, self._results()), octet)),
            self.results.ready.eq(waiting & self.o.ready & last_place),
            self.row.eq(self.results.valid & self.results.ready),
            self.error.eq(self.results.payload.error),
        ]
        with m.If(last):
            m.d.sync += waiting.eq(1)
        with m.Elif(self.row):
            m.d.sync += waiting.eq(0)
        with m.If(waiting & self.o.valid & self.o.ready):
            m.d.sync += place.eq(Mux(last_place, 0, place + 1))
        return m

    def _results(self) -> list[Value]:
        """Octets of a row's results."""
        config, results = self.config, self.results.payload
        # The maximum is sign-extended, as logits are that come.
        fields = [
            (results.maximum.as_signed(), config.logit_bytes),
            (results.sum, sum_octets(config)),
        ]
        if config.row_results == "table":
            fields += [(results.probabilities[k], config.prob_bytes) for k in range(config.levels)]
        octets: list[Value] = []
        for value, count in fields:
            sign = value[-1] if value.shape().signed else Value.cast(0)[0]
            wide = Cat(value, sign.replicate(_OCTET * count - len(value)))
            octets += [wide.word_select(k, _OCTET) for k in range(count)]
        return octets


def unit_streams(config: SoftmaxConfig) -> dict[str, stream.Signature]:
    """Signatures of a unit's streams, by the names of their ports."""
    return {
        name: stream.Signature(layout(port.fields))
        for name, port in unit_ports(config).items()
        if isinstance(port, StreamPort)
    }


def pick(index: Value, values: list[Any]) -> Any:
    """The value of number ``index``, by a tree of multiplexers."""
    for bit in Cat(index):
        pairs = [values[k : k + 2] for k in range(0, len(values), 2)]
        values = [Mux(bit, *reversed(pair)) if len(pair) == 2 else pair[0] for pair in pairs]
    return values[0]
