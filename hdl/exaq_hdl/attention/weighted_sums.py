"""Values of keys times their probabilities, a multiplication for each element: to compare with.

    probabilities, values -> products -> sums over the lanes -> row's sums -> copies -> queue

This is what others build behind a softmax whose probabilities are any number. ``LevelSums`` has
gates in the place of multipliers, and divides behind the sums instead of before them.

    >>> from exaq.attention import AttentionConfig
    >>> from exaq_hdl.attention.weighted_sums import WeightedSums
    >>> config = AttentionConfig(head_size=64, keys="int8", kernel="multiply", max_row=256)
    >>> unit = WeightedSums(config, outputs_per_beat=2)
    >>> unit.outputs_per_beat, unit.steps
    (2, 32)
"""

import operator
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq.scalars import choice
from exaq_hdl.attention.adder_products import integer_product, integer_product_latency
from exaq_hdl.attention.dint_dot import MULTIPLIERS
from exaq_hdl.attention.level_layouts import output_fields, value_fields
from exaq_hdl.attention.level_sums import grouped, near
from exaq_hdl.attention.products import registered
from exaq_hdl.attention.sum_reader import SumReader
from exaq_hdl.parts.arithmetic import registered_tree, tree_depth
from exaq_hdl.parts.assembly import add_named, late
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.ports import Ports, StreamPort, layout, members


class WeightedSums(Component):
    """Outputs of an attention head from probabilities and values: ``attention.weighted_sums``.

    Latency: the first beat of a row's outputs is offered ``latency`` cycles after the row's last
    beat was taken, if nothing before it has to wait; the others follow, one in a cycle. Throughput
    1 beat per cycle, and rows of ``steps`` beats and more, in any mixture, are taken without a
    bubble for ever: shorter rows take ``steps`` cycles each. Back-pressure on ``o`` stops ``i`` at
    a row's last beat once the queue is full, and nothing is lost. ``i.ready`` follows from
    ``i.payload.last``; everything on ``o`` is a register.

    Parameters
    ----------
    config
        The head's parameters, whose softmax gives probabilities.
    outputs_per_beat
        Dimensions that are given in a cycle: they divide the head's size.
    multipliers
        What products are made of: ``"lut"``, gates and adders, or ``"dsp"``, multipliers.
    memories
        Makes the RAM of the queue.

    Members
    -------
    i : stream of value_fields, in
    o : stream of output_fields, out
    """

    def __init__(
        self,
        config: AttentionConfig,
        *,
        outputs_per_beat: int,
        multipliers: str = "lut",
        memories: Memories = SIMULATED,
    ):
        self.config = config
        self.outputs_per_beat = outputs_per_beat
        self._adders = choice("multipliers", multipliers, MULTIPLIERS) == "lut"
        self._reader = SumReader(
            dimensions=config.head_size,
            per_beat=outputs_per_beat,
            levels=1,
            level_width=config.weighted_width,
        )
        self._groups = grouped(config.head_size)
        #: Cycles after reset until beats are taken.
        self.boot_cycles = len(self._groups)
        #: Beats of a row's outputs, and of the shortest rows that are taken without a bubble.
        self.steps = self._reader.steps
        # From a beat to its sums over the lanes, and from a row's last one to its copy.
        products = integer_product_latency(config.value_width) if self._adders else 1
        self._to_sums = 1 + products + tree_depth(config.lanes)
        self._to_copy = self._to_sums + 1
        to_outputs = self._to_copy + self._reader.latency + 1
        # As in ``LevelSums``: a row that is let through has room, and all before it.
        self._outputs = Fifo(
            layout(output_fields(config, outputs_per_beat)),
            capacity=self.steps,
            slack=self.steps + to_outputs,
            memories=memories,
        )
        self.latency = to_outputs + Fifo.latency
        super().__init__(members(weighted_sums_ports(config, outputs_per_beat)))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        reader, outputs = self._reader, self._outputs
        add_named(m, "reader", reader)
        add_named(m, "outputs", outputs)
        wiring.connect(m, outputs.o, wiring.flipped(self.o))

        # A row's end waits until the copy of the row before will have been read.
        beat: Any = self.i.payload
        taken, passes, first = Signal(), Signal(), Signal(init=1)
        left = Signal(range(self.steps))
        asleep = Signal(len(self._groups), init=-1)
        m.d.sync += asleep.eq(Cat(0, asleep[:-1]))
        m.d.comb += [
            self.i.ready.eq(~asleep[-1] & (~beat.last | ((left == 0) & outputs.room))),
            taken.eq(self.i.valid & self.i.ready),
            passes.eq(taken & beat.last),
        ]
        m.d.sync += left.eq(Mux(passes, self.steps - 1, left - (left != 0)))
        with m.If(taken):
            m.d.sync += first.eq(beat.last)

        self._add_up(m, asleep, taken, first)
        copy = late(m, passes, self._to_copy - 1, "copy", cleared=True)
        for group, dimensions in enumerate(self._groups):
            here = near(m, asleep[group], copy, f"copy_of{group}", cleared=True)
            m.d.comb += [reader.copy[d].eq(here) for d in dimensions]
        m.d.comb += [
            outputs.i.valid.eq(late(m, reader.valid, 1, "output_valid", cleared=True)),
            outputs.i.payload.last.eq(late(m, reader.last, 1, "output_last")),
        ]
        for k in range(self.outputs_per_beat):
            total: Any = Value.cast(reader.read[k]).as_signed()
            m.d.comb += outputs.i.payload.outputs[k].eq(
                registered(m, self._output(total), f"output{k}")
            )
        return m

    def _add_up(self, m: Module, asleep: Value, taken: Value, first: Value) -> None:
        """Beats to the rows' sums, which begin with what rounds them."""
        config, beat = self.config, self.i.payload
        values = Signal.like(beat.values, name="values", reset_less=True)
        m.d.sync += values.eq(beat.values)
        # A beat that is not there weighs nothing.
        given = Mux(taken, Value.cast(beat.probabilities), 0)
        begins = late(m, taken & first, self._to_sums - 1, "first")
        for group, dimensions in enumerate(self._groups):
            weights = near(m, asleep[group], given, f"weights_of{group}")
            begin = near(m, asleep[group], begins, f"begin_of{group}")
            for d in dimensions:
                lanes = [values[lane][d] for lane in range(config.lanes)]
                beat_sum = registered_tree(
                    m, self._products(m, weights, lanes, d), operator.add, f"sum{d}_"
                )
                total = Signal(signed(config.weighted_width), name=f"total{d}", reset_less=True)
                m.d.sync += total.eq(Mux(begin, config.rounding, total) + beat_sum)
                m.d.comb += Value.cast(self._reader.sums[d]).eq(total)

    def _products(self, m: Module, weights: Value, values: Sequence[Any], d: int) -> list[Any]:
        """The values of dimension ``d`` of a beat, each times its probability."""
        bits = self.config.softmax.format.prob_bits
        width = bits + self.config.value_width
        found = []
        for lane, value in enumerate(values):
            # A sign, which is never set.
            weight = Cat(weights.word_select(lane, bits), Const(0, 1)).as_signed()
            name = f"product{d}_{lane}"
            if self._adders:
                product = integer_product(m, weight, Value.cast(value), name)
                found.append(product[:width].as_signed())
            else:
                found.append(registered(m, weight * value, name, width))
        return found

    def _output(self, total: Any) -> Any:
        """A row's sum as an output: its upper bits, saturated."""
        places, width = self.config.output_shift, self.config.output_width
        scaled = total >> places if places > 0 else total << -places
        above = scaled[width - 1 :]
        fits = ~above.any() | above.all()
        sign = scaled[-1]
        return Mux(fits, scaled[:width], Cat((~sign).replicate(width - 1), sign)).as_signed()


def weighted_sums_ports(config: AttentionConfig, outputs_per_beat: int) -> Ports:
    """The ports of ``WeightedSums``, each with what it is."""
    return {
        "i": StreamPort(In, value_fields(config)),
        "o": StreamPort(Out, output_fields(config, outputs_per_beat)),
    }
