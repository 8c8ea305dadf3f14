"""The probabilities that a row can have."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from exaq import SoftmaxConfig

from exaq_hdl.beats import table_layout
from exaq_hdl.divider import Divider


class Normalizer(wiring.Component):
    """Turns a row's sum S into its probability table p_k = E_k / S, k = 0 ... 2**bits - 1.

    Round half up, saturated at 2**prob_bits - 1. A row costs 2**bits divisions, whatever its
    length. Latency ``latency`` cycles; throughput a row in ``full_rate_row / lanes`` cycles or
    fewer, by the smallest set of dividers that reaches it. While one table waits on ``o`` the
    next row's divisions go on until their first quotient.

    Members
    -------
    i : stream of sum_bits bits, one item a row
    o : stream of table_layout, one item a row
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = config
        self.units, self.rings = self.choose(config)
        self._dividers = [Divider(config, units=self.units) for _ in range(self.rings)]
        self.latency = self._dividers[0].latency + 1 + (self.rings > 1)
        super().__init__(
            {
                "i": In(stream.Signature(config.sum_bits)),
                "o": Out(stream.Signature(table_layout(config))),
            }
        )

    @staticmethod
    def choose(config: SoftmaxConfig) -> tuple[int, int]:
        """Units of a ring and number of rings: the smallest ring that keeps up, else several.

        Several rings share the work only where each gives its row's quotients in one burst,
        which takes a unit for every level.
        """
        for units in (2**k for k in range(config.bits + 1)):
            period = Divider.batch_period(config, units) * config.levels // units
            rings = -(-period // config.full_rate_beats)
            if rings == 1:
                break
        return units, rings

    def elaborate(self, platform):
        m = Module()
        for k, divider in enumerate(self._dividers):
            m.submodules[f"divider{k}"] = divider
        result = self._share(m) if self.rings > 1 else self._single(m)

        rounded = Signal(self.config.prob_bits + 1)
        level = Signal(self.config.bits)
        m.d.comb += [
            result.ready.eq(~self.o.valid),
            rounded.eq(result.payload.floor + result.payload.round_up),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(result.valid & result.ready):
            m.d.sync += [level.eq(level + 1), self.o.valid.eq(level == self.config.levels - 1)]
            for k in range(self.config.levels):
                with m.If(level == k):
                    m.d.sync += self.o.payload[k].eq(Mux(rounded[-1], -1, rounded))
        return m

    def _single(self, m):
        (divider,) = self._dividers
        wiring.connect(m, wiring.flipped(self.i), divider.i)
        return divider.o

    def _share(self, m):
        """Rows go to the rings in turn, and their quotients come back in the same turn."""
        turn_in = Signal(range(self.rings))
        turn_out = Signal(range(self.rings))
        level = Signal(self.config.bits)
        result = self._dividers[0].o.signature.create()

        def after(turn):
            return Mux(turn == self.rings - 1, 0, turn + 1)

        for k, divider in enumerate(self._dividers):
            waiting = Signal(name=f"ring{k}_waiting")
            row_sum = Signal(self.config.sum_bits, name=f"ring{k}_sum", reset_less=True)
            free = Signal(name=f"ring{k}_free")
            m.d.comb += [
                free.eq(~waiting | divider.i.ready),
                divider.i.valid.eq(waiting),
                divider.i.payload.eq(row_sum),
            ]
            with m.If(free):
                m.d.sync += waiting.eq(self.i.valid & (turn_in == k))
            with m.If(free & (turn_in == k)):
                m.d.sync += row_sum.eq(self.i.payload)
                m.d.comb += self.i.ready.eq(1)
            with m.If(turn_out == k):
                m.d.comb += [
                    result.valid.eq(divider.o.valid),
                    result.payload.eq(divider.o.payload),
                    divider.o.ready.eq(result.ready),
                ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += turn_in.eq(after(turn_in))
        with m.If(result.valid & result.ready):
            m.d.sync += level.eq(level + 1)
            with m.If(level == self.config.levels - 1):
                m.d.sync += turn_out.eq(after(turn_out))
        return result
