"""What a unit costs: cycles in simulation, and size and clock on a device. Run by workers."""

from __future__ import annotations

from typing import Any

from exaq import SoftmaxConfig
from exaq_fpga.boards.devices import DEVICES
from exaq_fpga.flow import bench, synthesis


def cycles(config: dict[str, Any], row: int) -> dict[str, float]:
    """Latency of a row alone, first element in to last out, and the rate of a stream of rows.

    Raises
    ------
    exaq.ToolError, exaq_cosim.SimulationError
        A tool is missing or fails; the unit breaks a rule of its interface.
    """
    counted = bench.count_cycles(SoftmaxConfig.from_dict(config), row)
    return {
        "latency": counted["first_in_to_last_out"],
        "elements_per_cycle": counted["elements_per_cycle"],
    }


def implementation(
    config: dict[str, Any], device: str, dsp: bool, seeds: list[int], most_lut4: int | None
) -> dict[str, Any]:
    """Size and median clock of the unit's AXI top.

    Where its netlist has more LUTs than ``most_lut4`` before it is placed, that number alone, as
    ``least_lut4``: placing makes a design no smaller.

    Raises
    ------
    exaq.ToolError
        A tool is missing or fails, or the unit does not fit the device.
    """
    from exaq_hdl import emit_verilog

    verilog = emit_verilog(SoftmaxConfig.from_dict(config), top="axi", name=bench.TOP).verilog
    try:
        result = synthesis.implement(
            verilog, bench.TOP, DEVICES[device], seeds=seeds, dsp=dsp, most_lut4=most_lut4
        )
    except synthesis.TooLargeError as error:
        return {"least_lut4": error.lut4}
    names = ("lut4", "ff", "bram", "dsp")
    return {name: result.size[name] for name in names} | {
        "mhz": result.fmax["median"],
        "seeds": {str(route.seed): route.fmax for route in result.routes},
    }
