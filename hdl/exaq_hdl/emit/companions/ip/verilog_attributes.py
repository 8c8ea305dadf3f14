"""Attributes on the ports of the Verilog, by which Vivado tells the buses of a module that is put
into a block design as it is.

    (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_axis TDATA" *)
    input [31:0] s_axis_tdata;
"""

from __future__ import annotations

import re
from dataclasses import replace

from exaq_hdl.emit.companions.ip.interfaces import Interface, interfaces
from exaq_hdl.emit.verilog import Emitted


def with_attributes(emitted: Emitted) -> Emitted:
    """The same with attributes in the top module's text; other tools look past them."""
    name, ports = emitted.manifest["name"], emitted.manifest["ports"]
    before, module, rest = emitted.verilog.partition(f"\nmodule {name}(")
    body, end, others = rest.partition("\nendmodule")
    for interface in interfaces(ports):
        for port, lines in _attributes(interface).items():
            body, places = re.subn(rf"^  (?=(?:in|out)put .*\b{port};$)", lines, body, flags=re.M)
            assert places == 1
    return replace(emitted, verilog=before + module + body + end + others)


def _attributes(interface: Interface) -> dict[str, str]:
    """What stands before the declaration of each port; the first one tells the parameters."""
    found = {
        port: f'  (* X_INTERFACE_INFO = "{interface.type} {interface.name} {signal}" *)\n  '
        for signal, port in interface.signals.items()
    }
    if interface.parameters:
        values = [f"{name} {value}" for name, value in interface.parameters.items()]
        told = ", ".join([f"XIL_INTERFACENAME {interface.name}", *values])
        first = next(iter(found))
        found[first] += f'(* X_INTERFACE_PARAMETER = "{told}" *)\n  '
    return found
