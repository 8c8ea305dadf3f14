"""The design with two units, round LiteX's interconnect, clock crossing and converters."""

from __future__ import annotations

from pathlib import Path

import pytest
from litex_simulation import simulate_litex

from exaq_litex.two_units.two_units_verilog import write_two_units

PORTS = ("sys_", "stream_", "bus_", "logits_", "probabilities_", "scores_", "codes_", "sums_")


@pytest.mark.simulator
def test_rows_through_both_units(tmp_path: Path, runtime: Path) -> None:
    sources = write_two_units(tmp_path)
    ran = simulate_litex(sources, "two_units", PORTS, "cocotb_two_units", tmp_path, runtime)
    assert ran == 2
