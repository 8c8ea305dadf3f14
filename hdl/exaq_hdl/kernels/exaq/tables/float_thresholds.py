"""The floating-point logits from which on a row's elements have each code."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq.float_format import FRACTION, LARGE, THRESHOLD_WIDTH, FloatFormat
from exaq_hdl.kernels.exaq.kernel_checks import check_floats
from exaq_hdl.kernels.exaq.tables.banks.row_thresholds import reached_layout
from exaq_hdl.kernels.exaq.tables.words import (
    constant_sink,
    row_origin,
    row_sink,
    row_tables,
    threshold_word,
)
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.lookup import lookup
from exaq_hdl.parts.memory import SIMULATED, Memories, Ram
from exaq_hdl.parts.pipeline import Pipeline
from exaq_hdl.shell.streams import item, with_fields

# Place to which the leading bit of a sum is shifted, beside its sign. A maximum is below 2**40, a
# threshold not below -2**31; and with 41 the least exponent of fp16 is at 31 places of shift.
_TOP = 41
# Places of the pipeline from the maximum to the sum: for its digits, and two that shift them.
_DIGITS = 3


def _lifts(floats: FloatFormat) -> list[list[int]]:
    """Powers of two of places by which the leading bit of a sum is shifted, in each stage.

    All together reach the least exponent of the format, or a sum of 0.
    """
    powers = (_TOP - max(FRACTION + 1 - floats.bias, -1)).bit_length()
    return [[k] for k in range(powers - 1, 1, -1)] + [[1, 0]]


def _joins(kernel: Exaq) -> bool:
    """Whether each row has to look up its sink before its thresholds."""
    return bool(kernel.sinks) and bool(kernel.format.contexts)


def _start(kernel: Exaq) -> int:
    """Place of the pipeline in which the maximum is known: the first, or that behind the sink's."""
    return Ram.latency + 1 if _joins(kernel) else 0


def _turns(kernel: Exaq) -> int:
    """Words that are looked up for each row."""
    return kernel.levels - 1 + _joins(kernel)


def _depth(kernel: Exaq) -> int:
    """Registers between a threshold's turn and its border."""
    _, floats = check_floats(kernel)
    return _start(kernel) + _DIGITS + 1 + len(_lifts(floats))


class FloatThresholds(Component):
    """Borders of a row, one threshold after the other: T_k, the smallest number >= max + t_k.

    Exact: elements reach T_k just where they reach that of ``FloatFormat.borders``. The sink of a
    bank joins the maximum first; a sink that all rows share is in it already. Of either the code is
    found on the way: the number of borders that it reaches. Latency ``latency`` cycles; throughput
    a row in ``period`` cycles, while rows before are quantized. Back-pressure on ``o`` holds its
    payload, and the next rows close up behind it.

    Members
    -------
    i : stream of a row's maximum, its key in offset binary, with its row_tables; one item a row
    store : with contexts: stream of threshold_word, always ready; into banks that no row uses
    o : stream of reached_layout with the row_tables, the row_sink, and with row results the row's
        maximum, all keys in offset binary; one item a row
    """

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self.kernel, self._floats = check_floats(kernel)
        self._memories = memories
        self.period, self.latency = _turns(kernel), self.latency_of(kernel)
        width, fields = kernel.format.logit_width, row_tables(kernel)
        self._fields = fields | row_origin(kernel)
        self._sink = constant_sink(kernel) if kernel.sinks else 0
        formed = self._fields | row_sink(kernel)
        given = with_fields("reached", reached_layout(kernel), formed)
        store = {"store": In(stream.Signature(threshold_word(kernel), always_ready=True))}
        super().__init__(
            {
                "i": In(stream.Signature(with_fields("maximum", width, fields))),
                "o": Out(stream.Signature(given)),
            }
            | (store if kernel.format.contexts else {})
        )

    @staticmethod
    def latency_of(kernel: Exaq) -> int:
        """``latency`` of a unit with ``kernel``."""
        return _turns(kernel) + _depth(kernel) + 1

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel = self.kernel
        full, move = Signal(), Signal()
        depth = _depth(kernel)
        pipeline = Pipeline(m, depth, self.i.valid, full & self.o.valid)

        # Code 0 needs no threshold; in its place is the sink of a bank.
        first_code = 0 if _joins(kernel) else 1
        code = Signal(kernel.bits, init=first_code)
        m.d.comb += self.i.ready.eq(pipeline.moves[0] & code.all())
        with m.If(pipeline.moves[0] & self.i.valid):
            m.d.sync += code.eq(Mux(code.all(), first_code, code + 1))
        last = pipeline.carry(0, code.all(), "last", depth)
        late = {
            name: pipeline.carry(0, self.i.payload[name], name, depth)
            for name in row_tables(kernel)
        }
        read, threshold = self._look_up(m, pipeline, code)
        maximum = of_turn = item(self.i.payload, "maximum")
        if _joins(kernel):
            maximum, of_turn = self._join_sink(m, pipeline, code, read, maximum)
        late["maximum"] = pipeline.carry(_start(kernel), of_turn, "maximum", depth)
        border = self._border(pipeline, maximum, threshold, late["maximum"])

        formed = Signal.like(self.o.payload, name="formed", reset_less=True)
        # The turn of a sink gives no border: what arrives with it is shifted out again.
        arrived = Signal()
        reached = Value.cast(item(formed, "reached"))
        m.d.comb += arrived.eq(pipeline.moves[-1] & pipeline.held[-1])
        with m.If(arrived):
            m.d.sync += reached.eq(Cat(reached[len(border) :], border))
            m.d.sync += [formed[name].eq(late[name]) for name in self._fields]
        if kernel.sinks:
            sink: Value = Const(self._sink, kernel.format.logit_width)
            if _joins(kernel):
                sink = Signal(kernel.format.logit_width, name="sink", reset_less=True)
                with m.If(arrived & pipeline.carry(0, code == 0, "is_sink", depth)):
                    m.d.sync += sink.eq(late["maximum"])
            first = pipeline.carry(0, code == 1, "first", depth)
            with m.If(arrived):
                m.d.sync += formed.sink.eq(Mux(first, 0, formed.sink) + (sink >= border))

        # A register of its own keeps the way of `o.ready` short.
        out = Signal.like(self.o.payload, name="out", reset_less=True)
        m.d.comb += [self.o.payload.eq(out), move.eq(full & (~self.o.valid | self.o.ready))]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(move):
            m.d.sync += [self.o.valid.eq(1), out.eq(formed), full.eq(0)]
        with m.If(arrived & last):
            m.d.sync += full.eq(1)
        return m

    def _look_up(self, m: Module, pipeline: Pipeline, code: Value) -> tuple[Any, Any]:
        """What is read for ``code``: the word of a bank as it comes, and the threshold where the
        sum is formed.
        """
        kernel, last = self.kernel, _start(self.kernel) + _DIGITS
        if not kernel.format.contexts:
            first, *others = kernel.tables.thresholds
            code = pipeline.carry(0, code, "code", last - 1)
            found = Value.cast(lookup(code, [first, first, *others]))
            return found, pipeline.step(last - 1, found, "threshold")
        m.submodules.ram = ram = self._memories.ram(
            width=THRESHOLD_WIDTH,
            depth=(kernel.format.contexts + 1) << kernel.bits,
            holds="thresholds of all contexts",
        )
        # As late as can be, but for sinks, which the maximum waits for.
        word, place = self.store.payload, 0 if _joins(kernel) else last - Ram.latency
        bank = pipeline.carry(0, self.i.payload.bank, "read_bank", place)
        m.d.comb += [
            ram.write_enable.eq(self.store.valid),
            ram.write_address.eq(Cat(word.code, word.bank)),
            ram.write_data.eq(word.threshold),
            ram.read_enable.eq(pipeline.held[place] & pipeline.moves[place]),
            ram.read_address.eq(Cat(pipeline.carry(0, code, "code", place), bank)),
            ram.output_enable.eq(pipeline.moves[place + 1]),
        ]
        read = ram.read_data.as_signed()
        return read, pipeline.carry(place + Ram.latency, read, "threshold", last)

    def _join_sink(
        self, m: Module, pipeline: Pipeline, code: Value, read: Value, maximum: Value
    ) -> tuple[Value, Value]:
        """In place ``_start``: a row's maximum with its sink, and the same but for the turn of code
        0, which has the sink itself. ``read`` is what was read for a turn, ``maximum`` the row's in
        place 0.
        """
        width, place = len(maximum), _start(self.kernel) - 1
        given = pipeline.carry(0, maximum, "given", place)
        begins = pipeline.carry(0, code == 0, "begins", place)
        offset = Cat(read[: width - 1], ~read[width - 1])
        sink = Signal(width, name="read_sink", reset_less=True)
        joined = Signal(width, reset_less=True)
        with m.If(pipeline.moves[place] & pipeline.held[place] & begins):
            m.d.sync += [sink.eq(offset), joined.eq(Mux(given < offset, offset, given))]
        return joined, Mux(pipeline.step(place, begins, "begins"), sink, joined)

    def _border(self, pipeline: Pipeline, maximum: Any, threshold: Any, late: Any) -> Value:
        """T_k in the last place, of ``maximum`` in place ``_start``, which is ``late`` in the last
        one, and of ``threshold`` where the sum is formed.

        Until the end everything is one too small, as ~d is for -d: the digits of the maximum,
        these in steps of 2**-24, the sum. What is shifted in from below are ones. So cutting bits
        off rounds down from just below each number that could stay, and adding 1 in the last
        place rounds up, whatever the sign.
        """
        floats, width, begin = self._floats, len(maximum), _start(self.kernel)
        mantissa = floats.mantissa
        negative = ~maximum[-1]
        size = maximum[:-1] ^ negative.replicate(width - 1)
        exponent = size[mantissa:]
        digits = Cat(size[:mantissa], exponent.any())
        value = Mux(negative, Cat(~digits, 1).as_signed(), digits - 1)
        # The exponent of numbers whose digits count steps, and one that needs no shift, so far
        # below that but for the sign nothing is left of smaller numbers.
        unit = floats.bias + mantissa - FRACTION
        start = max(1, (unit - mantissa - 2) & ~31)
        most = min(2**floats.exponent - 2, floats.bias + LARGE - 1) - start
        shift = Mux(exponent > start, exponent - start, 0)[: most.bit_length()]
        value = pipeline.step(begin, value, "digits")
        for place, digits_moved in (
            (begin + 1, range(3)),
            (begin + 2, range(3, len(shift))),
        ):
            shift = pipeline.step(place - 1, shift, "shift")
            for k in digits_moved:
                moved = Cat(Const(-1, 1 << k), value).as_signed()
                value = Mux(shift[k], moved, value)
            value = pipeline.step(place, value[: unit - start + _TOP + 1].as_signed(), "shifted")

        total = (value[unit - start :].as_signed() + threshold)[: _TOP + 1]
        total = pipeline.step(begin + _DIGITS, total, "total")

        # The leading bit to the top: the places that were empty make the exponent.
        word: Value = Cat(total, total[-1])
        empty: Value = Const(0, 0)
        for place, powers in enumerate(_lifts(floats), begin + _DIGITS + 1):
            for k in powers:
                top = word[-(1 << k) - 1 :]
                same = top.all() | ~top.any()
                word = Mux(same, Cat(Const(-1, 1 << k), word[: -(1 << k)]), word)
                empty = Cat(same, empty)
            # No lower power moves more than so much of it to the top.
            word = pipeline.step(place, word[-(mantissa + 1 + (1 << powers[-1])) :], "word")
            empty = pipeline.step(place, empty, "empty")
        sign = word[-1]
        # One sum of exponent and mantissa, whose leading one counts in the exponent.
        base = _TOP - FRACTION + floats.bias - 1 - (2 ** len(empty) - 1)
        field = Mux(word[-2] != sign, base + ~empty, 0)[: floats.exponent]
        high = Cat(Const(0, mantissa), field, 0) ^ sign.replicate(width)
        # The carry into the lowest place adds the 1.
        key = (Cat(1, word).as_signed() + Cat(1, high).as_signed())[1 : width + 1]
        border = Cat(key[:-1], ~key[-1])
        if unit <= 1:
            return border
        # The format has numbers smaller than a step, and some too large for any threshold.
        large = pipeline.carry(begin, exponent >= floats.bias + LARGE, "large", begin + _DIGITS)
        zero = pipeline.carry(begin, size == 0, "zero", begin + _DIGITS)
        same = pipeline.carry(
            begin + _DIGITS, large | ((threshold == 0) & ~zero), "same", pipeline.depth
        )
        return Mux(same, late, border)
