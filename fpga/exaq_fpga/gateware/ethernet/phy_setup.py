"""What a PHY is told after power-up: not to offer 1000 Mbit/s."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib.wiring import Out

from exaq_hdl.parts.component import Component

#: Cycles of the reset, and then of the pause before the PHY is talked to: 10 ms each at 100 MHz,
#: as PHYs ask for.
RESET_CYCLES = 1 << 20
#: Cycles of a bit of MDIO: MDC has 1.6 MHz at 100 MHz, and 2.5 MHz are allowed.
BIT_CYCLES = 1 << 6
#: Bits of an MDIO frame, the preamble included, and the addresses that a PHY may have.
FRAME_BITS = 64
ADDRESSES = 32
#: Register and value of each write, from IEEE 802.3, clause 22: no 1000BASE-T in what is offered,
#: and negotiation anew.
WRITES = ((9, 0x0000), (0, 0x1200))


class PhySetup(Component):
    """Resets a PHY and writes ``WRITES`` to it, once after each reset of the design.

    The PHY then agrees on 100 Mbit/s with whatever it is connected to. What its address is
    differs between boards and does not matter: all 32 are written to, one after the other.

    Parameters
    ----------
    reset_cycles
        Cycles of the reset, and again until the first write; a power of two.

    Members
    -------
    reset : to the PHY, high while it is to be in reset
    mdc, mdio : its management interface; data change when MDC falls
    cycles : attribute, when all is done
    """

    def __init__(self, reset_cycles: int = RESET_CYCLES) -> None:
        self.reset_cycles = reset_cycles
        self.cycles = 2 * reset_cycles + BIT_CYCLES * FRAME_BITS * len(WRITES) * ADDRESSES
        super().__init__({"reset": Out(1), "mdc": Out(1), "mdio": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        # Two counters tell all: one until the first write, one through the writes' cycles, whose
        # bits are, from the lowest: the cycle of a bit, the bit, the write, the address.
        m = Module()
        wait = Signal(range(2 * self.reset_cycles + 1))
        ready = Signal()
        cycle = Signal(range(BIT_CYCLES))
        bit = Signal(range(FRAME_BITS))
        write = Signal(range(len(WRITES)))
        address = Signal(range(ADDRESSES))
        done = Signal()
        count = Cat(cycle, bit, write, address)
        m.d.comb += ready.eq(wait == 2 * self.reset_cycles)
        in_reset = Signal(init=1)
        m.d.comb += self.reset.eq(in_reset)
        m.d.sync += in_reset.eq(wait < self.reset_cycles)
        with m.If(~ready):
            m.d.sync += wait.eq(wait + 1)
        with m.Elif(~done):
            m.d.sync += [count.eq(count + 1), done.eq(count.all())]

        number, value = Signal(5), Signal(16)
        with m.Switch(write):
            for k, (register, content) in enumerate(WRITES):
                with m.Case(k):
                    m.d.comb += [number.eq(register), value.eq(content)]
        # Highest bit first: preamble, start and write, addresses, turnaround, data.
        start, turnaround = Const(0b0101, 4), Const(0b10, 2)
        frame = Cat(value, turnaround, number, address, start, Const(-1, FRAME_BITS // 2))
        m.d.sync += [
            self.mdc.eq(cycle[-1] & ~done),
            self.mdio.eq(frame.bit_select(~bit, 1) | done),
        ]
        return m
