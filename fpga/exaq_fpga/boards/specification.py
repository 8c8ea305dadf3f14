"""What a board is, as far as builds, simulation and hosts need to know."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, TypeAlias

from exaq import SoftmaxConfig
from exaq.config import preset_settings
from exaq_fpga.boards.uart_link import UartLink
from exaq_fpga.boards.udp_link import EthernetPhy, UdpLink

#: A way to connect a host.
BoardLink: TypeAlias = UartLink | UdpLink


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What a device holds: 4-input LUTs (on iCE40, logic cells of one each) and block RAMs."""

    lut4: int
    bram: int


@dataclass(frozen=True, kw_only=True)
class Programmer:
    """The program that writes a bitstream into a board.

    Parameters
    ----------
    tool
        Its command.
    variable
        Environment variable that may name another command, or None.
    source
        Where to get it.
    """

    tool: str
    variable: str | None
    source: str


@dataclass(frozen=True, kw_only=True)
class BoardSpec:
    """A board: what is on it, and what is built for it where nothing else is asked for.

    Parameters
    ----------
    name, title
        On the command line and in tables.
    family
        ``ice40``, ``ecp5`` or ``gowin``.
    device
        The FPGA, in words.
    capacity
        What it holds.
    platform
        Module and class of the board in amaranth-boards.
    reference
        Frequency of the clock pin, in Hz.
    clock
        Of the unit, in Hz, by default: what timing closes for, with a margin.
    link
        How a host is connected.
    ethernet
        Its PHY for a link by UDP, at an address that a build names. None: it has none that there
        is gateware for.
    led
        Resource of the LED that is lit while an answer is under way, and the part of it that
        counts (None: all of it). None: the board has none to spare.
    programmer
        Writes the bitstream.
    preset
        The configuration by default.
    synth
        Options of Yosys's ``synth_*``, beside those that all boards have.
    pll_pad
        Whether the clock pin is the PLL's own.
    """

    name: str
    title: str
    family: str
    device: str
    capacity: Capacity
    platform: tuple[str, str]
    reference: int
    clock: int
    link: UartLink
    led: tuple[str, str | None] | None
    programmer: Programmer
    preset: str = "2bit-x4"
    synth: tuple[str, ...] = ()
    pll_pad: bool = False
    ethernet: EthernetPhy | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What ``SoftmaxConfig`` takes for the default configuration."""
        return preset_settings(self.preset, {})

    @property
    def config(self) -> SoftmaxConfig:
        """The default configuration."""
        return SoftmaxConfig(**self.settings)

    @property
    def suffix(self) -> str:
        """Suffix of the bitstream's file, with its dot."""
        return {"ice40": ".bin", "ecp5": ".bit", "gowin": ".fs"}[self.family]

    def new_platform(self) -> Any:
        """A platform of amaranth-boards, with a resource for the link."""
        module, name = self.platform
        platform = getattr(importlib.import_module(f"amaranth_boards.{module}"), name)()
        self.link.add_resource(platform)
        return platform
