"""A ring of division steps."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from exaq import SoftmaxConfig

from exaq_hdl.exp_rom import ExpRom


def quotient_layout(config: SoftmaxConfig) -> data.StructLayout:
    """floor(E * 2**prob_bits / S), and whether the remainder is half of S or more."""
    return data.StructLayout({"floor": config.prob_bits, "round_up": 1})


class Divider(wiring.Component):
    """Divides every E_k by a row's sum S.

    ``units`` restoring steps stand in a ring; as many divisions go round in it one behind the
    other, each for prob_bits + 1 steps, one quotient bit a step, the last bit being the one
    that rounds. So one unit is a serial divider, and more are as fast as several of them, but
    with one way in and one way out.

    Latency ``latency`` cycles from a sum to its last quotient; throughput a row in ``period``
    cycles. ``i`` holds the sum until the divisions are done. Back-pressure on ``o`` stops the
    ring. Quotients of levels that no element of the row has are meaningless where E_k > S.

    Parameters
    ----------
    config
        The unit's configuration.
    units
        Steps in the ring: a power of two, at most 2**bits.

    Members
    -------
    i : stream of sum_bits bits, one item a row, at least 1 for a row with a live element
    o : stream of quotient_layout, for k = 0, 1, ... 2**bits - 1
    """

    def __init__(self, config: SoftmaxConfig, *, units: int):
        self.config = config
        self.units = units
        self._batch = self.batch_period(config, units)
        batches = config.levels // units
        self.period = self._batch * batches
        self.latency = self._batch * (batches - 1) + units - 1 + config.prob_bits + 1
        super().__init__(
            {
                "i": In(stream.Signature(config.sum_bits)),
                "o": Out(stream.Signature(quotient_layout(config))),
            }
        )

    @staticmethod
    def batch_period(config: SoftmaxConfig, units: int) -> int:
        """Cycles for ``units`` divisions: whole rounds, and S held until the last one's end."""
        return units * (1 + -(-config.prob_bits // units))

    def elaborate(self, platform):
        m = Module()
        config, units, batch = self.config, self.units, self._batch
        steps = config.prob_bits

        run = Signal()
        step = Signal(range(batch))
        end_of_batch = Signal()
        next_level = Signal(config.bits, init=1 % config.levels)
        load = Signal(init=units > 1)
        m.d.comb += [
            run.eq(self.i.valid & (~self.o.valid | self.o.ready)),
            end_of_batch.eq(step == batch - 1),
            self.i.ready.eq(run & end_of_batch & (next_level == 0)),
        ]
        with m.If(run):
            after = Signal(range(batch))
            m.d.comb += after.eq(Mux(end_of_batch, 0, step + 1))
            m.d.sync += [
                step.eq(after),
                load.eq((after < units - 1) | (after == batch - 1)),
            ]
            with m.If(load):
                m.d.sync += next_level.eq(next_level + 1)

        m.submodules.exp_rom = exp_rom = ExpRom(config)
        m.d.comb += exp_rom.code.eq(next_level)

        # Register u holds what step u has left; step 0 takes from the last one, where a new
        # division enters by its first remainder E_k.
        first = config.tables.exp_rom[0]
        remainders = [
            Signal(config.sum_bits, name=f"remainder{u}", init=first if u == units - 1 else 0)
            for u in range(units)
        ]
        quotients = [
            Signal(steps, name=f"quotient{u}", reset_less=True) for u in range(units)
        ]
        for u in range(units):
            doubled = Signal(config.sum_bits + 1, name=f"doubled{u}")
            difference = Signal(config.sum_bits + 2, name=f"difference{u}")
            bit = Signal(name=f"bit{u}")
            left = Mux(bit, difference, doubled)[: config.sum_bits]
            m.d.comb += [
                doubled.eq(remainders[u - 1] << 1),
                difference.eq(doubled - self.i.payload),
                bit.eq(~difference[-1]),
            ]
            with m.If(run):
                entering = load if u == units - 1 else 0
                m.d.sync += [
                    remainders[u].eq(Mux(entering, exp_rom.exponential, left)),
                    quotients[u].eq((quotients[u - 1] << 1) | bit),
                ]
            if u == steps % units:
                with m.If(~self.o.valid | self.o.ready):
                    m.d.sync += [
                        self.o.valid.eq(run & (step >= steps) & (step < steps + units)),
                        self.o.payload.floor.eq(quotients[u - 1]),
                        self.o.payload.round_up.eq(bit),
                    ]
        return m
