"""A SoC of LiteX without a CPU, round a unit and a RowDMA: the bench is CPU and memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litex.build.generic_platform import Pins
from litex.build.io import CRG
from litex.build.sim import SimPlatform
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect.wishbone import Interface

from exaq import SoftmaxConfig
from exaq_litex import ExaqSoftmax, RowDMA

MEMORY, MEMORY_BYTES, UNIT = 0x4000_0000, 0x4000, 0x9000_0000


@dataclass(frozen=True, kw_only=True)
class Case:
    """A unit in a SoC: the bus's standard, how it connects, and its bits.

    With a crossbar the host reaches the registers while the memory lets the RowDMA wait.
    """

    config: SoftmaxConfig
    standard: str = "wishbone"
    interconnect: str = "shared"
    width: int = 32
    rows: int = 4


def make_soc(case: Case, folder: Path) -> Any:
    """The SoC, finalized; the unit's files are in ``folder``."""
    host, memory = (Interface(data_width=case.width, address_width=32) for _ in range(2))
    pins = [("sys_clk", 0, Pins(1)), ("sys_rst", 0, Pins(1)), ("irq", 0, Pins(1))]
    platform = SimPlatform("SIM", pins + host.get_ios("host") + memory.get_ios("memory"))
    platform.output_dir = str(folder)
    soc = SoCCore(
        platform,
        clk_freq=1_000_000,
        cpu_type=None,
        bus_standard=case.standard,
        bus_data_width=case.width,
        bus_interconnect=case.interconnect,
        integrated_sram_size=0,
        with_uart=False,
        with_timer=False,
    )
    soc.crg = CRG(platform.request("sys_clk"), rst=platform.request("sys_rst"))
    soc.softmax = ExaqSoftmax(platform, case.config)
    soc.row_dma = RowDMA(case.config, data_width=case.width, rows=case.rows)
    soc.comb += [
        soc.row_dma.source.connect(soc.softmax.sink),
        soc.softmax.source.connect(soc.row_dma.sink),
        platform.request("irq").eq(soc.row_dma.ev.irq),
        *host.connect_to_pads(platform.request("host"), mode="slave"),
        *memory.connect_to_pads(platform.request("memory"), mode="master"),
    ]
    soc.bus.add_master("row_dma", soc.row_dma.bus)
    soc.bus.add_master("host", host)
    soc.bus.add_slave("memory", memory, SoCRegion(origin=MEMORY, size=MEMORY_BYTES))
    if case.config.contexts:
        region = SoCRegion(origin=UNIT, size=0x1000, cached=False)
        soc.bus.add_slave("softmax", soc.softmax.bus, region)
    soc.finalize()
    return soc


def write_soc(case: Case, folder: Path) -> dict[str, int]:
    """Writes Verilog to ``folder``, soc.v and the unit's; gives the addresses of the registers."""
    soc = make_soc(case, folder)
    fragment = soc.get_fragment()
    soc.platform.finalize(fragment)
    # Of the two forms in which LiteX writes logic without a clock, this is that for Verilator.
    text = soc.platform.get_verilog(fragment, name="soc", regular_comb=False)
    (folder / "soc.v").write_text(text.main_source, encoding="utf-8")
    return {
        f"{region}_{register.name}": held.origin + 4 * place
        for region, held in soc.csr.regions.items()
        for place, register in enumerate(held.obj)
    }
