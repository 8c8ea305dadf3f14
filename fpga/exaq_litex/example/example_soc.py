"""The SoC of the example: VexRiscv, memory, a UART, and a unit with a RowDMA."""

from typing import Any

from litex.build.generic_platform import Pins, Subsignal
from litex.build.io import CRG
from litex.build.sim import SimPlatform
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCCore

from exaq import SoftmaxConfig
from exaq_litex import ExaqSoftmax, RowDMA

_SERIAL = [
    Subsignal(f"{side}_{name}", Pins(bits))
    for side in ("source", "sink")
    for name, bits in (("valid", 1), ("ready", 1), ("data", 8))
]
_PINS = [("sys_clk", 0, Pins(1)), ("sys_rst", 0, Pins(1)), ("serial", 0, *_SERIAL)]


class ExampleSoC(SoCCore):
    """What a SoC of yours has too, for a board as for simulation, stands below ``# The unit``."""

    def __init__(self, config: SoftmaxConfig, folder: str):
        platform: Any = SimPlatform("SIM", _PINS)
        platform.output_dir = folder
        super().__init__(
            platform,
            clk_freq=100_000_000,
            cpu_type="vexriscv",
            integrated_rom_size=0x10000,
            integrated_sram_size=0x8000,
            uart_name="sim",
            timer_uptime=True,
        )
        self.crg = CRG(platform.request("sys_clk"), rst=platform.request("sys_rst"))

        # The unit.
        self.softmax = ExaqSoftmax(platform, config)
        region = SoCRegion(origin=0x9000_0000, size=0x1000, cached=False)
        self.bus.add_slave("softmax", self.softmax.bus, region)

        # Its rows.
        self.row_dma = RowDMA(config, data_width=self.bus.data_width)
        self.comb += [
            self.row_dma.source.connect(self.softmax.sink),
            self.softmax.source.connect(self.row_dma.sink),
        ]
        self.bus.add_master("row_dma", self.row_dma.bus)
        self.irq.add("row_dma")
