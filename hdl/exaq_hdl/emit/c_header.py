"""Texts made from the register map: the tables of docs/registers.md, and C headers.

python -m exaq_hdl.emit.c_header docs/registers.md    brings the tables of that page up to date
python -m exaq_hdl.emit.c_header                      prints a C header that fits every unit
"""

import re
import sys
from importlib import resources
from pathlib import Path

from exaq import SoftmaxConfig
from exaq_hdl.emit.companions.companion import Unit
from exaq_hdl.shell.register_map import (
    MAGIC,
    REGISTERS,
    WORD_BITS,
    Field,
    Register,
    constants,
    registers,
)

_BEGIN, _END = "<!-- registers:begin -->", "<!-- registers:end -->"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def c_header(config: SoftmaxConfig | None, prefix: str) -> str:
    """A C header: addresses, masks and shifts of the registers, and functions to load tables.

    Parameters
    ----------
    config
        The unit whose constants the header holds too, as ..._VALUE. None: it fits every unit.
    prefix
        A C identifier that every name begins with; in capitals in macros.
    """
    if not _IDENTIFIER.fullmatch(prefix):
        raise ValueError(f"prefix must be a C identifier, not {prefix!r}")
    text = resources.files("exaq_hdl.emit").joinpath("registers.h").read_text(encoding="utf-8")
    text = text.replace("/* REGISTERS */", "\n\n".join(_defines(config)))
    return text.replace("EXAQ_SOFTMAX", prefix.upper()).replace("exaq_softmax", prefix)


def texts(unit: Unit) -> tuple[str]:
    """The header of a unit with contexts, as a file beside its Verilog."""
    return (c_header(unit.config, unit.name),)


def _defines(config: SoftmaxConfig | None) -> list[str]:
    values = {"ID": {"magic": MAGIC}} if config is None else constants(config)
    its = REGISTERS.values() if config is None else registers(config.format)
    return [_define(each, values.get(each.name, {})) for each in its]


def _define(register: Register, values: dict[str, int]) -> str:
    """Macros of a register: its address and, of fields narrower than it, their places."""
    name = f"EXAQ_SOFTMAX_{register.name}"
    lines = [
        f"/* {register.meaning} ({register.access.value}) */",
        f"#define {name} 0x{register.offset:02x}u",
    ]
    for field in register.fields:
        place = name
        if field.width < WORD_BITS:
            place = f"{name}_{field.name.upper()}"
            lines += [
                f"#define {place}_SHIFT {field.low}",
                f"#define {place}_MASK 0x{field.mask:x}u",
            ]
        if field.name in values:
            lines.append(f"#define {place}_VALUE 0x{values[field.name]:x}u")
    if sticky := register.mask(sticky=True):
        lines.append(f"#define {name}_STICKY 0x{sticky:x}u")
    return "\n".join(lines)


def markdown() -> str:
    """The register map as two tables: registers, and their fields."""
    lines = ["| offset | register | access | after reset | |", "|--:|---|---|--:|---|"]
    for register in REGISTERS.values():
        reset = "" if register.reset is None else f"{register.reset}"
        cells = [f"`0x{register.offset:02X}`", f"`{register.name}`", register.access.value, reset]
        lines.append("| " + " | ".join([*cells, register.meaning]) + " |")
    lines += ["", "| register | bits | field | |", "|---|--:|---|---|"]
    for register in REGISTERS.values():
        for field in register.fields:
            cells = [f"`{register.name}`", _bits(field), f"`{field.name}`", field.meaning]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _bits(field: Field) -> str:
    high = field.low + field.width - 1
    return f"{field.low}" if high == field.low else f"{high}:{field.low}"


def update(text: str) -> str:
    """A page ``text`` with the tables of ``markdown`` between its two marks.

    Raises
    ------
    ValueError
        The text has not both marks.
    """
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the page must hold {_BEGIN} and {_END}")
    return f"{before}{begin}\n{markdown()}\n{end}{after}"


def main(arguments: list[str]) -> None:
    """See the top of this file."""
    if not arguments:
        print(c_header(None, "exaq_softmax"), end="")
    for path in map(Path, arguments):
        path.write_text(update(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
