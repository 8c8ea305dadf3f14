"""RGMII at 100 Mbit/s: a nibble in 40 ns, at the pins of an Ethernet PHY.

RGMII 2.0 at this rate is MII with fewer pins: its clock has 25 MHz, and a nibble stands for a whole
period of it. Here the unit's clock has four cycles to a period, so the transmitter places the
clock's edges 10 ns from those of the data by counting, and the receiver finds the PHY's edges by
sampling at both edges of its own clock: every 5 ns. No delay line and no second clock domain is
needed, and what a simulation shows of the edges holds on every board.
"""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from exaq_fpga.boards.udp_link import RGMII_PERIOD
from exaq_fpga.gateware.octets import OCTETS
from exaq_hdl.parts.component import Component

#: Cycles of an octet, of two nibbles.
OCTET_PERIOD = 2 * RGMII_PERIOD
#: Half a period's worth of an octet, and whether it stands in a frame.
NIBBLE = data.StructLayout({"data": 4, "frame": 1})


class RgmiiReceiver(Component):
    """Takes nibbles from a PHY whose clock is another one than the unit's.

    Each pin comes as two samples, half a cycle apart, the earlier one lowest. After each rising
    edge of the PHY's clock the nibble is the one that was sampled 5 to 10 ns behind it: so the
    data may come up to 5 ns late, and have to stay for no more than 10 ns, whether the PHY delays
    its clock or not. Nibbles are 3 to 5 cycles apart. Latency 4 cycles at most. RX_ER, which RX_CTL
    tells in the second half of a period, is not looked at: a frame's check finds what it tells of.

    Members
    -------
    clk, ctl : In(2), samples of RXC and RX_CTL
    data : In(8), samples of RXD: the earlier nibble lowest
    o : stream of NIBBLE, always ready, one for each period of RXC
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "clk": In(2),
                "ctl": In(2),
                "data": In(8),
                "o": Out(stream.Signature(NIBBLE, always_ready=True)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        # A sample of the clock may hang between its levels: a register more lets it fall.
        m = Module()
        clk, ctl, octet = Signal(2), Signal(2), Signal(8)
        before, after = Signal(), Signal()
        m.d.sync += [clk.eq(self.clk), ctl.eq(self.ctl), octet.eq(self.data), before.eq(clk[1])]
        # The edge lay before the earlier sample, or between the two.
        at_once = Signal()
        m.d.comb += at_once.eq(~before & clk[0])
        m.d.sync += [
            after.eq(~clk[0] & clk[1]),
            self.o.valid.eq(at_once | after),
            self.o.payload.data.eq(Mux(after, octet[:4], octet[4:])),
            self.o.payload.frame.eq(Mux(after, ctl[0], ctl[1])),
        ]
        return m


class RgmiiTransmitter(Component):
    """Gives octets to a PHY, low nibble first, and the clock with them.

    Throughput one octet in ``OCTET_PERIOD`` cycles. ``i.ready`` is high in one of these cycles,
    whether an octet is there or not: where none is, no frame is under way. Data change a cycle
    before the clock rises and a cycle after it has fallen.

    Members
    -------
    i : stream of octets; those of a frame follow each other at every ready
    clk, ctl, data : TXC, TX_CTL and TXD, to be registered at the pins
    """

    def __init__(self) -> None:
        super().__init__({"i": In(OCTETS), "clk": Out(1), "ctl": Out(1), "data": Out(4)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cycle = Signal(range(OCTET_PERIOD))
        octet, frame = Signal(8), Signal()
        m.d.sync += cycle.eq(cycle + 1)
        m.d.comb += [
            self.i.ready.eq(cycle == OCTET_PERIOD - 1),
            self.clk.eq(cycle[0] ^ cycle[1]),
            self.ctl.eq(frame),
            self.data.eq(Mux(cycle[2], octet[4:], octet[:4])),
        ]
        with m.If(self.i.ready):
            m.d.sync += [octet.eq(self.i.payload), frame.eq(self.i.valid)]
        return m
