"""Memories' arrays made of macros: the modules that stand in the place of the arrays' models.

An array takes macros side by side for its bits, and one above the other for its words. Each holds
what it read until it reads again, so of those above one another the last that read is chosen.

    from exaq_asic.macro_arrays import array_of_macros
    verilog = array_of_macros(array, smallest(macros, array))
"""

from __future__ import annotations

from collections.abc import Iterator

from exaq_asic.mapping.arrays import MemoryArray
from exaq_asic.memory_table import Macro, MemoryTableError


def array_of_macros(array: MemoryArray, macro: Macro) -> str:
    """Verilog of the array's module, and of one round the macro, which is not in it.

    Raises
    ------
    MemoryTableError
        The macro's connections are not known; or its words are no power of two, and the array has
        more of them.
    """
    if macro.connections is None:
        raise MemoryTableError(f"macro {macro.name} has no connections")
    if macro.above(array) > 1 and macro.words & macro.words - 1:
        raise MemoryTableError(
            f"macro {macro.name} holds {macro.words} words; to hold an array of {array.depth} its "
            "words must be a power of two"
        )
    # As if the macro were an array.
    one = MemoryArray(macro.words, macro.bits, macro.ports == 1, f"{array.module}_macro", "")
    return (
        f"// {array.depth} words of {array.width} bits: {macro.count(array)} of {macro.name}.\n"
        + array.around("".join(f"{line}\n" for line in _body(array, macro, one)))
        + one.around(f"  {macro.name} macro (\n{macro.connections.strip()}\n  );\n")
    )


def _body(array: MemoryArray, macro: Macro, one: MemoryArray) -> Iterator[str]:
    """Statements: as many of ``one`` as the array needs, and what was read of them."""
    above, beside = macro.above(array), macro.beside(array)
    if array.single_port and not one.single_port:
        yield "  wire write_enable = enable & write, read_enable = enable & ~write;"
        bits = _range(array.address_width)
        yield f"  wire {bits}write_address = address, read_address = address;"
    sides = [""] if one.single_port else ["write_", "read_"]
    bits = _range(beside * macro.bits)
    yield f"  wire {bits}written = {_wider('write_data', array.width, beside * macro.bits)};"
    for row in range(above):
        yield f"  wire {bits}row{row};"
        for side in sides:
            here = f" & ({_high(side, array, one)} == {row})" if above > 1 else ""
            yield f"  wire {side}enable{row} = {side}enable{here};"
        for column in range(beside):
            part = f"[{(column + 1) * macro.bits - 1}:{column * macro.bits}]"
            joined = {"write_data": f"written{part}", "read_data": f"row{row}{part}"}
            joined |= {"clk": "clk", "write": "write"}
            joined |= {f"{side}enable": f"{side}enable{row}" for side in sides}
            joined |= {f"{side}address": _low(side, array, one) for side in sides}
            pins = ", ".join(f".{pin}({joined[pin]})" for pin, _, _ in one.pins())
            yield f"  {one.module} row{row}_{column} ({pins});"
    read = "row0"
    if above > 1:
        reads = "enable & ~write" if one.single_port else "read_enable"
        yield f"  reg {_range(array.address_width - one.address_width)}last;"
        yield f"  always @(posedge clk) if ({reads}) last <= {_high(sides[-1], array, one)};"
        for row in range(1, above):
            read = f"last == {row} ? row{row} : {read}"
    yield f"  wire {bits}found = {read};"
    yield f"  assign read_data = found[{array.width - 1}:0];"


def _range(width: int) -> str:
    return f"[{width - 1}:0] "


def _wider(name: str, width: int, wanted: int) -> str:
    return f"{{{wanted - width}'b0, {name}}}" if wanted > width else name


def _low(side: str, array: MemoryArray, one: MemoryArray) -> str:
    """The bits of an address within a macro."""
    name = f"{side}address"
    if array.address_width > one.address_width:
        return f"{name}[{one.address_width - 1}:0]"
    return _wider(name, array.address_width, one.address_width)


def _high(side: str, array: MemoryArray, one: MemoryArray) -> str:
    """The bits of an address that say which of the macros above one another it is in."""
    return f"{side}address[{array.address_width - 1}:{one.address_width}]"
