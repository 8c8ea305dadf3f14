"""A ring of division steps."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq.scalars import integer
from exaq_hdl.checks import check_config
from exaq_hdl.kernels.exaq.tables.exp_ram import ExpRam
from exaq_hdl.kernels.exaq.tables.exp_rom import ExpRom
from exaq_hdl.parts.counters import increment
from exaq_hdl.shell.beats import level_word, of_row


def quotient_layout(config: SoftmaxConfig) -> data.StructLayout:
    """floor(E * 2**prob_bits / S), and whether 1 has to be added to round and saturate it."""
    return data.StructLayout({"floor": config.prob_bits, "round_up": 1})


# Cycles before a row's first batch: ExpRam's latency, and the batch's last two, in which the
# first two exponentials enter the ring.
_PRELUDE = ExpRam.latency + 2


class Divider(wiring.Component):
    """Divides every E_k by a row's sum S.

    ``units`` restoring steps stand in a ring; as many divisions go round in it one behind the
    other, each for prob_bits + 1 steps, one quotient bit a step, the last bit being the one
    that rounds. So one unit is a serial divider, and more are as fast as several of them, but
    with one way in and one way out.

    Latency ``latency`` cycles from a sum to its last quotient; throughput a row in ``period``
    cycles. ``i`` holds the sum until the divisions are done. Back-pressure on ``o`` stops the
    ring. Quotients of levels that no element of the row has are meaningless where E_k > S.

    Without contexts, a row's first exponentials enter while the row before is finished. With
    contexts they are looked up for each row, which takes ``_PRELUDE`` cycles more.

    Parameters
    ----------
    config
        The unit's configuration.
    units
        Steps in the ring: a power of two, at most 2**bits.

    Members
    -------
    i : stream of sum_bits bits, ~S, with the row_tables; one item a row. S is at least 1 where
        an element is live
    store : with contexts: stream of level_word, always ready; into banks that no row uses
    o : stream of quotient_layout, for k = 0, 1, ... 2**bits - 1
    """

    def __init__(self, config: SoftmaxConfig, *, units: int):
        self.config = check_config(config)
        self.units = units = integer("units", units, 1, config.levels)
        if units & units - 1:
            raise ValueError(f"units must be a power of two, not {units}")
        self._batch = self.batch_period(config, units)
        self.period = self.row_period(config, units)
        self.latency = self.period - self._batch + units - 1 + config.prob_bits + 1
        words = stream.Signature(level_word(config), always_ready=True)
        super().__init__(
            {
                "i": In(stream.Signature(of_row(config, "complement", config.sum_bits))),
                "o": Out(stream.Signature(quotient_layout(config))),
            }
            | ({"store": In(words)} if config.contexts else {})
        )

    @staticmethod
    def batch_period(config: SoftmaxConfig, units: int) -> int:
        """Cycles for ``units`` divisions: whole rounds, and S held until the last one's end."""
        if units == 1:
            return config.prob_bits + 2
        return units * (1 + -(-config.prob_bits // units))

    @classmethod
    def row_period(cls, config: SoftmaxConfig, units: int) -> int:
        """Cycles for the 2**bits divisions of a row."""
        prelude = _PRELUDE if config.contexts else 0
        return prelude + cls.batch_period(config, units) * config.levels // units

    def elaborate(self, platform):
        # In cycle c of a batch, division k = 0 ... units - 1 takes its step c - k. It enters the
        # last register in the cycle before its first step, by an OR: what stands before that
        # register has been cleared by then, so the step on the way in leaves zero.
        m = Module()
        config, units, batch = self.config, self.units, self._batch
        steps = config.prob_bits
        loaded = bool(config.contexts)
        exponentials = (0, 0) if loaded else config.tables.exp_rom

        run = Signal()
        start = 1 << (batch - _PRELUDE if loaded else 0)
        cycle = Signal(batch, init=start)
        fetch = Signal()
        # Exponentials looked up before a row's first cycle.
        ahead = (1 if units == 1 else 2) + (ExpRam.latency if loaded else 0)
        level = Signal(config.bits, init=0 if loaded else ahead % config.levels)
        entering = Signal(config.exp_bits, init=0 if units == 1 else exponentials[1])
        m.d.comb += [
            run.eq(self.i.valid & (~self.o.valid | self.o.ready)),
            fetch.eq(Cat(cycle[k % batch] for k in range(-2, units - 2)).any()),
        ]
        exps: Any
        last: Any
        if loaded:
            complement = self.i.payload.complement
            m.submodules.exp_ram = exps = ExpRam(config)
            wiring.connect(m, wiring.flipped(self.store), exps.store)
            # Low in the prelude, whose last cycles are those of a batch but give nothing.
            primed = Signal()
            early = ~primed & cycle[-_PRELUDE:-2].any()
            # Whether this is a row's last cycle, known from the one before.
            last = Signal()
            m.d.comb += [exps.step.eq(run & (fetch | early)), exps.bank.eq(self.i.payload.bank)]
        else:
            complement = self.i.payload
            m.submodules.exp_rom = exps = ExpRom(config)
            last = level == 1 if units < config.levels else 1
        m.d.comb += [
            exps.code.eq(level),
            self.i.ready.eq(run & last if loaded else run & cycle[-1] & last),
        ]
        with m.If(run):
            m.d.sync += [cycle.eq(cycle.rotate_left(1)), entering.eq(0)]
            with m.If(fetch):
                m.d.sync += [level.eq(increment(level)), entering.eq(exps.exponential)]
            if loaded:
                with m.If(early):
                    m.d.sync += level.eq(increment(level))
                with m.If(cycle[-1]):
                    m.d.sync += primed.eq(1)
                m.d.sync += last.eq(cycle[-2] & primed & (level == ExpRam.latency))
                with m.If(last):
                    m.d.sync += [cycle.eq(start), primed.eq(0), level.eq(0), entering.eq(0)]

        remainders = [
            Signal(
                config.sum_bits,
                name=f"remainder{u}",
                init=exponentials[0] * (u == units - 1),
                reset_less=u < units - 2,
            )
            for u in range(units)
        ]
        quotients = [Signal(steps, name=f"quotient{u}", reset_less=True) for u in range(units)]
        bits = [Signal(name=f"bit{u}") for u in range(units)]
        for u in range(units):
            difference = Signal(config.sum_bits + 2, name=f"difference{u}")
            # The lowest bit by a gate: as a multiplexer with 0 it would become a late reset.
            upper = Mux(bits[u], difference[1:], remainders[u - 1])[: config.sum_bits - 1]
            left: Value = Cat(difference[0] & bits[u], upper)
            # doubled - S is doubled + ~S + 1, and the lowest bit of doubled is free for the 1.
            m.d.comb += [
                difference.eq(Cat(1, remainders[u - 1]) + Cat(complement, 1)),
                bits[u].eq(difference[-1]),
            ]
            if u == units - 1:
                left = left | entering
            # By a gate too: a reset of its own would tear the carry chain apart on iCE40.
            if u == (units - 2) % units:
                left = left & (~fetch).replicate(len(left))
            with m.If(run):
                m.d.sync += [
                    remainders[u].eq(left),
                    quotients[u].eq((quotients[u - 1] << 1) | bits[u]),
                ]

        # Without a quotient of ones to round up, rounding never overflows: that is saturation.
        given = cycle[steps : steps + units].any()
        if loaded:
            given = given & primed
        floor = quotients[steps % units - 1]
        out = Signal(quotient_layout(config), reset_less=True)
        m.d.comb += self.o.payload.eq(out)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(run & given),
                out.floor.eq(floor),
                out.round_up.eq(bits[steps % units] & ~floor.all()),
            ]
        return m
