"""The floating-point logits from which on a row's elements have each code."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq.float_format import FRACTION, LARGE, THRESHOLD_WIDTH
from exaq_hdl.kernels.exaq.kernel_checks import check_floats
from exaq_hdl.kernels.exaq.tables.banks.row_thresholds import reached_layout
from exaq_hdl.kernels.exaq.tables.constants.exp_rom import lookup
from exaq_hdl.kernels.exaq.tables.words import row_tables, threshold_word
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.streams import item, with_fields

# Place to which the leading bit of a sum is shifted, beside its sign. A maximum is below 2**40, a
# threshold not below -2**31; and with 41 the least exponent of fp16 is at 31 places of shift.
_TOP = 41


class FloatThresholds(Component):
    """Borders of a row, one threshold after the other: T_k, the smallest number >= max + t_k.

    Exact: elements reach T_k just where they reach that of ``FloatFormat.borders``. Latency
    ``latency`` cycles; throughput a row in ``period`` cycles, while rows before are quantized.
    Back-pressure on ``o`` holds its payload, and the next rows close up behind it.

    Members
    -------
    i : stream of a row's maximum, its key in offset binary, with its row_tables; one item a row
    store : with contexts: stream of threshold_word, always ready; into banks that no row uses
    o : stream of reached_layout with the row_tables, keys in offset binary; one item a row
    """

    # Registers between a threshold's turn and its border: digits of the maximum, two to shift
    # them, the sum, two to shift its leading bit.
    _DEPTH = 6

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self.kernel, self._floats = check_floats(kernel)
        self._memories = memories
        self.period, self.latency = kernel.levels - 1, self.latency_of(kernel)
        width, fields = kernel.format.logit_width, row_tables(kernel)
        store = {"store": In(stream.Signature(threshold_word(kernel), always_ready=True))}
        super().__init__(
            {
                "i": In(stream.Signature(with_fields("maximum", width, fields))),
                "o": Out(stream.Signature(with_fields("reached", reached_layout(kernel), fields))),
            }
            | (store if kernel.format.contexts else {})
        )

    @classmethod
    def latency_of(cls, kernel: Exaq) -> int:
        """``latency`` of a unit with ``kernel``."""
        return kernel.levels + cls._DEPTH

    def elaborate(self, platform: Any) -> Module:
        # Until the end everything is one too small, as ~d is for -d: the digits of the maximum,
        # then these in steps of 2**-24, then the sum with t_k. What is shifted in from below are
        # ones. So cutting off bits rounds down from just below each number that could stay, and
        # adding 1 in the last place rounds up, whatever the sign.
        m = Module()
        floats, fields = self._floats, row_tables(self.kernel)

        # A place of the pipeline moves on unless all places before it are held and the last waits.
        depth = self._DEPTH
        held, moves = Signal(depth + 1), Signal(depth + 1)
        full, blocked = Signal(), Signal()
        m.d.comb += [
            blocked.eq(full & self.o.valid),
            held[0].eq(self.i.valid),
            *(moves[k].eq(~(blocked & held[k + 1 :].all())) for k in range(depth + 1)),
        ]

        def step(place: int, value: Any, name: str) -> Signal:
            """``value``, which is in ``place``, when it is in the next one."""
            register = Signal.like(value, name=f"{name}{place + 1}", reset_less=True)
            with m.If(moves[place]):
                m.d.sync += register.eq(value)
            return register

        def carry(value: Any, name: str, last: int = depth) -> list[Any]:
            """``value``, which is in place 0, in every place up to ``last``."""
            found = [value]
            for place in range(last):
                found.append(step(place, found[-1], name))
            return found

        for place in range(depth):
            with m.If(moves[place]):
                m.d.sync += held[place + 1].eq(held[place])
        # Code 0 needs no threshold.
        code = Signal(self.kernel.bits, init=1)
        m.d.comb += self.i.ready.eq(moves[0] & code.all())
        with m.If(moves[0] & self.i.valid):
            m.d.sync += code.eq(Mux(code.all(), 1, code + 1))
        ends = carry(code.all(), "end")
        maximum = item(self.i.payload, "maximum")
        tables = {name: carry(self.i.payload[name], name) for name in fields}

        # Places 0 to 2: max / 2**-24, rounded up, less 1.
        mantissa = floats.mantissa
        negative = ~maximum[-1]
        size = maximum[:-1] ^ negative.replicate(len(maximum) - 1)
        exponent = size[mantissa:]
        digits = Cat(size[:mantissa], exponent.any())
        below = Mux(negative, Cat(~digits, 1).as_signed(), digits - 1)
        # Exponent of the numbers whose digits count steps, and one that needs no shift, so far
        # below that nothing but the sign is left of smaller numbers.
        unit = floats.bias + mantissa - FRACTION
        start = max(1, (unit - mantissa - 2) & ~31)
        most = min(2**floats.exponent - 2, floats.bias + LARGE - 1) - start
        shift = Mux(exponent > start, exponent - start, 0)[: most.bit_length()]
        value = step(0, below, "digits")
        for place, bits in ((1, range(3)), (2, range(3, len(shift)))):
            shift = step(place - 1, shift, "shift")
            for k in bits:
                moved = Cat(Const(-1, 1 << k), value).as_signed()
                value = Mux(shift[k], moved, value)
            value = step(place, value[: unit - start + _TOP + 1].as_signed(), "shifted")
        fixed = value[unit - start :].as_signed()

        # Place 3: the sum.
        threshold = self._look_up(m, carry(code, "code", 2), tables, held, moves, step)
        total = step(3, (fixed + threshold)[: _TOP + 1].as_signed(), "total")

        # Places 4 to 6: the leading bit to the top, then one sum of exponent and mantissa.
        shifts = (_TOP - max(FRACTION + 1 - floats.bias, -1)).bit_length()
        word: Any = Cat(total, total[-1])
        empty: Value = Const(0, 0)
        for place, bits in ((4, range(4, shifts)), (5, (2, 3)), (6, (0, 1))):
            for k in reversed(bits):
                top = word[-(1 << k) - 1 :]
                same = top.all() | ~top.any()
                word = Mux(same, Cat(Const(-1, 1 << k), word[: -(1 << k)]), word)
                empty = Cat(same, empty)
            if place < depth:
                word, empty = step(place, word, "word"), step(place, empty, "empty")
        sign = word[-1]
        field = Signal(floats.exponent)
        base = _TOP - FRACTION + floats.bias - 1 - (2**shifts - 1)
        m.d.comb += field.eq(Mux(word[-2] != sign, base + ~empty, 0))
        low = word[_TOP - mantissa :]
        high = Cat(Const(0, mantissa), field, 0) ^ sign.replicate(len(maximum))
        # The carry into the lowest place adds the 1.
        key = (Cat(1, low).as_signed() + Cat(1, high).as_signed())[1 : len(maximum) + 1]
        border: Value = Cat(key[:-1], ~key[-1])
        if unit > 1:
            # Digits do not count steps where numbers are smaller, and need not where a threshold
            # is 0 or less than half of the last place.
            large = carry(exponent >= floats.bias + LARGE, "large", 3)[-1]
            zero = carry(size == 0, "zero", 3)[-1]
            exact: Value = large | ((threshold == 0) & ~zero)
            for place in range(3, depth):
                exact = step(place, exact, "exact")
            border = Mux(exact, carry(maximum, "maximum")[-1], border)

        formed = Signal.like(self.o.payload, name="formed", reset_less=True)
        arrived, move = Signal(), Signal()
        reached = Value.cast(item(formed, "reached"))
        m.d.comb += arrived.eq(moves[-1] & held[-1])
        with m.If(arrived):
            m.d.sync += reached.eq(Cat(reached[len(maximum) :], border))
            m.d.sync += [formed[name].eq(tables[name][-1]) for name in fields]

        # A register of its own keeps the way of `o.ready` short.
        out = Signal.like(self.o.payload, name="out", reset_less=True)
        m.d.comb += [self.o.payload.eq(out), move.eq(full & (~self.o.valid | self.o.ready))]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(move):
            m.d.sync += [self.o.valid.eq(1), out.eq(formed), full.eq(0)]
        with m.If(arrived & ends[-1]):
            m.d.sync += full.eq(1)
        return m

    def _look_up(
        self,
        m: Module,
        codes: list[Any],
        tables: dict[str, list[Any]],
        held: Value,
        moves: Value,
        step: Callable[[int, Any, str], Signal],
    ) -> Value:
        """The threshold in place 3."""
        kernel = self.kernel
        if not kernel.format.contexts:
            first, *others = (Const(t, signed(THRESHOLD_WIDTH)) for t in kernel.tables.thresholds)
            found = lookup(codes[2], [first, first, *others])
            return step(2, found, "threshold")
        m.submodules.ram = ram = self._memories.ram(
            width=THRESHOLD_WIDTH, depth=(kernel.format.contexts + 1) << kernel.bits
        )
        word = self.store.payload
        m.d.comb += [
            ram.write_enable.eq(self.store.valid),
            ram.write_address.eq(Cat(word.code, word.bank)),
            ram.write_data.eq(word.threshold),
            ram.read_enable.eq(held[1] & moves[1]),
            ram.read_address.eq(Cat(codes[1], tables["bank"][1])),
            ram.output_enable.eq(moves[2]),
        ]
        return ram.read_data.as_signed()
