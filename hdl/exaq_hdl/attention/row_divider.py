"""Totals of a row's dimensions, divided by the row's sum."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq.scalars import integer
from exaq_hdl.attention.level_layouts import output_fields, total_beat
from exaq_hdl.parts.arithmetic import sum_or_difference
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.pipeline import Pipeline
from exaq_hdl.shell.ports import layout


class RowDivider(Component):
    """Rounded quotients of totals and their row's sum, as ``exaq.attention.outputs`` has them.

    With F = output_frac and V = value_width the dividend (N + 2**(V-1) * S) * 2**F + floor(S / 2)
    is not negative, and its quotient is the output in offset binary: below 2**output_width, for N
    is between -2**(V-1) * S and (2**(V-1) - 1) * S. A stage for each of its bits subtracts S from
    what is left of the dividend, or adds it where that is negative: then the sign after each stage
    is the bit of the quotient that a restoring division finds, and nothing is ever restored. A
    row whose sum is 0 gives zeros.

    Latency ``latency`` cycles from a beat of totals to its outputs; throughput 1 beat per cycle,
    and a row in each. A beat is taken where ``room`` is high and its row's sum has been there for
    ``sum_latency`` cycles. From there on nothing stops it.

    Parameters
    ----------
    config
        The head's parameters.
    per_beat
        Dimensions of a beat.

    Members
    -------
    i : stream of total_beat, in
    sum : stream of S, an item a row, in
    room : what follows can take a beat ``latency`` cycles from now, in
    o : stream of output_fields, always ready, out
    """

    #: Cycles from a sum taken to the first beat of its row that can be.
    sum_latency = 2

    def __init__(
        self,
        config: AttentionConfig,
        *,
        per_beat: int,
    ):
        self.config = config
        self.per_beat = integer("per_beat", per_beat, 1)
        self._sum_bits: int = config.softmax.sum_bits
        self.latency = 1 + config.output_width
        self._out = layout(output_fields(config, per_beat))
        super().__init__(
            {
                "i": In(stream.Signature(total_beat(config, per_beat))),
                "sum": In(stream.Signature(self._sum_bits)),
                "room": In(1),
                "o": Out(stream.Signature(self._out, always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        frac, width = config.output_frac, config.output_width
        total_width = self._sum_bits + config.value_width

        # What a row adds to each of its totals: 2**(V-1) * S, and the bits of floor(S / 2) that
        # meet them.
        take, row_done = Signal(), Signal()
        rows = Pipeline(m, self.sum_latency, self.sum.valid, ~row_done)
        m.d.comb += self.sum.ready.eq(rows.moves[0])
        first = rows.step(0, self.sum.payload, "sum")
        both = ((first << config.value_width - 1) + (first >> frac + 1))[:total_width]
        addend = rows.step(1, both, "addend")
        row_sum = rows.step(1, first, "sum")
        there = rows.held[self.sum_latency]
        m.d.comb += [
            take.eq(self.i.valid & there & self.room),
            row_done.eq(take & self.i.payload.last),
            self.i.ready.eq(there & self.room),
        ]

        # Cycle 0: the dividends, but for their lowest bits, which are those of floor(S / 2).
        valid: Value = Signal(name="valid0")
        last: Value = Signal(name="last0", reset_less=True)
        divisor: Value = Signal(self._sum_bits, name="divisor0", reset_less=True)
        alive: Value = Signal(name="alive0", reset_less=True)
        m.d.sync += [
            valid.eq(take),
            last.eq(self.i.payload.last),
            divisor.eq(row_sum),
            alive.eq(row_sum.any()),
        ]
        rests: list[Value] = []
        tails: list[Value] = []
        for k in range(self.per_beat):
            dividend = Signal(total_width, name=f"dividend{k}", reset_less=True)
            m.d.sync += dividend.eq(self.i.payload.totals[k] + addend)
            tails.append(dividend[: config.value_width])
            # One bit more than S has, the sign.
            rests.append(Cat(dividend[config.value_width :], Const(0, 1)))
        quotients: list[Value] = [Const(0, 0)] * self.per_beat

        # Cycles 1 to output_width: a bit of each quotient.
        for stage in range(width):
            for k in range(self.per_beat):
                if len(tails[k]):
                    tails[k], coming = tails[k][:-1], tails[k][-1]
                else:
                    half_bit = width - stage
                    coming = divisor[half_bit] if half_bit < self._sum_bits else Const(0, 1)
                doubled = Cat(coming, rests[k])[:-1]
                rest = Signal(self._sum_bits + 1, name=f"rest{stage + 1}_{k}", reset_less=True)
                m.d.sync += rest.eq(
                    sum_or_difference(
                        doubled,
                        Cat(divisor, Const(0, 1)),
                        ~rests[k][-1],
                    )
                )
                if stage:
                    # Of the first one the inverse, since outputs are no offset binary.
                    bit = rests[k][-1] if stage == 1 else ~rests[k][-1]
                    found = Cat(bit, quotients[k])
                    quotients[k] = _next(
                        m, found, f"quotient{stage + 1}_{k}", alive if stage == width - 1 else None
                    )
                rests[k] = rest
                if len(tails[k]):
                    tails[k] = _next(m, tails[k], f"tail{stage + 1}_{k}")
            next_valid = Signal(name=f"valid{stage + 1}")
            m.d.sync += next_valid.eq(valid)
            valid = next_valid
            last = _next(m, last, f"last{stage + 1}")
            alive = _next(m, alive, f"alive{stage + 1}")
            divisor = _next(m, divisor, f"divisor{stage + 1}")

        m.d.comb += [self.o.valid.eq(valid), self.o.payload.last.eq(last)]
        for k in range(self.per_beat):
            found = Cat(~rests[k][-1] & alive, quotients[k])
            m.d.comb += self.o.payload.outputs[k].eq(found.as_signed())
        return m


def _next(m: Module, value: Value, name: str, alive: Value | None = None) -> Value:
    """``value`` in the next cycle; 0 where it is not ``alive``."""
    register = Signal(len(value), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    if alive is not None:
        with m.If(~alive):
            m.d.sync += register.eq(0)
    return register
