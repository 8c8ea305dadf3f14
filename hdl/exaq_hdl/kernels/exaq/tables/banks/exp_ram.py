"""The exponentials of the codes, of every bank."""

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from exaq import Exaq
from exaq_hdl.kernels.exaq.kernel_checks import check_loaded
from exaq_hdl.kernels.exaq.tables.words import exponential_word
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import SIMULATED, Memories, Ram


class ExpRam(Component):
    """Gives the E_k of a bank one after the other.

    Each ``step`` moves E_code a place on; it is on ``exponential`` after ``latency`` of them and
    stays until the next.

    Members
    -------
    store : stream of exponential_word, always ready; into banks that no row uses
    step : move on
    bank : the row's bank
    code : k
    exponential : E_k, ``latency`` steps later
    """

    latency = Ram.latency

    def __init__(self, kernel: Exaq, *, memories: Memories = SIMULATED):
        self.kernel = check_loaded(kernel)
        self._memories = memories
        super().__init__(
            {
                "store": In(stream.Signature(exponential_word(kernel), always_ready=True)),
                "step": In(1),
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
            ram.read_enable.eq(self.step),
            ram.read_address.eq(Cat(self.code, self.bank)),
            ram.output_enable.eq(self.step),
            self.exponential.eq(ram.read_data),
        ]
        return m
