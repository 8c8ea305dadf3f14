"""What a station needs of the board's end of a link, whatever it is made of."""

from collections.abc import Mapping
from typing import Any, Protocol

from amaranth.hdl import Module
from amaranth.lib.wiring import Member


class BoardTransport(Protocol):
    """Octets between a board's pins and a station: the gateware of one kind of link.

    ``UartTransport`` is one. Another kind of link, such as USB or Ethernet, is another class with
    these members, and an entry of ``TRANSPORTS`` in ``exaq_fpga.gateware.transports.of_link``. A
    source of octets that can wait and may be faster than the station goes through ``LinePacer``.

    Members
    -------
    pins
        Ports that a component with this transport has towards the pins, by their names.
    line_cycles
        Fewest cycles from an octet for the station to the next.
    """

    @property
    def pins(self) -> Mapping[str, Member]:
        """See Members."""

    @property
    def line_cycles(self) -> int:
        """See Members."""

    def connect(self, m: Module, ports: Any, station: Any) -> None:
        """Add what stands between ``ports`` and ``station`` to ``m``, and connect it.

        Parameters
        ----------
        m
            Module of a component that has ``pins``.
        ports
            That component.
        station
            Takes octets from the host on ``rx``, LINE; gives octets to the host on ``tx``, OCTETS
            (see ``exaq_fpga.gateware.octets``); counts a pulse of ``line_error`` for each octet
            that the line has lost.
        """

    def add_pads(self, m: Module, platform: Any, ports: Any) -> None:
        """Add to ``m`` the buffers between ``ports`` and the pins that ``platform`` gives."""
