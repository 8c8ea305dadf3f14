"""The probabilities that a row can have."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.kernels.exaq.divider import Divider, quotient_layout
from exaq_hdl.parts.counters import increment
from exaq_hdl.shell.beats import item, level_word, of_row, table_layout

# Cycles from one row's last in a divider to the next one's first. Without the pause a long way
# would lead from the emitter's ready back to the queue of sums.
_CHANGE = 1


class Normalizer(wiring.Component):
    """Turns a row's sum S into its probability table p_k = E_k / S, k = 0 ... 2**bits - 1.

    Round half up, saturated at 2**prob_bits - 1. A row costs 2**bits divisions, whatever its
    length. Latency ``latency`` cycles; throughput a row in ``full_rate_row / lanes`` cycles or
    fewer, by the smallest set of dividers that reaches it. While one table waits on ``o`` the
    next row's divisions go on until their first quotient.

    Members
    -------
    i : stream of sum_bits bits, ~S, with the row_tables; one item a row
    store : with contexts: stream of level_word, always ready; into banks that no row uses
    o : stream of table_layout, one item a row
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        self.units, self.rings = self.choose(config)
        self._dividers = [Divider(config, units=self.units) for _ in range(self.rings)]
        self.latency = 1 + self._dividers[0].latency + 1
        words = stream.Signature(level_word(config), always_ready=True)
        super().__init__(
            {
                "i": In(stream.Signature(of_row(config, "complement", config.sum_bits))),
                "o": Out(stream.Signature(table_layout(config))),
            }
            | ({"store": In(words)} if config.contexts else {})
        )

    @staticmethod
    def choose(config: SoftmaxConfig) -> tuple[int, int]:
        """Units of a ring and number of rings: the smallest ring that keeps up, else several.

        Several rings share the work only where each gives its row's quotients in one burst,
        which takes a unit for every level.
        """
        for units in (2**k for k in range(config.bits + 1)):
            period = Divider.row_period(config, units)
            rings = -(-(period + _CHANGE) // config.full_rate_beats)
            if rings == 1:
                break
        return units, rings

    def elaborate(self, platform):
        m = Module()
        config = self.config
        quotient = stream.Signature(quotient_layout(config)).create()
        level = Signal(config.bits)
        turn_in = Signal(range(self.rings))
        turn_out = Signal(range(self.rings))
        context = Signal(config.context_bits)

        def after(turn):
            return Mux(turn == self.rings - 1, 0, turn + 1)

        for k, divider in enumerate(self._dividers):
            m.submodules[f"divider{k}"] = divider
            row_sum = Signal.like(self.i.payload, name=f"divider{k}_sum", reset_less=True)
            free = Signal(name=f"divider{k}_free")
            m.d.comb += [
                free.eq(~divider.i.valid & (turn_in == k)),
                divider.i.payload.eq(row_sum),
            ]
            with m.If(divider.i.ready):
                m.d.sync += divider.i.valid.eq(0)
            with m.If(free):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [divider.i.valid.eq(self.i.valid), row_sum.eq(self.i.payload)]
            if config.contexts:
                m.d.comb += [
                    divider.store.valid.eq(self.store.valid),
                    divider.store.payload.eq(self.store.payload),
                ]
            with m.If(turn_out == k):
                if config.context_bits:
                    m.d.comb += context.eq(row_sum.context)
                m.d.comb += [
                    quotient.valid.eq(divider.o.valid),
                    quotient.payload.eq(divider.o.payload),
                    divider.o.ready.eq(quotient.ready),
                ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += turn_in.eq(after(turn_in))

        out = Signal(table_layout(config), name="table", reset_less=True)
        table = item(out, "table")
        m.d.comb += [
            self.o.payload.eq(out),
            quotient.ready.eq(~self.o.valid),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(quotient.valid & quotient.ready):
            m.d.sync += level.eq(increment(level))
            if config.context_bits:
                # With a row's first quotient its divider still holds the row.
                with m.If(level == 0):
                    m.d.sync += out.context.eq(context)
            with m.If(level == config.levels - 1):
                m.d.sync += [self.o.valid.eq(1), turn_out.eq(after(turn_out))]
            for k in range(config.levels):
                with m.If(level == k):
                    m.d.sync += table[k].eq(quotient.payload.floor + quotient.payload.round_up)
        return m
