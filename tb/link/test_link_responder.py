"""Messages in, answers out, with the real unit: every octet, whatever the messages hold."""

import random
import struct
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from station_bench import (
    ANSWER,
    IDENTIFY,
    Exchange,
    random_row,
    rows_answer,
    rows_message,
    stalls,
)

from exaq import SoftmaxConfig
from exaq_fpga.gateware.octets import MESSAGES
from exaq_fpga.gateware.responder import Responder
from exaq_fpga.link.protocol import buffer_octets
from exaq_hdl.softmax import Softmax

IDENTITY = bytes(range(1, 40)) + b"\0\0\xff"

CONFIGS = {
    "4 lanes": SoftmaxConfig(lanes=4, max_row=32),
    "1 lane": SoftmaxConfig(lanes=1, max_row=24, prob_bits=8),
    "8 lanes": SoftmaxConfig(lanes=8, max_row=40, logit_width=12, prob_bits=20),
    "3 bits": SoftmaxConfig(bits=3, lanes=4, max_row=40, logit_width=12, masking=False),
    "1 context": SoftmaxConfig(lanes=4, max_row=32, contexts=1),
    "3 contexts": SoftmaxConfig(lanes=1, max_row=20, contexts=3, exp_frac=8),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


class Board(wiring.Component):
    """A responder and its unit."""

    def __init__(self, config: SoftmaxConfig, identity: bytes = IDENTITY):
        self.config = config
        self.unit = Softmax(config)
        self.responder = Responder(config, identity)
        ports: dict[str, Any] = {"i": In(MESSAGES), "o": Out(MESSAGES), "active": Out(1)}
        self.pulses = ("taken", "damaged", "overflow", "line_error")
        ports |= {name: In(1) for name in self.pulses}
        if config.contexts:
            ports["length"] = In(range(buffer_octets(config) + 1))
        super().__init__(ports)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.unit = unit = self.unit
        m.submodules.responder = responder = self.responder
        wiring.connect(m, wiring.flipped(self.i), responder.i)
        wiring.connect(m, responder.o, wiring.flipped(self.o))
        wiring.connect(m, responder.logits, unit.i)
        wiring.connect(m, unit.o, responder.probabilities)
        m.d.comb += self.active.eq(responder.active)
        m.d.comb += [getattr(responder, name).eq(getattr(self, name)) for name in self.pulses]
        if self.config.contexts:
            wiring.connect(m, responder.load, unit.load)
            m.d.comb += [
                responder.length.eq(self.length),
                responder.loaded.eq(unit.loaded),
                responder.refused.eq(unit.refused),
            ]
        return m


@EVERY
@pytest.mark.parametrize("rates", [None, (0.5, 0.0), (0.0, 0.7), (0.4, 0.4)])
def test_rows(name: str, rates: tuple[float, float] | None) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    messages, expected = [], []
    for tag in (7, 255, 8, 9, 1):
        rows = [random_row(config, rng) for _ in range(rng.randint(1, 6))]
        messages.append(rows_message(config, tag, rows))
        expected.append(rows_answer(config, tag, rows))
    source, sink = (stalls(k, rate) for k, rate in enumerate(rates)) if rates else (None, None)
    found = Exchange(Board(config), messages, len(expected), source=source, sink=sink)
    assert found.answers == expected
