"""UDP over Ethernet as a board's link: all that is particular to it, as ``uart_link`` has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, ClassVar

from exaq.scalars import integer
from exaq_fpga.boards.frequency import megahertz
from exaq_fpga.link.transports.serial_port import OCTET_BITS
from exaq_fpga.link.transports.transport import Transport
from exaq_fpga.link.transports.udp_socket import SCHEME, UdpSocket

#: Frequency of RGMII's clock at 100 Mbit/s, in Hz, and cycles of the unit's clock to its period.
RGMII_CLOCK = 25_000_000
RGMII_PERIOD = 4
#: Name of a PHY with RGMII in amaranth-boards.
RESOURCE = "eth_rgmii"
# Two nibbles.
_OCTET_PERIODS = 2
_PINS = ("rx_clk", "rx_ctl", "rx_data", "tx_clk", "tx_ctl", "tx_data", "reset", "mdc", "mdio")


@dataclass(frozen=True, kw_only=True)
class EthernetPhy:
    """A PHY with RGMII that amaranth-boards has for a board.

    Parameters
    ----------
    where
        Where a host is connected, in words.
    number
        Of the PHY among the platform's.
    names
        Names of its pins in amaranth-boards, where they are others than ours.
    """

    where: str
    number: int = 0
    names: Mapping[str, str] = field(default_factory=dict)

    def name(self, pin: str) -> str:
        """That of ``pin`` in amaranth-boards."""
        return self.names.get(pin, pin)


@dataclass(frozen=True, kw_only=True)
class UdpLink:
    """A link in UDP datagrams through ``phy``, which the board's ``address`` is behind.

    The gateware for it is ``exaq_fpga.gateware.transports.udp_transport.UdpTransport``, the host's
    side ``exaq_fpga.UdpSocket``.
    """

    #: As of ``UartLink``.
    kind: ClassVar[str] = "By UDP"
    #: Symbols a second on the wire of 100BASE-TX, which has ``OCTET_BITS`` for an octet as a UART.
    baud: ClassVar[int] = OCTET_BITS * RGMII_CLOCK // _OCTET_PERIODS

    phy: EthernetPhy
    address: IPv4Address

    def octet_cycles(self, clock: int) -> int:
        """Cycles of a clock of ``clock`` Hz that an octet takes on the line, in each direction.

        Raises
        ------
        ValueError
            The clock is not the one that RGMII's is made of.
        """
        clock, needed = integer("the clock", clock), RGMII_CLOCK * RGMII_PERIOD
        if clock != needed:
            raise ValueError(
                f"the link by UDP needs a clock of {megahertz(needed)} MHz, of which it makes that "
                f"of the Ethernet PHY, not {megahertz(clock)} MHz"
            )
        return RGMII_PERIOD * _OCTET_PERIODS

    def figures(self, clock: int) -> dict[str, Any]:
        """What a report on a build with a clock of ``clock`` Hz tells of the link."""
        return {"baud": self.baud, "address": str(self.address)}

    @property
    def ports(self) -> dict[str, str]:
        """For each pin, how the name of its port in a platform's top module begins."""
        return {pin: f"{RESOURCE}_{self.phy.number}__{self.phy.name(pin)}" for pin in _PINS}

    @property
    def where(self) -> str:
        """Where a host is connected, in words."""
        return self.phy.where

    @property
    def port(self) -> str:
        """What a host opens: a name as of ``UdpSocket``."""
        return f"{SCHEME}{self.address}"

    def describe(self) -> str:
        """What a host has to know, in words."""
        return f"{self.port}; {self.phy.where}, 100 Mbit/s"

    def on_clock(self, clock: int) -> str:
        """How fast it is with a clock of ``clock`` Hz, in words."""
        return f"Ethernet at 100 Mbit/s, {self.octet_cycles(clock)} cycles an octet"

    def open(self, port: str) -> Transport:
        """The way to a board with this link at ``port``, a name as of ``UdpSocket``."""
        return UdpSocket(port)
