"""The frequency that a PLL makes, out of its cell's parameters as the device gets them.

Formulas of the vendors' PLL guides, on purpose not those that chose the parameters. A PLL of a
kind unknown here is a ToolError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from exaq_cosim import ToolError
from exaq_fpga.flow.netlists.netlist import Netlist

_ICE40 = re.compile(r"^SB_PLL40_\w+ #\(\n(.*?)^\)", re.DOTALL | re.MULTILINE)
_PARAMETER = re.compile(r"\.(\w+)\((?:\d+'b([01]+)|\"(\w*)\")\)")


def bitstream_clock(verilog: str, reference: int) -> Fraction:
    """Of the design that icebox_vlog found in an iCE40 bitstream, in Hz.

    ``reference`` is the frequency of the clock pin.
    """
    found = _ICE40.search(verilog)
    if found is None:
        return Fraction(reference)
    values = {name: bits or text for name, bits, text in _PARAMETER.findall(found[1])}
    if values["FEEDBACK_PATH"] != "SIMPLE" or values["PLLOUT_SELECT"] != "GENCLK":
        raise ToolError("the PLL has another feedback or output than those known here")
    divr, divf, divq = (int(values[name], 2) for name in ("DIVR", "DIVF", "DIVQ"))
    return Fraction(reference * (divf + 1), (divr + 1) * 2**divq)


def netlist_clock(netlist: Netlist, reference: int) -> Fraction:
    """Of a synthesised design, in Hz, as ``bitstream_clock``."""
    for cell in netlist.cells.values():
        parameters = cell["parameters"]
        if cell["type"] == "EHXPLLL":
            if parameters["FEEDBK_PATH"] != "CLKOP":
                raise ToolError("the PLL has another feedback than the one known here")
            return Fraction(
                reference * _number(parameters, "CLKFB_DIV"), _number(parameters, "CLKI_DIV")
            )
        if cell["type"] == "rPLL":
            if any(parameters[f"DYN_{name}_SEL"] != "false" for name in ("IDIV", "FBDIV", "ODIV")):
                raise ToolError("the PLL's dividers can change")
            return Fraction(
                reference * (_number(parameters, "FBDIV_SEL") + 1),
                _number(parameters, "IDIV_SEL") + 1,
            )
    return Fraction(reference)


def _number(parameters: Mapping[str, str], name: str) -> int:
    return int(parameters[name], 2)
