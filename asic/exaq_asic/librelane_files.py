"""What LibreLane needs to lay a unit out: configuration, constraints, order of pins, and the text.

    >>> from exaq import SoftmaxConfig
    >>> from exaq_asic.librelane_files import librelane_files
    >>> from exaq_hdl.emit.target import Target
    >>> list(librelane_files(SoftmaxConfig(), nanoseconds=4.0, target=Target(kind="asic")))
    ['config.json', 'constraints.sdc', 'pins.cfg', 'src/exaq_softmax.v', 'src/arrays.v']

The files are valid by LibreLane's own schema. A layout was not made with them: OpenROAD is in no
package that this project could use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from exaq import SoftmaxConfig
from exaq_asic.flow import TOP, emitted_unit
from exaq_asic.macro_arrays import array_of_macros
from exaq_asic.mapping.arrays import split
from exaq_asic.memory_table import Macro, smallest
from exaq_hdl.emit.target import Target

#: The files, in their order.
FILES = ("config.json", "constraints.sdc", "pins.cfg", f"src/{TOP}.v", "src/arrays.v")
#: What of a period stays for wires and the clock's tree, which the slowest path has not.
MARGIN = 0.3
#: Share of the core's area that cells take, in percent.
UTILISATION = 45


def librelane_files(
    config: SoftmaxConfig, *, nanoseconds: float, target: Target, macros: Sequence[Macro] = ()
) -> dict[str, str]:
    """The files by their path in the folder.

    Parameters
    ----------
    config
        The unit.
    nanoseconds
        Its slowest path, as ``exaq_asic.timing.slowest`` gives it; the clock's period is
        ``MARGIN`` of that longer.
    target
        How it is emitted: for a chip.
    macros
        Memory macros that there are. Arrays are made of those of which all is known that a layout
        needs; others stay models, which synthesis makes of flops.

    Raises
    ------
    MemoryTableError
        As ``exaq_asic.macro_arrays.array_of_macros``.
    """
    text, arrays = split(emitted_unit(config, target).verilog, TOP)
    period = round(nanoseconds * (1 + MARGIN), 3)
    known = [macro for macro in macros if macro.laid_out]
    made = [(array, smallest(known, array)) for array in arrays]
    used = {macro.name: macro for _, macro in made if macro is not None}
    held = [
        json.dumps(_configuration(period, used), indent=2) + "\n",
        _SDC.format(period=period, delay=round(0.2 * period, 3), slack=round(0.05 * period, 3)),
        _PINS,
        text,
        _ARRAYS
        + "".join(
            array.verilog if macro is None else array_of_macros(array, macro)
            for array, macro in made
        ),
    ]
    return dict(zip(FILES, held, strict=True))


def _configuration(period: float, macros: Mapping[str, Macro]) -> dict[str, Any]:
    placed = {
        name: {"gds": [macro.gds], "lef": [macro.lef], "lib": {"*": [macro.lib]}}
        for name, macro in macros.items()
    }
    return {
        "meta": {"version": 3, "flow": "Classic"},
        "DESIGN_NAME": TOP,
        "VERILOG_FILES": [f"dir::{file}" for file in FILES if file.endswith(".v")],
        "CLOCK_PORT": "aclk",
        "CLOCK_PERIOD": period,
        "PNR_SDC_FILE": "dir::constraints.sdc",
        "SIGNOFF_SDC_FILE": "dir::constraints.sdc",
        "IO_PIN_ORDER_CFG": "dir::pins.cfg",
        "SYNTH_STRATEGY": "DELAY 0",
        "FP_SIZING": "relative",
        "FP_CORE_UTIL": UTILISATION,
        "PL_TARGET_DENSITY_PCT": UTILISATION + 10,
        **({"MACROS": placed} if placed else {}),
    }


_SDC = """# A fifth of the period for what is outside, on each side.
create_clock -name aclk -period {period} [get_ports aclk]
set_clock_uncertainty {slack} [get_clocks aclk]
set inputs [list]
foreach port [all_inputs] {{
  if {{ [get_property $port full_name] ne "aclk" }} {{ lappend inputs $port }}
}}
set_input_delay {delay} -clock aclk $inputs
set_output_delay {delay} -clock aclk [all_outputs]
"""
_PINS = r"""#N
aclk
aresetn
#W
s_axis_.*
#E
m_axis_.*
m_row_.*
#S
s_axi_.*
"""
_ARRAYS = """// The arrays of the memories: of macros, or models, which synthesis makes of flops.
// Replace each model by a module of the same ports round a macro of yours, and name that in MACROS
// of config.json.
"""
