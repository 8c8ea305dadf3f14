"""The exponentials of the levels of every bank."""

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig
from exaq_hdl.checks import check_config
from exaq_hdl.parts.memory import Ram
from exaq_hdl.shell.beats import level_word


class ExpRam(wiring.Component):
    """Gives the E_k of a bank one after the other.

    Each ``step`` moves E_code a place on; it is on ``exponential`` after ``latency`` of them and
    stays until the next.

    Members
    -------
    store : stream of level_word, always ready; into banks that no row uses
    step : move on
    bank : the row's bank
    code : k
    exponential : E_k, ``latency`` steps later
    """

    latency = Ram.latency

    def __init__(self, config: SoftmaxConfig):
        self.config = check_config(config, contexts=True)
        super().__init__(
            {
                "store": In(stream.Signature(level_word(config), always_ready=True)),
                "step": In(1),
                "bank": In(config.bank_bits),
                "code": In(config.bits),
                "exponential": Out(config.exp_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word = self.store.payload
        entries = (self.config.contexts + 1) << self.config.bits
        m.submodules.ram = ram = Ram(width=self.config.exp_bits, depth=entries)
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
