"""The FPGA devices that figures are measured on, and how the tools are called for each."""

from __future__ import annotations

from dataclasses import dataclass

#: Options of Yosys's ``synth_*``, by family, that build multipliers of LUTs; without options it
#: does so on iCE40.
WITHOUT_DSP: dict[str, tuple[str, ...]] = {"ecp5": ("-nodsp",), "gowin": ("-nodsp",), "ice40": ()}


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device as Yosys and nextpnr know it.

    Parameters
    ----------
    name, title
        On the command line and in tables.
    family
        ``ecp5`` or ``ice40``: chooses ``synth_*`` and ``nextpnr-*``.
    synth
        Options of Yosys's ``synth_*`` command; the same for every design.
    route
        Options of nextpnr that choose the device.
    dsp
        Whether synthesis takes multipliers of the device's own.
    target
        Clock that nextpnr aims at, in MHz: above what any design here reaches, so that it
        never rests early.
    """

    name: str
    title: str
    family: str
    synth: tuple[str, ...]
    route: tuple[str, ...]
    target: int
    dsp: bool = False


DEVICES = {
    device.name: device
    for device in (
        Device(
            name="ecp5-85",
            title="ECP5 LFE5UM-85F-6",
            family="ecp5",
            synth=(),
            route=("--um-85k", "--package", "CABGA756", "--speed", "6"),
            target=250,
            dsp=True,
        ),
        Device(
            name="ice40-hx8k",
            title="iCE40 HX8K",
            family="ice40",
            synth=("-device", "hx"),
            route=("--hx8k", "--package", "ct256"),
            target=200,
        ),
        Device(
            name="ice40-up5k",
            title="iCE40 UP5K",
            family="ice40",
            synth=("-device", "u"),
            route=("--up5k", "--package", "sg48"),
            target=100,
        ),
    )
}
