"""A small kernel of two passes, whose arithmetic is plain, and what its blocks must give."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq import KERNELS, SoftmaxConfig
from exaq.kernels.weighted import Weighted
from exaq_hdl.kernels.weighted.datapath import Datapath
from exaq_hdl.kernels.weighted.steps import RowItem, Steps
from exaq_hdl.parts.component import Component


@dataclass(frozen=True, kw_only=True)
class Odd(Weighted):
    """Weight 3 * (lowest bits of ~distance) + 1; stored are two bits of the distance, all used.

    The row item is the sum's two lowest bits, and the probability their sum with the stored word:
    so no stored word stands for zero.
    """

    name = "odd"

    latency: int = 5

    stored_bits = 2
    weight_bits = 4

    @property
    def row_fields(self) -> dict[str, int]:
        return {"low": 2}

    def finish_period(self, format) -> int:
        return 3

    def weigh(self, distance):
        return distance & 3, 3 * (3 - (distance >> 1 & 3)) + 1

    def finish(self, total):
        return {"low": total & 3}

    def emit(self, stored, row):
        return stored + row["low"]


del KERNELS["odd"]


class OddFinisher(Component):
    """Two low bits of a sum, ``latency`` cycles later."""

    period = 3

    def __init__(self, kernel: Odd):
        self.latency = kernel.latency
        super().__init__(
            {
                "i": In(stream.Signature(kernel.sum_bits)),
                "o": Out(stream.Signature(data.StructLayout({"low": 2}))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        low, left = Signal(2), Signal(range(self.latency + 1))
        m.d.comb += [
            self.i.ready.eq((left == 0) & (~self.o.valid | self.o.ready)),
            self.o.payload.low.eq(low),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [low.eq(self.i.payload[:2]), left.eq(self.latency - 1)]
        with m.Elif(left != 0):
            m.d.sync += [left.eq(left - 1), self.o.valid.eq(left == 1)]
        return m


class OddDatapath(Datapath):
    """Two places to weigh, with a table in the second; one to emit, a table."""

    weigh_latency = 2
    emit_latency = 1

    def finisher(self) -> Component:
        return OddFinisher(self.kernel)

    def weigh(self, steps: Steps, distance: Value) -> tuple[Value, Value]:
        address = steps.step(0, distance[1:3], "address")
        weight = steps.look_up(1, [10, 7, 4, 1], 4, address, "table")
        return steps.carry(0, distance[:2], "word", 2), weight

    def emit(self, steps: Steps, stored: Value, row: RowItem) -> Value:
        # A table, which has to stand still with the pipeline.
        return steps.look_up(0, [3, 2, 1, 0], 2, ~stored, "table") + row.at(1, "low")


class ZeroDatapath(OddDatapath):
    """The same without registers in either pass."""

    weigh_latency = emit_latency = 0

    def weigh(self, steps: Steps, distance: Value) -> tuple[Value, Value]:
        inverse = ~distance[1:3]
        return distance[:2], (Cat(0, inverse) + inverse + 1)[:4]

    def emit(self, steps: Steps, stored: Value, row: RowItem) -> Value:
        return stored + row.at(0, "low")


def odd_config(**settings) -> SoftmaxConfig:
    return SoftmaxConfig(kernel=Odd(), **settings)


def rows_of(config: SoftmaxConfig, rng: np.random.Generator, count: int) -> Iterator[tuple]:
    """Rows of random length: logits in offset binary, and what is live of them."""
    for _ in range(count):
        length = int(rng.integers(1, config.max_row + 1))
        spread = int(rng.integers(1, 2**config.logit_width + 1))
        start = int(rng.integers(0, 2**config.logit_width + 1 - spread))
        logits = rng.integers(start, start + spread, length)
        live = rng.random(length) < rng.choice([0.0, 0.3, 0.8, 1.0])
        yield logits, live if config.partial_rows else np.ones(length, bool)
