"""Writes the design with two units: the Verilog module ``two_units``, whose ports are AXI4's.

    python -m exaq_litex.two_units.two_units_verilog [FOLDER]

The folder is build/two_units unless another one is given.
"""

import sys
from pathlib import Path
from typing import Any

from litex.build.generic_platform import Pins, Subsignal
from litex.build.sim import SimPlatform
from litex.soc.interconnect.stream import Endpoint
from migen import ClockDomain

from exaq_litex.two_units.two_units import TwoUnits

# Streams, and whether they go into the design.
_STREAMS = {
    "logits": True,
    "probabilities": False,
    "scores": True,
    "codes": False,
    "sums": False,
}
_CLOCKS = ("sys", "stream")


def write_two_units(folder: Path) -> list[Path]:
    """Writes two_units.v and the Verilog of each unit to ``folder``; gives all three."""
    folder.mkdir(parents=True, exist_ok=True)
    pins = [(f"{name}_{pin}", 0, Pins(1)) for name in _CLOCKS for pin in ("clk", "rst")]
    platform: Any = SimPlatform("SIM", pins)
    platform.output_dir = str(folder)
    design = TwoUnits(platform)
    for name in _CLOCKS:
        domain = ClockDomain(name)
        design.clock_domains += domain
        design.comb += [
            domain.clk.eq(platform.request(f"{name}_clk")),
            domain.rst.eq(platform.request(f"{name}_rst")),
        ]
    platform.add_extension(design.bus.get_ios("bus"))
    design.comb += design.bus.connect_to_pads(platform.request("bus"), mode="slave")
    for name, inward in _STREAMS.items():
        _open(design, platform, name, inward)
    fragment = design.get_fragment()
    platform.finalize(fragment)
    # Of the two forms in which LiteX writes logic without a clock, this is that for Verilator.
    text = platform.get_verilog(fragment, name="two_units", regular_comb=False)
    top = folder / "two_units.v"
    top.write_text(text.main_source, encoding="utf-8")
    return [top, *(Path(source) for source, *_ in platform.sources)]


def _open(design: TwoUnits, platform: Any, name: str, inward: bool) -> None:
    """Makes ports of a stream, called as in AXI4-Stream."""
    endpoint: Endpoint = getattr(design, name)
    described = endpoint.description
    widths = [*described.payload_layout, *described.param_layout]
    widths += [("last", 1), ("valid", 1), ("ready", 1)]
    ports = [Subsignal(f"t{field}", Pins(width)) for field, width in widths]
    platform.add_extension([(name, 0, *ports)])
    pads = platform.request(name)
    for field, _ in widths:
        pad, signal = getattr(pads, f"t{field}"), getattr(endpoint, field)
        into_design = inward != (field == "ready")
        design.comb += signal.eq(pad) if into_design else pad.eq(signal)


if __name__ == "__main__":
    for path in write_two_units(Path(sys.argv[1] if sys.argv[1:] else "build/two_units")):
        print(path)
