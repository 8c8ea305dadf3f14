"""A softmax unit as a module of LiteX, with LiteX's streams and bus.

    self.softmax = ExaqSoftmax(platform, exaq.SoftmaxConfig(lanes=4, contexts=4))
    region = SoCRegion(origin=0x9000_0000, size=0x1000, cached=False)
    self.bus.add_slave("softmax", self.softmax.bus, region)

These are lines of a SoC's class; exaq_litex.example.example_soc has one.
"""

import json
from pathlib import Path
from typing import Any

from litex.gen import LiteXModule
from litex.soc.interconnect.axi import AXILiteInterface
from litex.soc.interconnect.stream import Endpoint
from migen import ClockSignal, Instance, ResetSignal

from exaq import SoftmaxConfig
from exaq_hdl.emit.c_header import c_header
from exaq_hdl.emit.verilog import emit_verilog
from exaq_litex.streams import stream

_CHANNELS = ("aw", "ar", "w", "b", "r")


class ExaqSoftmax(LiteXModule):
    """A unit, in the clock domain ``sys``.

    When the SoC is built, its Verilog, its manifest and, with contexts, the C header of its
    registers are written to the folder of the build as NAME.v, NAME.json and NAME.h.

    Parameters
    ----------
    platform
        Of LiteX; its build gets the Verilog.
    config
        What the unit is made of.
    name
        Of the Verilog module; another one for each unit of a SoC.
    address_width
        Of the SoC's bus, in bits of a byte's address.

    Members
    -------
    sink : Endpoint of logits. Its fields are the signals of s_axis_* without their t, as wide as
        the manifest says: data, keep, and where the unit has them user and id
    source : Endpoint of probabilities or codes: data, keep, user, which with the last beat of a
        row of probabilities says that the row is in error, and with several contexts id
    row : with row results, Endpoint of theirs: data, user, and with several contexts id; each
        is a packet
    bus : with contexts, AXILiteInterface of the registers, 4096 bytes
    emitted : Verilog and manifest
    """

    def __init__(
        self,
        platform: Any,
        config: SoftmaxConfig,
        *,
        name: str = "exaq_softmax",
        address_width: int = 32,
    ):
        self.platform = platform
        self.config = config
        self.name = name
        self.emitted = emit_verilog(config, name=name)
        ports = self.emitted.manifest["ports"]
        widths = {port["name"]: port["width"] for port in ports}
        signals = {"aclk": ClockSignal(), "aresetn": ~ResetSignal()}
        self.sink = _endpoint("s_axis", widths, signals)
        self.source = _endpoint("m_axis", widths, signals)
        if config.row_results != "none":
            self.row = _endpoint("m_row", widths, signals)
            self.comb += self.row.last.eq(1)
        if config.contexts:
            self.bus = _bus(address_width, widths, signals)
        self.unit = Instance(
            name,
            **{f"{port['direction'][0]}_{port['name']}": signals[port["name"]] for port in ports},
        )

    def do_finalize(self) -> None:
        """Writes the files; the platform knows by now where it builds."""
        folder = Path(self.platform.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        self.platform.add_source(str(self.write(folder)))

    def write(self, folder: Path) -> Path:
        """Writes the unit's files to ``folder``; gives the Verilog's path."""
        verilog = folder / f"{self.name}.v"
        texts = {verilog: self.emitted.verilog}
        texts[verilog.with_suffix(".json")] = json.dumps(self.emitted.manifest, indent=2) + "\n"
        if self.config.contexts:
            texts[verilog.with_suffix(".h")] = c_header(self.config, self.name)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return verilog


def _endpoint(prefix: str, widths: dict[str, int], signals: dict[str, Any]) -> Endpoint:
    """The stream of the ports that begin with ``prefix``, which it enters into ``signals``."""
    ports = {name.removeprefix(f"{prefix}_t"): name for name in widths if name.startswith(prefix)}
    endpoint = stream({field: widths[name] for field, name in ports.items()}, name=prefix)
    signals |= {name: getattr(endpoint, field) for field, name in ports.items()}
    return endpoint


def _bus(address_width: int, widths: dict[str, int], signals: dict[str, Any]) -> AXILiteInterface:
    """The bus of the registers, whose signals it enters into ``signals``."""
    bus = AXILiteInterface(
        data_width=widths["s_axi_wdata"], address_width=address_width, name="s_axi"
    )
    for name in widths:
        if name.startswith("s_axi_"):
            rest = name.removeprefix("s_axi_")
            channel = next(each for each in _CHANNELS if rest.startswith(each))
            signal = getattr(getattr(bus, channel), rest.removeprefix(channel))
            signals[name] = signal[: widths[name]]
    return bus
