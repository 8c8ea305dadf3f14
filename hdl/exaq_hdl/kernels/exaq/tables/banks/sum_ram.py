"""LUT_sum of every bank, and what idle lanes and sinks add to it."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_loaded
from exaq_hdl.kernels.exaq.tables.words import excess_word, exponential_word, sum_word
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories, Ram

# Words of a block RAM that is as wide as entries mostly are.
_BLOCK = 1024


class SumRam(Component):
    """As ``SumRom``, with the tables of a bank: adds a group's exponentials by one lookup.

    Latency 3 cycles: a RAM's, and one to choose between RAMs of as many words as fit a usual
    block RAM, since what stands between a block RAM and its output register is slow. Throughput
    1 group per cycle. Exact. Source: EXAQ (arXiv 2410.03185), LUT_sum.

    Members
    -------
    store : stream of sum_word, always ready; into banks that no row uses
    enable : look up
    bank : the row's bank
    codes : the group's codes, that of its first lane lowest
    total : sum of their E_k, ``latency`` cycles later
    """

    latency = Ram.latency + 1

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self.kernel = check_loaded(kernel)
        self._memories = memories
        super().__init__(
            {
                "store": In(stream.Signature(sum_word(kernel), always_ready=True)),
                "enable": In(1),
                "bank": In(kernel.bank_bits),
                "codes": In(kernel.bits * kernel.group),
                "total": Out(kernel.group_sum_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        word = self.store.payload
        entries = (self.kernel.format.contexts + 1) << len(self.codes)
        write_address = Cat(word.codes, word.bank)
        read_address = Cat(self.codes, self.bank)
        chosen = read_address[_BLOCK.bit_length() - 1 :]
        for _ in range(Ram.latency):
            late = Signal.like(chosen, reset_less=True)
            m.d.sync += late.eq(chosen)
            chosen = late
        total = Signal(len(self.total), reset_less=True)
        m.d.comb += self.total.eq(total)
        for k, start in enumerate(range(0, entries, _BLOCK)):
            m.submodules[f"ram{k}"] = ram = self._memories.ram(
                width=len(self.total),
                depth=min(_BLOCK, entries - start),
                holds="LUT_sum of all contexts",
            )
            inside = len(ram.write_address)
            writes = write_address[_BLOCK.bit_length() - 1 :] == k if entries > _BLOCK else 1
            m.d.comb += [
                ram.write_enable.eq(self.store.valid & writes),
                ram.write_address.eq(write_address[:inside]),
                ram.write_data.eq(word.total),
                ram.read_enable.eq(self.enable),
                ram.read_address.eq(read_address[:inside]),
                ram.output_enable.eq(1),
            ]
            with m.If(chosen == k if entries > _BLOCK else 1):
                m.d.sync += total.eq(ram.read_data)
        return m


class ExcessRam(Component):
    """Looks up n * E_0, which LUT_sum counts too much for n lanes that are not live.

    Latency 2 cycles; throughput 1 lookup per cycle.

    Members
    -------
    store : stream of excess_word, always ready; into banks that no row uses
    enable : look up
    bank : the row's bank
    lanes : n
    excess : n * E_0, ``latency`` cycles later
    """

    latency = Ram.latency

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self.kernel = check_loaded(kernel)
        self._memories = memories
        word = excess_word(kernel)
        super().__init__(
            {
                "store": In(stream.Signature(word, always_ready=True)),
                "enable": In(1),
                "bank": In(kernel.bank_bits),
                "lanes": In(word["lanes"].shape),
                "excess": Out(word["excess"].shape),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        word = self.store.payload
        entries = (self.kernel.format.contexts + 1) << len(self.lanes)
        m.submodules.ram = ram = self._memories.ram(
            width=len(self.excess), depth=entries, holds="what idle lanes add, of all contexts"
        )
        m.d.comb += [
            ram.write_enable.eq(self.store.valid),
            ram.write_address.eq(Cat(word.lanes, word.bank)),
            ram.write_data.eq(word.excess),
            ram.read_enable.eq(self.enable),
            ram.read_address.eq(Cat(self.lanes, self.bank)),
            ram.output_enable.eq(1),
            self.excess.eq(ram.read_data),
        ]
        return m


class SinkRam(Component):
    """Looks up E_k, the exponential of a row's sink.

    Latency 2 cycles; throughput 1 lookup per cycle.

    Members
    -------
    store : stream of exponential_word, always ready; into banks that no row uses
    enable : look up
    bank : the row's bank
    code : k
    exponential : E_k, ``latency`` cycles later
    """

    latency = Ram.latency

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self.kernel = check_loaded(kernel)
        self._memories = memories
        super().__init__(
            {
                "store": In(stream.Signature(exponential_word(kernel), always_ready=True)),
                "enable": In(1),
                "bank": In(kernel.bank_bits),
                "code": In(kernel.bits),
                "exponential": Out(kernel.exp_bits),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        word = self.store.payload
        entries = (self.kernel.format.contexts + 1) << self.kernel.bits
        m.submodules.ram = ram = self._memories.ram(
            width=self.kernel.exp_bits, depth=entries, holds="exponentials of all contexts"
        )
        m.d.comb += [
            ram.write_enable.eq(self.store.valid),
            ram.write_address.eq(Cat(word.code, word.bank)),
            ram.write_data.eq(word.exponential),
            ram.read_enable.eq(self.enable),
            ram.read_address.eq(Cat(self.code, self.bank)),
            ram.output_enable.eq(1),
            self.exponential.eq(ram.read_data),
        ]
        return m
