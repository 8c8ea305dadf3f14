"""Binary logarithms of what the logits stand for."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq.kernels.online import Online
from exaq_hdl.kernels.online.online_layouts import (
    check_online,
    first_step,
    highest_step,
    octave_beat,
)
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.streams import row_beat, row_flags

# Logits of more bits have no table: it would not fit a block RAM or two.
_WIDEST_TABLE = 10


class Octaves(Component):
    """t of each lane's logit: floor(logit * M / 2**F + 1/2), M / 2**F being ``Online.factor``.

    Where M is 1 that is the logit, shifted. Else narrow logits are looked up in block RAM, and of
    wide ones the product is a sum of shifted logits. Latency ``latency`` cycles; throughput 1 beat
    per cycle.

    Parameters
    ----------
    kernel
        Parameters of the kernel.
    early
        Whether t is counted from one step later; see ``online_layouts``.
    memories
        Makes the tables.

    Members
    -------
    i : stream of row_beat, always ready
    o : stream of octave_beat, always ready
    """

    def __init__(self, kernel: Online, *, early: bool = False, memories: Memories = SIMULATED):
        self.kernel = check_online(kernel)
        self._early = early
        self._memories = memories
        multiplier, _ = kernel.factor
        self._looks_up = multiplier > 1 and kernel.format.logit_width <= _WIDEST_TABLE
        self.latency = 2 if self._looks_up else 1
        super().__init__(
            {
                "i": In(stream.Signature(row_beat(kernel.format), always_ready=True)),
                "o": Out(stream.Signature(octave_beat(kernel, early), always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kernel = self.kernel
        beat: Any = self.i.payload
        out: Any = Signal(octave_beat(kernel, self._early), reset_less=True)
        valid: Value = self.i.valid
        logits = [beat.logits[lane] for lane in range(kernel.format.lanes)]
        steps = self._looked_up(m, logits) if self._looks_up else [*map(self._product, logits)]
        if self._looks_up:
            valid, held = Signal(), Signal.like(beat, name="held", reset_less=True)
            m.d.sync += [valid.eq(self.i.valid), held.eq(beat)]
            beat = held
        m.d.comb += self.o.payload.eq(out)
        m.d.sync += self.o.valid.eq(valid)
        m.d.sync += [out[name].eq(beat[name]) for name in row_flags(kernel.format)]
        m.d.sync += [out.t[lane].eq(step) for lane, step in enumerate(steps)]
        return m

    def _looked_up(self, m: Module, logits: Sequence[Value]) -> list[Value]:
        """t of each logit, a cycle later."""
        kernel = self.kernel
        low, high = kernel.format.logit_range
        first = first_step(kernel, self._early)
        words = [kernel.steps(logit) - first for logit in range(low, high + 1)]
        shape = unsigned(highest_step(kernel, self._early).bit_length())
        found = []
        # Two ports are what a block RAM has.
        for pair in range(0, len(logits), 2):
            rom = self._memories.rom(shape, words, place="block", holds="steps of a logit")
            m.submodules[f"table{pair // 2}"] = rom
            for logit in logits[pair : pair + 2]:
                port = rom.read_port()
                m.d.comb += [port.addr.eq(logit), port.en.eq(1)]
                found.append(port.data)
        return found

    def _product(self, logit: Value) -> Value:
        kernel = self.kernel
        multiplier, shift = kernel.factor
        down = max(shift, 0)
        up = Const(0, max(-shift, 0))
        # For logits from the lowest one on, counted from ``first_step``.
        start = (1 << down) >> 1
        start += kernel.format.logit_range[0] * multiplier << len(up)
        start -= first_step(kernel, self._early) << down
        total: Value = Const(start)
        for place, digit in digits(multiplier):
            term = Cat(Const(0, place), up, logit)
            total = total + term if digit > 0 else total - term
        return total[down:]


def digits(number: int) -> list[tuple[int, int]]:
    """The fewest places and digits, 1 or -1, that make a number; the highest place first."""
    found: list[tuple[int, int]] = []
    place = 0
    while number:
        if number & 1:
            digit = 2 - (number & 3)
            found.insert(0, (place, digit))
            number -= digit
        number >>= 1
        place += 1
    return found
