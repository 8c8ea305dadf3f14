"""UDP over Ethernet as a board's end of a link."""

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from exaq_fpga.boards.udp_link import RESOURCE, UdpLink
from exaq_fpga.gateware.ethernet.datagram_receiver import DatagramReceiver
from exaq_fpga.gateware.ethernet.datagram_sender import DatagramSender
from exaq_fpga.gateware.ethernet.mac_receiver import MacReceiver
from exaq_fpga.gateware.ethernet.mac_sender import MacSender
from exaq_fpga.gateware.ethernet.phy_setup import RESET_CYCLES, PhySetup
from exaq_fpga.gateware.ethernet.rgmii import RgmiiReceiver, RgmiiTransmitter
from exaq_fpga.gateware.station import Station
from exaq_fpga.gateware.transports.line_pacer import LinePacer
from exaq_hdl.parts.assembly import add_named

# Pins of the FPGA from the PHY, with their width, and those to it.
_INPUTS = {"rx_clk": 1, "rx_ctl": 1, "rx_data": 4}
_OUTPUTS = {"tx_clk": 1, "tx_ctl": 1, "tx_data": 4, "reset": 1, "mdc": 1, "mdio": 1}


class UdpTransport:
    """A ``BoardTransport`` in UDP datagrams, over an Ethernet PHY with RGMII at 100 Mbit/s.

    Its pins are those of the PHY. The inputs come as two samples, half a cycle apart, the
    earlier one lowest; the outputs are to be registered. Datagrams that are missing count as
    one lost octet.

    Parameters
    ----------
    link
        Says the board's address.
    reset_cycles
        As of ``PhySetup``.
    """

    line_cycles = Station.line_cycles

    def __init__(self, link: UdpLink, *, reset_cycles: int = RESET_CYCLES) -> None:
        self.link = link
        self._reset_cycles = reset_cycles
        inputs = {name: In(2 * width) for name, width in _INPUTS.items()}
        self.pins = inputs | {name: Out(width) for name, width in _OUTPUTS.items()}

    @classmethod
    def of_link(cls, link: UdpLink, clock: int) -> "UdpTransport":
        """That of ``link``; errors as of its ``octet_cycles``."""
        link.octet_cycles(clock)
        return cls(link)

    def connect(self, m: Module, ports: Any, station: Any) -> None:
        """See ``BoardTransport``."""
        address = self.link.address
        nibbles, octets = RgmiiReceiver(), MacReceiver()
        datagrams, pacer = DatagramReceiver(address), LinePacer(self.line_cycles)
        sender, mac_sender, transmitter = DatagramSender(address), MacSender(), RgmiiTransmitter()
        setup = PhySetup(self._reset_cycles)
        for name, component in (
            ("rgmii_receiver", nibbles),
            ("mac_receiver", octets),
            ("datagram_receiver", datagrams),
            ("pacer", pacer),
            ("datagram_sender", sender),
            ("mac_sender", mac_sender),
            ("rgmii_transmitter", transmitter),
            ("phy_setup", setup),
        ):
            add_named(m, name, component)
        wiring.connect(m, nibbles.o, octets.i)
        wiring.connect(m, octets.o, datagrams.i)
        wiring.connect(m, datagrams.o, pacer.i)
        wiring.connect(m, pacer.o, station.rx)
        wiring.connect(m, station.tx, sender.i)
        wiring.connect(m, sender.o, mac_sender.i)
        wiring.connect(m, mac_sender.o, transmitter.i)
        for pin in ("clk", "ctl", "data"):
            m.d.comb += [
                getattr(nibbles, pin).eq(getattr(ports, f"rx_{pin}")),
                getattr(ports, f"tx_{pin}").eq(getattr(transmitter, pin)),
            ]
        for source, names, sink in (
            (setup, ("reset", "mdc", "mdio"), ports),
            (octets, ("ended", "good"), datagrams),
            (datagrams, ("peer", "arp", "arp_asked", "asker_octet"), sender),
            (sender, ("answering", "asker_address"), datagrams),
        ):
            for name in names:
                m.d.comb += getattr(sink, name).eq(getattr(source, name))
        m.d.comb += station.line_error.eq(datagrams.missing)

    def add_pads(self, m: Module, platform: Any, ports: Any) -> None:
        """See ``BoardTransport``; the pins are those of the platform's PHY that the link names."""
        ethernet = self.link.phy
        phy = platform.request(RESOURCE, ethernet.number, dir="-")
        for name in _INPUTS:
            buffer: Any = io.DDRBuffer(io.Direction.Input, getattr(phy, ethernet.name(name)))
            m.submodules[name] = buffer
            m.d.comb += getattr(ports, name).eq(Cat(*buffer.i))
        for name in _OUTPUTS:
            output: Any = io.FFBuffer(io.Direction.Output, getattr(phy, ethernet.name(name)))
            m.submodules[name] = output
            m.d.comb += output.o.eq(getattr(ports, name))
