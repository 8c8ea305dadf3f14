"""The registers of a unit in SystemRDL 2.0, from which PeakRDL and others make documents, models
for UVM, IP-XACT and headers. It is made from the one register map, as the C header is.

    exaq generate --contexts 4 --rdl -o softmax.v
    peakrdl html softmax.rdl -o registers
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from exaq_hdl.emit.companions.companion import Unit
from exaq_hdl.shell.register_map import (
    WORD_BITS,
    Access,
    Field,
    Register,
    constants,
    registers,
)

# What software and hardware do with a field, by the access of its register.
_PROPERTIES = {
    Access.CONSTANT: "sw = r; hw = na;",
    Access.STATUS: "sw = r; hw = w;",
    Access.LOAD: "sw = w; hw = r; swmod;",
    Access.COUNTER: "sw = rw; hw = na; onwrite = wclr; counter;",
}
# A bit that is set and cleared in one cycle is set.
_STICKY = "sw = rw; hw = na; onwrite = woclr; hwset; precedence = hw;"


def texts(unit: Unit) -> tuple[str]:
    """The description of a unit with contexts."""
    latency = unit.emitted.manifest["latency"]["cycles"]
    values = constants(unit.config, latency)
    lines = [
        f"addrmap \\{unit.name} {{",  # escaped: it may be a keyword of SystemRDL
        f"    name = {_string(unit.name)};",
        '    desc = "Registers of a softmax unit with tables that are loaded at run time.";',
        f"    default regwidth = {WORD_BITS};",
        f"    default accesswidth = {WORD_BITS};",
        *(
            line
            for each in registers(unit.config.format)
            for line in _register(each, values.get(each.name, {}))
        ),
        "};",
    ]
    return ("\n".join(lines) + "\n",)


def _register(register: Register, values: Mapping[str, int]) -> list[str]:
    return [
        "",
        "    reg {",
        f"        desc = {_string(register.meaning)};",
        *(line for each in register.fields for line in _field(register, each, values)),
        f"    }} {register.name} @ 0x{register.offset:02X};",
    ]


def _field(register: Register, field: Field, values: Mapping[str, int]) -> list[str]:
    reset = values.get(field.name)
    if reset is None and register.reset is not None:
        reset = (register.reset & field.mask) >> field.low
    set_to = "" if reset is None else f" = {field.width}'h{reset:x}"
    high = field.low + field.width - 1
    return [
        "        field {",
        f"            desc = {_string(field.meaning)};",
        f"            {_STICKY if field.sticky else _PROPERTIES[register.access]}",
        f"        }} {field.name}[{high}:{field.low}]{set_to};",
    ]


def _string(text: str) -> str:
    return json.dumps(text)
