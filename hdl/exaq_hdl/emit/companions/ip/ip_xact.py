"""A unit in IP-XACT, IEEE 1685-2009, the version that Vivado reads and writes: buses, registers,
ports and files.

    exaq generate --contexts 4 --ip -o ip/softmax.v     ip/component.xml
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from exaq_hdl.emit.companions.companion import Unit
from exaq_hdl.emit.companions.ip.interfaces import Interface, interfaces
from exaq_hdl.shell.register_map import (
    ADDRESS_BITS,
    WORD_BITS,
    Access,
    Field,
    Register,
    constant_words,
    registers,
)

#: Vendor and library of every unit, of whatever name.
VENDOR, LIBRARY = "exaq", "ip"
_SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"

# What software can do with a register.
_ACCESS = {
    Access.CONSTANT: "read-only",
    Access.STATUS: "read-write",
    Access.LOAD: "write-only",
    Access.COUNTER: "read-write",
}


def version(unit: Unit) -> str:
    """Of an IP: two numbers."""
    return ".".join(unit.emitted.manifest["versions"]["exaq-softmax"].split(".")[:2])


def texts(unit: Unit) -> tuple[str]:
    """The component."""
    ElementTree.register_namespace("spirit", _SPIRIT)
    found = interfaces(unit.emitted.manifest["ports"])
    maps = [_memory_map(each, unit) for each in found if each.is_registers]
    component = _element(
        "component",
        ("vendor", VENDOR),
        ("library", LIBRARY),
        ("name", unit.name),
        ("version", version(unit)),
        _element("busInterfaces", *map(_bus_interface, found)),
        *([_element("memoryMaps", *maps)] if maps else []),
        _model(unit),
        _file_sets(unit),
        (
            "description",
            f"Made by exaq-softmax {unit.emitted.manifest['versions']['exaq-softmax']}",
        ),
    )
    ElementTree.indent(component)
    return (ElementTree.tostring(component, encoding="unicode", xml_declaration=True) + "\n",)


def _element(tag: str, *parts: Element | tuple[str, str], **attributes: str) -> Element:
    """An element of the standard's namespace; a pair is one that holds text."""
    found = Element(f"{{{_SPIRIT}}}{tag}", {f"{{{_SPIRIT}}}{k}": v for k, v in attributes.items()})
    for part in parts:
        if isinstance(part, tuple):
            ElementTree.SubElement(found, f"{{{_SPIRIT}}}{part[0]}").text = part[1]
        else:
            found.append(part)
    return found


def _bus_interface(interface: Interface) -> Element:
    vendor, library, name, number = interface.type.split(":")
    of_definition = {"vendor": vendor, "library": library, "version": number}
    ports = (
        _element(
            "portMap",
            _element("logicalPort", ("name", signal)),
            _element("physicalPort", ("name", port)),
        )
        for signal, port in interface.signals.items()
    )
    registers = [_element("memoryMapRef", memoryMapRef=interface.name)]
    parameters = [
        _element("parameter", ("name", name), ("value", value))
        for name, value in interface.parameters.items()
    ]
    return _element(
        "busInterface",
        ("name", interface.name),
        _element("busType", name=name, **of_definition),
        _element("abstractionType", name=f"{name}_rtl", **of_definition),
        _element(
            "master" if interface.master else "slave",
            *(registers if interface.is_registers else []),
        ),
        _element("portMaps", *ports),
        *([_element("parameters", *parameters)] if parameters else []),
    )


def _memory_map(interface: Interface, unit: Unit) -> Element:
    words = constant_words(unit.config, unit.emitted.manifest["latency"]["cycles"])
    return _element(
        "memoryMap",
        ("name", interface.name),
        _element(
            "addressBlock",
            ("name", "registers"),
            ("baseAddress", "0"),
            ("range", str(1 << ADDRESS_BITS)),
            ("width", str(WORD_BITS)),
            ("usage", "register"),
            *(
                _register(each, words.get(each.name, each.reset))
                for each in registers(unit.config.format)
            ),
        ),
    )


def _register(register: Register, reset: int | None) -> Element:
    after_reset = [] if reset is None else [_element("reset", ("value", f"0x{reset:X}"))]
    changes = register.access in (Access.STATUS, Access.COUNTER)
    return _element(
        "register",
        ("name", register.name),
        ("description", register.meaning),
        ("addressOffset", f"0x{register.offset:X}"),
        ("size", str(WORD_BITS)),
        ("volatile", str(changes).lower()),
        ("access", _ACCESS[register.access]),
        *after_reset,
        *(_field(register, each) for each in register.fields),
    )


def _field(register: Register, field: Field) -> Element:
    access, on_write = _ACCESS[register.access], []
    if field.sticky:
        on_write = [("modifiedWriteValue", "oneToClear")]
    elif register.access is Access.COUNTER:
        on_write = [("modifiedWriteValue", "clear")]
    elif register.access is Access.STATUS:
        access = "read-only"
    return _element(
        "field",
        ("name", field.name),
        ("description", field.meaning),
        ("bitOffset", str(field.low)),
        ("bitWidth", str(field.width)),
        ("access", access),
        *on_write,
    )


# Whose files Vivado takes for what.
_VIEWS = {
    "synthesis": ":vivado.xilinx.com:synthesis",
    "simulation": ":vivado.xilinx.com:simulation",
}


def _model(unit: Unit) -> Element:
    ports = (
        _element(
            "port",
            ("name", port["name"]),
            ("description", port["description"]),
            _element(
                "wire",
                ("direction", port["direction"].removesuffix("put")),
                *_vector(port["width"]),
            ),
        )
        for port in unit.emitted.manifest["ports"]
    )
    views = (
        _element(
            "view",
            ("name", view),
            ("envIdentifier", environment),
            ("language", "verilog"),
            ("modelName", unit.name),
            _element("fileSetRef", ("localName", view)),
        )
        for view, environment in _VIEWS.items()
    )
    return _element("model", _element("views", *views), _element("ports", *ports))


def _vector(width: int) -> Iterable[Element]:
    if width > 1:
        yield _element("vector", ("left", str(width - 1)), ("right", "0"))


def _file_sets(unit: Unit) -> Element:
    sets = [(view, f"{unit.stem}.v", "verilogSource") for view in _VIEWS]
    sets.append(("vhdl_component", f"{unit.stem}.vhd", "vhdlSource"))
    return _element(
        "fileSets",
        *(
            _element(
                "fileSet", ("name", name), _element("file", ("name", file), ("fileType", kind))
            )
            for name, file, kind in sets
        ),
    )
