"""The sum of a row."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.kernels.exaq.tables.exp_rom import lookup
from exaq_hdl.kernels.exaq.tables.sum_ram import ExcessRam, SumRam
from exaq_hdl.kernels.exaq.tables.sum_rom import SumRom
from exaq_hdl.shell.beats import code_beat, excess_word, item, live_lanes, of_row, row_tables


def tree_depth(leaves: int) -> int:
    """Levels of a binary tree over ``leaves``."""
    return (leaves - 1).bit_length()


class Accumulator(wiring.Component):
    """Sum S of the exponentials of a row's live elements.

    Given as its complement ~S, which spares whoever subtracts it an inverter for every bit.
    Latency 4 + ceil(log2(groups)) cycles, with contexts one more, from a row's last beat to its
    sum; throughput 1 beat per cycle, rows back to back. Exact: nothing rounds or overflows.
    LUT_sum counts every lane that is not live as level 0, so E_0 is taken off again once for each.

    Members
    -------
    i : stream of code_beat, always ready
    totals : the beat's LUT_sum entries, one a group, SumRom.latency, with contexts
        SumRam.latency, cycles after the beat
    store : with contexts: stream of excess_word, always ready; into banks that no row uses
    o : stream of sum_bits bits with the row_tables, always ready; ~S, one item a row
    """

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config)
        self.latency = SumRom.latency + tree_depth(config.groups) + 2
        excess_store = {}
        if config.contexts:
            self._excess_ram = ExcessRam(config)
            self.latency += SumRam.latency - SumRom.latency
            words = stream.Signature(excess_word(config), always_ready=True)
            excess_store["store"] = In(words)
        super().__init__(
            {
                "i": In(stream.Signature(code_beat(config), always_ready=True)),
                "totals": In(data.ArrayLayout(config.group_sum_bits, config.groups)),
                "o": Out(
                    stream.Signature(
                        of_row(config, "complement", config.sum_bits), always_ready=True
                    )
                ),
            }
            | excess_store
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config

        def register(value, name):
            result = Signal.like(value, name=name, reset_less=True)
            m.d.sync += result.eq(value)
            return result

        def add_up(values, name):
            level = 0
            while len(values) > 1:
                pairs = [values[k : k + 2] for k in range(0, len(values), 2)]
                values = [
                    register(sum(pair[1:], pair[0]), f"{name}_level{level}_{k}")
                    for k, pair in enumerate(pairs)
                ]
                level += 1
            return values[0]

        live = live_lanes(config, self.i.payload)
        idle_counts = []
        for g in range(config.groups):
            lanes = ~live[g * config.group : (g + 1) * config.group]
            idle_counts.append(register(ones(lanes), f"group{g}_idle"))
        idle = add_up(idle_counts, "idle")

        fields = {name: self.i.payload[name] for name in row_tables(config)}
        if config.contexts:
            m.submodules.excess_ram = ram = self._excess_ram
            wiring.connect(m, wiring.flipped(self.store), ram.store)
            excess = ram.excess
        else:
            lowest = config.tables.exp_rom[0]
            excess = Signal(range(lowest * config.lanes + 1), reset_less=True)
            m.d.sync += excess.eq(lookup(idle, [n * lowest for n in range(config.lanes + 1)]))

        total = add_up([self.totals[g] for g in range(config.groups)], "total")
        negative = Signal(signed(len(total) + 1), reset_less=True)
        m.d.sync += negative.eq(excess - total)

        valid, last = self.i.valid, self.i.payload.last
        for k in range(self.latency - 1):
            stage = Signal(name=f"stage{k}_valid")
            m.d.sync += stage.eq(valid)
            valid, last = stage, register(last, f"stage{k}_last")
            fields = {name: register(f, f"stage{k}_{name}") for name, f in fields.items()}
            if config.contexts and k == tree_depth(config.groups):
                m.d.comb += [ram.enable.eq(valid), ram.bank.eq(fields["bank"]), ram.lanes.eq(idle)]

        # From -1 down by the beats' totals: -1 - S is ~S.
        running = Signal(config.sum_bits, init=-1)
        complement = Signal(config.sum_bits)
        row_sum = Signal(config.sum_bits, reset_less=True)
        m.d.comb += [
            complement.eq(running + negative),
            item(self.o.payload, "complement").eq(row_sum),
        ]
        m.d.sync += [row_sum.eq(complement), self.o.valid.eq(valid & last)]
        for name, value in fields.items():
            m.d.comb += self.o.payload[name].eq(register(value, f"row_{name}"))
        with m.If(valid & last):
            m.d.sync += running.eq(-1)
        with m.Elif(valid):
            m.d.sync += running.eq(complement)
        return m


def ones(bits):
    """Number of ones, as a balanced tree of adders."""
    if len(bits) == 1:
        return bits
    middle = len(bits) // 2
    return ones(bits[:middle]) + ones(bits[middle:])
