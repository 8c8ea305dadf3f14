"""The boards that there are builds for."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from exaq_fpga.boards.specification import BoardSpec, Capacity, Programmer
from exaq_fpga.boards.uart_link import UartLink
from exaq_fpga.boards.udp_link import EthernetPhy

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
        link=UartLink(rx="M1", tx="L4", where="USB socket US1 (FT231X)"),
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
        link=UartLink(
            rx="N17",
            tx="M18",
            where="header pins 0 (in) and 1 (out), 3.3 V, to a USB adapter of yours",
            attrs=MappingProxyType({"IO_TYPE": "LVCMOS33", "PULLMODE": "UP"}),
        ),
        led=("rgb_led", "g"),
        programmer=_DFU_UTIL,
        preset=preset,
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
            link=UartLink(rx="6", tx="9", where="USB, the second port of the FT2232H"),
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
            link=UartLink(rx="B10", tx="B12", where="USB, the second port of the FT2232H"),
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
            link=UartLink(
                rx="4", tx="6", baud=115_200, where="USB, the serial port of the iCELink"
            ),
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
            link=UartLink(
                rx="R26",
                tx="R24",
                where="micro-USB, the second port of the FT2232H",
            ),
            ethernet=EthernetPhy(
                where="Ethernet socket (KSZ9031)",
                names=MappingProxyType({"reset": "rst", "rx_ctl": "rx_ctrl", "tx_ctl": "tx_ctrl"}),
            ),
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
            link=UartLink(
                rx="M13",
                tx="P11",
                where="connector J19: KEY+ (in) and DATA_LED- (out), 3.3 V, to a USB adapter of "
                "yours",
            ),
            ethernet=EthernetPhy(
                where="Ethernet socket of the first PHY (B50612D)",
                names=MappingProxyType({"reset": "rst"}),
            ),
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
            link=UartLink(rx="18", tx="17", where="USB, the second port of the BL702"),
            led=("led", None),
            # Its platform reads no variable.
            programmer=replace(_OPENFPGALOADER, variable=None),
        ),
    )
}
