"""Mapping: memories' arrays, parts of the unit, areas."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from small_unit import CONFIG, TARGET, library, mapped
from tiny_liberty import AREAS

from exaq import SoftmaxConfig
from exaq.tool import ToolError
from exaq_asic.flow import TOP, by_block, emitted_unit
from exaq_asic.mapping.arrays import split
from exaq_asic.mapping.blocks import parts_of
from exaq_asic.mapping.mapped_unit import map_unit
from exaq_asic.mapping.netlist import Instance, Netlist, Port
from exaq_asic.mapping.owners import with_owners
from exaq_asic.mapping.recipe import Recipe
from exaq_hdl import emit_verilog
from exaq_hdl.emit.target import RAMS, Target


@pytest.mark.parametrize("ram", RAMS)
@pytest.mark.parametrize("preset", ["2bit-x4", "3bit-x16", "multiply-x4"])
def test_arrays_are_the_memories_of_the_manifest(preset: str, ram: str) -> None:
    target = Target(kind="asic", ram=ram)
    emitted = emit_verilog(SoftmaxConfig.preset(preset), name="u", target=target)
    text, arrays = split(emitted.verilog, "u")
    listed = [each for each in emitted.manifest["memories"] if each["place"] == "block"]
    assert {(each.module, each.depth, each.width, each.single_port) for each in arrays} == {
        (each["array"], each["depth"], each["width"], each["shared_port"]) for each in listed
    }
    assert len(arrays) == 2
    assert all(f"module {array.module}" not in text for array in arrays)
    assert all(array.verilog.startswith(f"module {array.module} (") for array in arrays)
    parts = parts_of(text, "u")
    assert len(parts) == len(set(parts.values()))
    assert {"top", "core", "receiver", "row_buffer.ram.memory"} <= set(parts.values())
    assert "memory_flops.sum_queue.ram.memory.array" in parts.values()


@pytest.mark.parametrize("single_port", [False, True])
def test_an_array_is_taken_out_as_it_is(single_port: bool) -> None:
    kind = "_single_port" if single_port else ""
    held = f"module u__array_8x3{kind} (\na);\n body;\nendmodule\n"
    rest, (array,) = split(f"module u;\nendmodule\n{held}module w;\nendmodule\n", "u")
    assert rest == "module u;\nendmodule\nmodule w;\nendmodule\n"
    assert array.verilog == held
    assert array.single_port == single_port
    assert (array.depth, array.width, array.bits, array.address_width) == (8, 3, 24, 3)
    assert re.findall(r"(input|output).* (\w+)", array.black_box()) == [
        *[("input", name) for name, _, _ in array.pins()[:-1]],
        ("output", "read_data"),
    ]


def test_area_is_that_of_the_cells() -> None:
    unit = mapped()
    counts = Counter(each.module for each in unit.netlist.instances)
    arrays = {array.module for array in unit.arrays}
    assert set(counts) <= set(AREAS) | arrays
    assert arrays <= set(counts)
    area = sum(AREAS[name] * count for name, count in counts.items() if name in AREAS)
    assert unit.area == pytest.approx(area)
    assert unit.count("flop") == counts["DFF"] + counts["DFFR"] > 100
    assert unit.sequential_area == pytest.approx(10 * counts["DFF"] + 12 * counts["DFFR"])
    assert sum(by_block(unit.area_by_part).values()) == pytest.approx(area)


def test_every_register_has_a_part() -> None:
    unit = mapped()
    text, _ = split(emitted_unit(CONFIG, TARGET).verilog, TOP)
    parts = set(parts_of(text, TOP).values())
    assert {each.part for each in unit.netlist.instances} <= parts
    flops = Counter(each.part for each in unit.netlist.instances if each.module == "DFF")
    assert flops["top"] == 0
    # The registers of these are known by what their blocks hold.
    assert {"receiver", "row_max", "quantizer", "accumulator", "emitter"} <= set(flops)


def test_a_small_area_is_smaller_and_clock_gates_are_taken() -> None:
    assert mapped("area").area < mapped().area
    assert mapped().count("clock gate") == 0
    gated = mapped(clock_gate=True)
    assert gated.count("clock gate") > 2
    assert gated.count("flop") == mapped().count("flop")


def test_adders_are_chosen() -> None:
    verilog = emitted_unit(CONFIG, TARGET).verilog
    other = map_unit(verilog, TOP, library(), Recipe(adders="sklansky"))
    assert other.area != mapped().area
    assert other.count("flop") == mapped().count("flop")


def test_the_same_every_time() -> None:
    verilog = emitted_unit(CONFIG, TARGET).verilog
    again = map_unit(verilog, TOP, library(), Recipe())
    assert again.netlist.verilog() == mapped().netlist.verilog()


def test_what_yosys_refuses_is_told() -> None:
    with pytest.raises(ToolError, match=r"^Yosys failed with exit code 1: .*ERROR: "):
        map_unit("module u (input a); missing x (.a(a)); endmodule", "u", library(), Recipe())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"goal": "power"}, "goal must be speed or area, not 'power'"),
        ({"adders": "ripple"}, "adders must be kogge-stone or sklansky, not 'ripple'"),
        ({"mhz": 0}, "mhz must be 1 to 10000, not 0"),
        ({"mhz": float("nan")}, "mhz must be 1 to 10000, not nan"),
    ],
)
def test_recipes_that_are_none(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Recipe(**options)  # type: ignore[arg-type]


def _gates(*instances: tuple[str, str, str, str]) -> Netlist:
    """Cells of one input and one output: module, part, net in, net out."""
    nets = sorted({net for _, _, *pins in instances for net in pins})
    number = {net: k + 2 for k, net in enumerate(nets)}
    return Netlist(
        top="u",
        ports=[Port("y", "output", (number["y"],))],
        instances=[
            Instance(module, part, {"A": (number[a],), "Y": (number[y],)})
            for module, part, a, y in instances
        ],
    )


def test_gates_are_of_what_they_work_for() -> None:
    netlist = _gates(
        ("FLOP", "first", "a", "b"),
        # Feeds the second part, by way of another gate.
        ("GATE", "", "b", "c"),
        ("GATE", "", "c", "d"),
        ("FLOP", "second", "d", "e"),
        # Feeds two parts and a port: of equal numbers the first by name.
        ("GATE", "", "e", "y"),
        ("FLOP", "third", "y", "f"),
        ("FLOP", "second", "y", "g"),
        # Nothing.
        ("GATE", "", "g", "h"),
    )
    outputs = dict.fromkeys(("FLOP", "GATE"), frozenset("Y"))
    parts = [each.part for each in with_owners(netlist, outputs).instances]
    assert parts == ["first", "second", "second", "second", "second", "third", "second", "top"]


def test_verilog_of_a_netlist_is_read_as_it_was() -> None:
    text = mapped().netlist.verilog()
    assert len(re.findall(r"^  \w+ c\d+ \(", text, re.MULTILINE)) == len(mapped().netlist.instances)
    assert "#" not in text
    # OpenSTA takes no assignments of concatenations.
    assert not re.search(r"assign .*\{", text)
