"""How a host is connected to a board, and what disturbs it, for commands that make or run one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address
from typing import Any, TypeVar

import click

from exaq_cli.errors import UserError
from exaq_fpga.boards import BOARDS, BoardLink, BoardSpec, UdpLink
from exaq_fpga.virtual.virtual_board import Faults

R = TypeVar("R")

# Option and help of each fault.
_FAULTS = {
    "noise": ("--noise", "Probability that a bit flips."),
    "drop": ("--drop", "... that an octet is lost, or with --udp a frame."),
    "double": ("--double", "... that it comes twice."),
    "breaks": ("--break", "... that before an octet the line breaks down for 12 bits."),
    "reorder": ("--reorder", "... with --udp, that a frame comes behind the next one."),
    "garbage": (
        "--garbage",
        "... that before an octet 1 to 16 others come that nobody sent; with --udp that before a "
        "frame another one comes, which is not for the board or damaged.",
    ),
}


class AddressType(click.ParamType[IPv4Address]):
    """An IPv4 address that one machine of a network can have."""

    name = "address"

    def convert(
        self, value: str, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> IPv4Address:
        """The address; one that no board can have is a usage error."""
        try:
            address = IPv4Address(value)
        except AddressValueError:
            self.fail(f"{value} is no IPv4 address", parameter, ctx)
        several = address.is_multicast or address.is_reserved or address.is_unspecified
        if several or address.is_loopback:
            self.fail(f"{value} is not the address of one machine of a network", parameter, ctx)
        return address


def link_by_udp(spec: BoardSpec, address: IPv4Address, baud: int | None) -> BoardLink:
    """The link of ``spec`` by UDP at ``address``; where it has none, a UserError."""
    if baud is not None:
        raise UserError("--baud is for the serial port, not for --udp")
    if spec.ethernet is None:
        having = ", ".join(name for name, other in BOARDS.items() if other.ethernet)
        raise UserError(f"{spec.name} has no Ethernet for --udp; these boards have: {having}")
    return UdpLink(phy=spec.ethernet, address=address)


def fault_options(function: Callable[..., R]) -> Callable[..., R]:
    """Decorator: gives the command the options of faults on a link, and ``faults``, a Faults."""

    @functools.wraps(function)
    def wrapper(**values: Any) -> R:
        return function(faults=Faults(**{name: values.pop(name) for name in _FAULTS}), **values)

    decorated: Callable[..., R] = wrapper
    for name, (option, text) in reversed(_FAULTS.items()):
        decorated = click.option(
            option, name, metavar="P", type=click.FloatRange(0, 1), default=0.0, help=text
        )(decorated)
    return decorated


def check_faults(faults: Faults, address: IPv4Address | None) -> None:
    """Refuse faults of the other link than the one by UDP at ``address``, or by serial port."""
    if address is not None and faults.breaks:
        raise UserError("--break is for the serial port, not for --udp")
    if address is None and faults.reorder:
        raise UserError("--reorder is for --udp")
