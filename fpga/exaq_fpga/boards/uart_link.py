"""A UART as a board's link: all that is particular to it, for builds, simulation and hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from exaq.scalars import integer
from exaq_fpga.boards.frequency import megahertz
from exaq_fpga.link.transports.serial_port import BAUD, OCTET_BITS, SerialPort
from exaq_fpga.link.transports.transport import Transport

#: Fewest clock cycles that a bit may take.
LEAST_DIVISOR = 4
#: Largest part by which a baud rate may be missed.
BAUD_TOLERANCE = 0.02


@dataclass(frozen=True, kw_only=True)
class UartLink:
    """A link by UART: 8 data bits, lowest first, no parity, 1 stop bit, no handshake.

    The gateware for it is ``exaq_fpga.gateware.transports.uart_transport.UartTransport``, the
    host's side ``exaq_fpga.SerialPort``. A link of another kind is another class with ``where``,
    ``ports`` and the methods of this one, but for those that name bauds and bits.

    Parameters
    ----------
    rx, tx
        Pins of the FPGA: where it receives, and where it sends.
    where
        Where a host is connected, in words.
    baud
        Baud rate. In a board's specification: what the board's adapter is known to do.
    attrs
        Where amaranth-boards has no serial port for the board: the attributes of one on ``rx``
        and ``tx``. None: it has one.
    """

    #: In summaries: what it is, and what a host opens.
    kind: ClassVar[str] = "Serial port"
    port: ClassVar[str] = "PORT"
    #: For each pin, how the name of its port in a platform's top module begins.
    ports: ClassVar[Mapping[str, str]] = {"rx": "uart_0__rx", "tx": "uart_0__tx"}

    rx: str
    tx: str
    where: str
    baud: int = BAUD
    attrs: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "baud", integer("the baud rate", self.baud, 1))

    def with_baud(self, baud: int | None) -> UartLink:
        """The same link at ``baud``; None: as it is."""
        return self if baud is None else replace(self, baud=baud)

    def divisor(self, clock: int) -> int:
        """Cycles of a clock of ``clock`` Hz to a bit.

        Raises
        ------
        ValueError
            No whole number of at least ``LEAST_DIVISOR`` cycles comes within ``BAUD_TOLERANCE``
            of the baud rate; the message names the rates that can be.
        """
        clock, baud = integer("the clock", clock), self.baud
        divisor = round(clock / baud)
        if divisor >= LEAST_DIVISOR and abs(clock / divisor - baud) <= BAUD_TOLERANCE * baud:
            return divisor
        if divisor < LEAST_DIVISOR:
            raise ValueError(
                f"{baud} baud is too fast for a clock of {megahertz(clock)} MHz: a bit takes at "
                f"least {LEAST_DIVISOR} cycles; the fastest is {clock // LEAST_DIVISOR} baud"
            )
        divisors = (divisor - 1, divisor, divisor + 1)
        near = sorted({clock // each for each in divisors if each >= LEAST_DIVISOR})
        raise ValueError(
            f"a clock of {megahertz(clock)} MHz makes no {baud} baud within "
            f"{BAUD_TOLERANCE:.0%}; nearest: {', '.join(map(str, near))} baud"
        )

    def octet_cycles(self, clock: int) -> int:
        """Cycles of a clock of ``clock`` Hz that an octet takes on the line, in each direction."""
        return OCTET_BITS * self.divisor(clock)

    def figures(self, clock: int) -> dict[str, int]:
        """What a report on a build with a clock of ``clock`` Hz tells of the link."""
        return {"baud": self.baud, "divisor": self.divisor(clock)}

    def describe(self) -> str:
        """What a host has to know, in words."""
        return f"{self.baud} baud; {self.where}"

    def on_clock(self, clock: int) -> str:
        """How fast it is with a clock of ``clock`` Hz, in words."""
        return f"serial port at {self.baud} baud, {self.divisor(clock)} cycles a bit"

    def add_resource(self, platform: Any) -> None:
        """Give ``platform``, one of amaranth-boards, a resource ``uart`` where it has none."""
        if self.attrs is None:
            return
        from amaranth.build import Attrs
        from amaranth_boards.resources import UARTResource

        attrs = Attrs(**self.attrs)
        platform.add_resources([UARTResource(0, rx=self.rx, tx=self.tx, attrs=attrs)])

    def open(self, port: str) -> Transport:
        """The way to a board with this link at ``port``, a name as of ``SerialPort``."""
        return SerialPort(port, baud=self.baud)
