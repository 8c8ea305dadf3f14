"""Values of keys times the probabilities of their codes, without a multiplier for any key.

    codes, values -> gates -> sums by level -> copies -> products -> queue -> division -> queue
                     \\------ one of each dimension -----/        row sums ---/

A key counts with one of K exponentials. So values are added up by code, and only the end of a row
multiplies, K times for each dimension, and divides once:

    o = round(sum of E_k * L_k / S),   L_k = sum of v over the live keys of code k

    >>> from exaq.attention import AttentionConfig
    >>> from exaq_hdl.attention.level_sums import LevelSums
    >>> unit = LevelSums(AttentionConfig(head_size=64, max_row=256))
    >>> unit.outputs_per_beat, unit.steps, unit.latency
    (2, 32, 38)
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq.scalars import integer
from exaq_hdl.attention.dimension_sums import DimensionSums
from exaq_hdl.attention.level_layouts import output_fields, sum_fields, total_beat, value_fields
from exaq_hdl.attention.level_products import LevelProducts
from exaq_hdl.attention.row_divider import RowDivider
from exaq_hdl.attention.sum_reader import SumReader
from exaq_hdl.parts.assembly import add_named, late
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.ports import Ports, StreamPort, layout, members


class LevelSums(Component):
    """Outputs of an attention head from codes, values and row sums: ``exaq.attention.outputs``.

    Latency: the first beat of a row's outputs is offered ``latency`` cycles after the row's last
    beat was taken, if its sum was there ``latency - sum_latency`` cycles after it at the latest
    and nothing before it has to wait; the others follow, one in a cycle. Throughput 1 beat per
    cycle, and rows of ``steps`` beats and more, in any mixture, are taken without a bubble for ever
    where the sums come no later than ``steps`` cycles behind their row's last beat: shorter rows
    take ``steps`` cycles each. Back-pressure on ``o``, or a sum that does not come, holds what
    follows; once the queues are full ``i`` is stopped, and nothing is lost. ``i.ready`` and
    everything on ``o`` are registers.

    Parameters
    ----------
    config
        The head's parameters.
    outputs_per_beat
        Dimensions that are multiplied, divided and given in a cycle: a power of two that divides
        the head's size. None: the least with which rows of ``full_rate_row`` keys, or of
        ``max_row`` if that is less, need not wait here, and the greatest there is where none
        suffices. Where ``full_rate_row`` is a single beat, as codes and sums alone have it by
        default, it is taken to be what a softmax that gives probabilities has.
    memories
        Makes the RAMs of the queues.

    Members
    -------
    i : stream of value_fields, in
    sum : stream of sum_fields, an item for each row and in the order of rows, in; it may come
        before its row does, or long after
    o : stream of output_fields, out
    """

    def __init__(
        self,
        config: AttentionConfig,
        *,
        outputs_per_beat: int | None = None,
        memories: Memories = SIMULATED,
    ):
        self.config = config = check_attention(config)
        self.outputs_per_beat = per_beat = settle_outputs_per_beat(config, outputs_per_beat)
        softmax, size = config.softmax, config.head_size
        levels = softmax.levels
        self._dimensions = [
            DimensionSums(
                lanes=config.lanes,
                levels=levels,
                value_width=config.value_width,
                level_width=config.level_width,
            )
            for _ in range(size)
        ]
        self._reader = SumReader(
            dimensions=size, per_beat=per_beat, levels=levels, level_width=config.level_width
        )
        #: Cycles after reset until beats are taken.
        self.boot_cycles = size + 1
        #: Beats of a row's outputs, and of the shortest rows that are taken without a bubble.
        self.steps = self._reader.steps
        self._products = [
            LevelProducts(
                softmax.tables.exp_rom,
                level_width=config.level_width,
                width=softmax.sum_bits + config.value_width,
            )
            for _ in range(per_beat)
        ]
        self._divider = RowDivider(config, per_beat=per_beat)
        # From a row's last beat to the copy of its sums, and to its first totals.
        self._to_copy = 2 + self._dimensions[0].latency
        to_totals = self._to_copy + self._reader.latency + self._products[0].latency
        # When a row is let through, its totals must have room, and so must all that are on
        # their way already, which come one in a cycle.
        self._totals = Fifo(
            total_beat(config, per_beat),
            capacity=self.steps,
            slack=self.steps + to_totals,
            memories=memories,
        )
        self._outputs = Fifo(
            layout(output_fields(config, per_beat)),
            capacity=2,
            slack=self._divider.latency + 1,
            memories=memories,
        )
        #: Cycles from a row's sum taken, if everything else has waited for it, to its outputs.
        self.sum_latency = self._divider.sum_latency + self._divider.latency + Fifo.latency
        self.latency = to_totals + Fifo.latency + self._divider.latency + Fifo.latency
        super().__init__(members(level_sums_ports(config, per_beat)))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        reader, divider = self._reader, self._divider
        totals, outputs = self._totals, self._outputs
        for d, dimension in enumerate(self._dimensions):
            add_named(m, f"dimension{d}", dimension)
        for name, block in {"reader": reader, "totals": totals, "divider": divider}.items():
            add_named(m, name, block)
        add_named(m, "outputs", outputs)
        asleep = Signal(self.config.head_size, init=-1)
        m.d.sync += asleep.eq(Cat(0, asleep[:-1]))
        passes = self._admit(m, ~asleep[-1])
        self._add_up(m, asleep)
        self._copy(m, asleep, passes)

        delay = self._products[0].latency
        for k, products in enumerate(self._products):
            add_named(m, f"products{k}", products)
            m.d.comb += [
                products.sums.eq(reader.read[k]),
                totals.i.payload.totals[k].eq(products.total),
            ]
        m.d.comb += [
            totals.i.valid.eq(late(m, reader.valid, delay, "total_valid", cleared=True)),
            totals.i.payload.last.eq(late(m, reader.last, delay, "total_last")),
            divider.sum.valid.eq(self.sum.valid),
            divider.sum.payload.eq(self.sum.payload.sum),
            self.sum.ready.eq(divider.sum.ready),
            divider.room.eq(outputs.room),
        ]
        wiring.connect(m, totals.o, divider.i)
        wiring.connect(m, divider.o, outputs.i)
        wiring.connect(m, outputs.o, wiring.flipped(self.o))
        return m

    def _admit(self, m: Module, awake: Value) -> Value:
        """Takes beats; high when a row's end is let through, with its last beat or behind it.

        A row's sums stand in the accumulators until its copy is made, and a beat of the next row
        may follow as soon as it is sure when that is. So a row's end waits until the copy of the
        row before will have been read, and there is room for its own totals; and while it
        waits, beats wait too.
        """
        waiting, taking = Signal(), Signal()
        left = Signal(range(self.steps))
        ended = self.i.valid & taking & self.i.payload.last
        asks, passes = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(taking),
            asks.eq(waiting | ended),
            passes.eq(asks & (left == 0) & self._totals.room),
        ]
        m.d.sync += [
            waiting.eq(asks & ~passes),
            taking.eq(awake & (~asks | passes)),
            left.eq(Mux(passes, self.steps - 1, left - (left != 0))),
        ]
        return passes

    def _add_up(self, m: Module, asleep: Value) -> None:
        """Beats to gates and values, two registers each, and both to every dimension: the second
        ones of gates are near it, and nothing but wires is between the two.
        """
        beat = self.i.payload
        lanes, levels = self.config.lanes, self.config.softmax.levels
        tree = self._dimensions[0].tree_latency
        taken = Signal()
        first = Signal(init=1)
        m.d.comb += taken.eq(self.i.valid & self.i.ready)
        with m.If(taken):
            m.d.sync += first.eq(beat.last)
        values: Any = beat.values
        for stage in range(2):
            later = Signal.like(values, name=f"values{stage}", reset_less=True)
            m.d.sync += later.eq(values)
            values = later
        chosen = Cat(
            taken & beat.live[lane] & (beat.codes[lane] == level)
            for lane in range(lanes)
            for level in range(levels)
        )
        gates_of_all = late(m, chosen, 1, "chosen")
        keep = late(m, ~(taken & first), tree + 1, "keep")
        for dimensions in grouped(self.config.head_size):
            first_one = dimensions[0]
            gates = near(m, asleep[first_one], gates_of_all, f"gates_of{first_one}")
            for d in dimensions:
                dimension = self._dimensions[d]
                m.d.comb += [
                    # In front of the longest carries, so there is one for each dimension.
                    dimension.keep.eq(near(m, asleep[d], keep, f"keep_of{d}")),
                    Value.cast(dimension.gates).eq(gates),
                ]
                for lane in range(lanes):
                    m.d.comb += dimension.values[lane].eq(values[lane][d])

    def _copy(self, m: Module, asleep: Value, passes: Value) -> None:
        """Copies of a row's sums, when all of its beats are in them."""
        copy = late(m, passes, self._to_copy - 1, "copy", cleared=True)
        for dimensions in grouped(self.config.head_size):
            first_one = dimensions[0]
            here = near(m, asleep[first_one], copy, f"copy_of{first_one}", cleared=True)
            for d in dimensions:
                m.d.comb += [
                    self._reader.copy[d].eq(here),
                    self._reader.sums[d].eq(self._dimensions[d].sums),
                ]


# Dimensions that have registers of their own for what all dimensions get.
_GROUP = 4


def grouped(dimensions: int) -> list[range]:
    """The dimensions of each group that has such registers."""
    return [range(d, min(d + _GROUP, dimensions)) for d in range(0, dimensions, _GROUP)]


def near(m: Module, asleep: Value, value: Value, name: str, *, cleared: bool = False) -> Value:
    """``value`` in the next cycle, in a register of a group of dimensions; 0 while it is asleep.

    Registers with the same input are the same to synthesis, which makes one of them, whose users
    are then all over the device. So each one wakes up in a cycle of its own after reset.
    """
    register = Signal(len(value), name=name, reset_less=not cleared)
    with m.If(asleep):
        m.d.sync += register.eq(0)
    with m.Else():
        m.d.sync += register.eq(value)
    return register


def level_sums_ports(config: AttentionConfig, outputs_per_beat: int) -> Ports:
    """The ports of ``LevelSums``, each with what it is."""
    return {
        "i": StreamPort(In, value_fields(config), ready_is_register=True),
        "sum": StreamPort(In, sum_fields(config), item="row"),
        "o": StreamPort(Out, output_fields(config, outputs_per_beat)),
    }


def check_attention(config: AttentionConfig) -> AttentionConfig:
    """``config``, which must be of an attention head; TypeError where it is not."""
    if not isinstance(config, AttentionConfig):
        raise TypeError(f"config must be an exaq.attention.AttentionConfig, not {config!r}")
    return config


def settle_outputs_per_beat(config: AttentionConfig, given: int | None) -> int:
    """``given``, which must be a power of two that divides the head's size, or what suits."""
    size = config.head_size
    greatest = size & -size
    if given is not None:
        given = integer("outputs_per_beat", given, 1, size)
        if greatest % given:
            raise ValueError(
                f"outputs_per_beat must be a power of two that divides head_size ({size}), "
                f"not {given}"
            )
        return given
    format = config.softmax.format
    if format.full_rate_beats == 1:
        # What codes and sums alone can do would take a divider for each dimension.
        format = config.softmax.replace(
            output="probabilities", row_results="none", full_rate_row=None
        ).format
    beats = min(format.full_rate_beats, format.beats)
    found = 1
    while found < greatest and size > found * beats:
        found *= 2
    return found
