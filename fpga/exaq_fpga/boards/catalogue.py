"""The boards that there are builds for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from exaq import PRESETS, SoftmaxConfig


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
    baud
        Of the serial port, by default: what the board's adapter is known to do.
    rx, tx
        Pins of the serial port, seen from the FPGA.
    link
        Where the serial port is, in words.
    led
        Resource of the LED that is lit while an answer is under way, and the part of it that
        counts (None: all of it). None: the board has none to spare.
    programmer
        Writes the bitstream.
    preset, changes
        The configuration by default: a preset, and what differs from it.
    synth
        Options of Yosys's ``synth_*``, beside those that all boards have.
    pll_pad
        Whether the clock pin is the PLL's own.
    uart_attrs
        Where amaranth-boards has no serial port for the board: the attributes of one on the pins
        ``rx`` and ``tx``.
    """

    name: str
    title: str
    family: str
    device: str
    capacity: Capacity
    platform: tuple[str, str]
    reference: int
    clock: int
    baud: int
    rx: str
    tx: str
    link: str
    led: tuple[str, str | None] | None
    programmer: Programmer
    preset: str = "2bit-x4"
    changes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    synth: tuple[str, ...] = ()
    pll_pad: bool = False
    uart_attrs: Mapping[str, str] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What ``SoftmaxConfig`` takes for the default configuration."""
        return PRESETS[self.preset] | dict(self.changes)

    @property
    def config(self) -> SoftmaxConfig:
        """The default configuration."""
        return SoftmaxConfig(**self.settings)

    @property
    def suffix(self) -> str:
        """Suffix of the bitstream's file, with its dot."""
        return {"ice40": ".bin", "ecp5": ".bit", "gowin": ".fs"}[self.family]

    def new_platform(self) -> Any:
        """A platform of amaranth-boards, with a resource ``uart``."""
        from amaranth.build import Attrs
        from amaranth_boards.resources import UARTResource

        module, name = self.platform
        platform = getattr(importlib.import_module(f"amaranth_boards.{module}"), name)()
        if self.uart_attrs is not None:
            attrs = Attrs(**self.uart_attrs)
            platform.add_resources([UARTResource(0, rx=self.rx, tx=self.tx, attrs=attrs)])
        return platform


_ICEPROG = Programmer(
    tool="iceprog",
    variable="ICEPROG",
    source="apt install fpga-icestorm, or https://github.com/YosysHQ/icestorm",
)
_ICESPROG = Programmer(
    tool="icesprog", variable=None, source="https://github.com/wuxx/icesugar (folder tools)"
)
_OPENFPGALOADER = Programmer(
    tool="openFPGALoader",
    variable="OPENFPGALOADER",
    source="apt install openfpgaloader, or https://github.com/trabucayre/openFPGALoader",
)
_DFU_UTIL = Programmer(
    tool="dfu-util",
    variable="DFU_UTIL",
    source="apt install dfu-util, or https://dfu-util.sourceforge.net",
)

_UP5K = Capacity(lut4=5280, bram=30)
_HX8K = Capacity(lut4=7680, bram=32)
_12F = Capacity(lut4=12_096, bram=32)
_25F = Capacity(lut4=24_288, bram=56)
_45F = Capacity(lut4=43_848, bram=108)
_85F = Capacity(lut4=83_640, bram=208)
_GW1NR_9 = Capacity(lut4=8640, bram=26)

_MHZ = 1_000_000


def _ulx3s(size: str, capacity: Capacity, preset: str) -> BoardSpec:
    return BoardSpec(
        name=f"ulx3s-{size.lower()}",
        title=f"ULX3S {size}",
        family="ecp5",
        device=f"ECP5 LFE5U-{size}",
        capacity=capacity,
        platform=("ulx3s", f"ULX3S_{size}_Platform"),
        reference=25 * _MHZ,
        clock=100 * _MHZ,
        baud=_MHZ,
        rx="M1",
        tx="L4",
        link="USB socket US1 (FT231X)",
        led=("led", None),
        programmer=_OPENFPGALOADER,
        preset=preset,
    )


def _orangecrab(size: str, capacity: Capacity, preset: str) -> BoardSpec:
    return BoardSpec(
        name=f"orangecrab-{size.lower()}",
        title=f"OrangeCrab r0.2 {size}",
        family="ecp5",
        device=f"ECP5 LFE5U-{size}",
        capacity=capacity,
        platform=("orangecrab_r0_2", f"OrangeCrabR0_2_{size}Platform"),
        reference=48 * _MHZ,
        clock=96 * _MHZ,
        baud=_MHZ,
        rx="N17",
        tx="M18",
        link="header pins 0 (in) and 1 (out), 3.3 V, to a USB adapter of yours",
        led=("rgb_led", "g"),
        programmer=_DFU_UTIL,
        preset=preset,
        uart_attrs=MappingProxyType({"IO_TYPE": "LVCMOS33", "PULLMODE": "UP"}),
    )


BOARDS = {
    spec.name: spec
    for spec in (
        BoardSpec(
            name="icebreaker",
            title="iCEBreaker",
            family="ice40",
            device="iCE40 UP5K",
            capacity=_UP5K,
            platform=("icebreaker", "ICEBreakerPlatform"),
            reference=12 * _MHZ,
            clock=24 * _MHZ,
            baud=_MHZ,
            rx="6",
            tx="9",
            link="USB, the second port of the FT2232H",
            led=("led_g", None),
            programmer=_ICEPROG,
            synth=("-device", "u"),
            pll_pad=True,
        ),
        BoardSpec(
            name="ice40-hx8k-evn",
            title="iCE40-HX8K-B-EVN",
            family="ice40",
            device="iCE40 HX8K",
            capacity=_HX8K,
            platform=("ice40_hx8k_b_evn", "ICE40HX8KBEVNPlatform"),
            reference=12 * _MHZ,
            clock=48 * _MHZ,
            baud=_MHZ,
            rx="B10",
            tx="B12",
            link="USB, the second port of the FT2232H",
            led=("led", None),
            programmer=_ICEPROG,
            synth=("-device", "hx"),
        ),
        BoardSpec(
            name="icesugar",
            title="iCESugar",
            family="ice40",
            device="iCE40 UP5K",
            capacity=_UP5K,
            platform=("icesugar", "ICESugarPlatform"),
            reference=12 * _MHZ,
            clock=24 * _MHZ,
            baud=115_200,
            rx="4",
            tx="6",
            link="USB, the serial port of the iCELink",
            led=("led_g", None),
            programmer=_ICESPROG,
            synth=("-device", "u"),
            pll_pad=True,
        ),
        _ulx3s("12F", _12F, "2bit-x4"),
        _ulx3s("25F", _25F, "2bit-x4"),
        _ulx3s("45F", _45F, "2bit-x16"),
        _ulx3s("85F", _85F, "2bit-x16"),
        BoardSpec(
            name="ecpix5-85",
            title="ECPIX-5 85F",
            family="ecp5",
            device="ECP5 LFE5UM5G-85F",
            capacity=_85F,
            platform=("ecpix5", "ECPIX585Platform"),
            reference=100 * _MHZ,
            clock=100 * _MHZ,
            baud=_MHZ,
            rx="R26",
            tx="R24",
            link="micro-USB, the second port of the FT2232H",
            led=("rgb_led", "g"),
            programmer=_OPENFPGALOADER,
            preset="2bit-x16",
        ),
        _orangecrab("25F", _25F, "2bit-x4"),
        _orangecrab("85F", _85F, "2bit-x16"),
        BoardSpec(
            name="colorlight-5a75b",
            title="Colorlight 5A-75B v7.0",
            family="ecp5",
            device="ECP5 LFE5U-25F",
            capacity=_25F,
            platform=("colorlight_5a75b_r7_0", "Colorlight_5A75B_R70Platform"),
            reference=25 * _MHZ,
            clock=100 * _MHZ,
            baud=_MHZ,
            rx="M13",
            tx="P11",
            link="connector J19: KEY+ (in) and DATA_LED- (out), 3.3 V, to a USB adapter of yours",
            led=None,
            programmer=_OPENFPGALOADER,
        ),
        BoardSpec(
            name="tang-nano-9k",
            title="Tang Nano 9K",
            family="gowin",
            device="Gowin GW1NR-9C",
            capacity=_GW1NR_9,
            platform=("tang_nano_9k", "TangNano9kPlatform"),
            reference=27 * _MHZ,
            clock=27 * _MHZ,
            baud=_MHZ,
            rx="18",
            tx="17",
            link="USB, the second port of the BL702",
            led=("led", None),
            # Its platform reads no variable.
            programmer=replace(_OPENFPGALOADER, variable=None),
        ),
    )
}


def megahertz(frequency: Fraction | int) -> str:
    """``frequency``, in Hz, as text in MHz, with the digits that matter."""
    return f"{float(frequency) / 1e6:.6g}"
