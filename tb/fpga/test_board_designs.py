"""Every board's design as the tools get it: pins, clock, PLL, identity, commands."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache

import pytest
from board_designs import prepared

from exaq import SoftmaxConfig
from exaq_fpga.boards import BOARDS
from exaq_fpga.flow.bitstreams.prepared import prepare
from exaq_fpga.link.protocol import Identity, buffer_octets
from exaq_hdl import emit_verilog

# Line of a constraint file that puts a port on a pin.
_PINS = {
    "pcf": r"set_io (\S+) (\S+)",
    "lpf": r'LOCATE COMP "(\S+)" SITE "(\S+)";',
    "cst": r'IO_LOC "(\S+)" (\S+);',
}
_SUFFIX = {"ice40": "pcf", "ecp5": "lpf", "gowin": "cst"}
# Pins of the clocks, from the boards' schematics.
_CLOCK_PINS = {
    "icebreaker": "35",
    "ice40-hx8k-evn": "J3",
    "icesugar": "35",
    "ulx3s-12f": "G2",
    "ulx3s-25f": "G2",
    "ulx3s-45f": "G2",
    "ulx3s-85f": "G2",
    "ecpix5-85": "K23",
    "orangecrab-25f": "A9",
    "orangecrab-85f": "A9",
    "colorlight-5a75b": "P6",
    "tang-nano-9k": "52",
}
every_board = pytest.mark.parametrize("name", BOARDS)


@cache
def emitted(config: SoftmaxConfig) -> str:
    """What the regression simulates."""
    return emit_verilog(config, top="core").verilog


def pins(name: str) -> dict[str, str]:
    """Pin of each port."""
    suffix = _SUFFIX[BOARDS[name].family]
    return dict(re.findall(_PINS[suffix], prepared(name).files[f"top.{suffix}"]))


def parameters(text: str, cell: str) -> dict[str, int]:
    """Whole numbers among the parameters of the one ``cell`` in RTLIL."""
    (body,) = re.findall(rf"cell \\{cell} [^\n]*\n(.*?)\n\s*end\n", text, re.DOTALL)
    found = re.findall(r"parameter(?: signed)? \\(\w+) (?:\d+'([01]+)|(\d+))\s*$", body, re.M)
    return {name: int(bits, 2) if bits else int(number) for name, bits, number in found}


def pll_clock(name: str) -> Fraction | int:
    """Frequency that the design's PLL makes, by the devices' manuals."""
    spec, text = BOARDS[name], prepared(name).files["top.il"]
    if spec.family == "ice40":
        cell = "SB_PLL40_PAD" if spec.pll_pad else "SB_PLL40_CORE"
        p = parameters(text, cell)
        return Fraction(spec.reference * (p["DIVF"] + 1), (p["DIVR"] + 1) * 2 ** p["DIVQ"])
    p = parameters(text, "EHXPLLL")
    return Fraction(spec.reference * p["CLKFB_DIV"], p["CLKI_DIV"])


def test_names_are_the_twelve_of_the_list() -> None:
    assert set(BOARDS) == set(_CLOCK_PINS)
    assert all(name == spec.name for name, spec in BOARDS.items())


@every_board
def test_ports_are_on_the_pins_that_the_list_tells(name: str) -> None:
    spec, design, placed = BOARDS[name], prepared(name), pins(name)
    assert set(placed) == set(design.ports.values())
    assert placed[design.ports["clock"]] == _CLOCK_PINS[name]
    assert placed[design.ports["rx"]] == spec.link.rx
    assert placed[design.ports["tx"]] == spec.link.tx
    assert ("led" in design.ports) == (spec.led is not None)
    top = design.files["top.il"].rpartition("module \\top\n")[2].partition("\nend\n")[0]
    wires = re.findall(r"wire width 1 (input|output|inout) \d+ +\\(\S+)", top)
    directions = {port: direction for direction, port in wires}
    assert set(directions) == set(placed)
    assert directions[design.ports["rx"]] != "output"
    assert directions[design.ports["tx"]] != "input"


@every_board
def test_clock_is_what_the_pll_makes(name: str) -> None:
    spec, design = BOARDS[name], prepared(name)
    assert design.clock == spec.clock
    assert design.identity.clock == design.clock
    if spec.clock == spec.reference:
        assert "PLL" not in design.files["top.il"]
    else:
        assert pll_clock(name) == design.clock
    frequency = design.commands[1][design.commands[1].index("--freq") + 1]
    assert float(frequency) * 1_000_000 == design.clock


@every_board
def test_clock_pin_is_constrained_to_its_frequency(name: str) -> None:
    spec, design = BOARDS[name], prepared(name)
    port = re.escape(design.ports["clock"])
    if spec.family == "ice40":
        (found,) = re.findall(rf"set_frequency {port} (\S+)", design.files["top.pcf"])
        assert float(found) * 1_000_000 == spec.reference
    elif spec.family == "ecp5":
        (found,) = re.findall(rf'FREQUENCY PORT "{port}" (\S+) HZ;', design.files["top.lpf"])
        assert float(found) == spec.reference
    else:
        # nextpnr has --freq alone there; no PLL, so that it is the pin's.
        assert spec.reference == design.clock


@every_board
def test_serial_port_keeps_its_rate(name: str) -> None:
    spec, design = BOARDS[name], prepared(name)
    assert design.link == spec.link
    divisor = design.link.divisor(design.clock)
    assert divisor >= 4
    assert design.clock / divisor == pytest.approx(spec.link.baud, rel=0.005)
    assert design.link.octet_cycles(design.clock) == 10 * divisor


@every_board
def test_unit_is_the_text_that_the_regression_proves(name: str) -> None:
    design = prepared(name)
    assert design.files["exaq_softmax.v"] == emitted(BOARDS[name].config)
    assert "read_verilog  exaq_softmax.v" in design.files["top.ys"]
    assert "cell \\exaq_softmax " in design.files["top.il"]


@every_board
def test_identity_is_of_the_design(name: str) -> None:
    design = prepared(name)
    config = BOARDS[name].config
    assert design.identity == Identity(
        board=name,
        config=config,
        clock=design.clock,
        baud=design.link.baud,
        buffer=buffer_octets(config),
    )


@every_board
def test_commands_read_what_is_there(name: str) -> None:
    spec, design = BOARDS[name], prepared(name)
    names = [command[0] for command in design.commands]
    packer = {"ice40": "icepack", "ecp5": "ecppack", "gowin": "gowin_pack"}[spec.family]
    tail = ["dfu-suffix"] if name.startswith("orangecrab") else []
    assert names == ["yosys", f"nextpnr-{spec.family}", packer, *tail]
    route = design.commands[1]
    assert design.netlist in route
    assert route[route.index("--seed") + 1] == "1"
    assert any(design.bitstream in word for word in design.commands[2])
    assert f"top.{_SUFFIX[spec.family]}" in " ".join(route).replace("=", " ").split()


def test_gowin_is_called_as_himbaechel_wants_it() -> None:
    route = " ".join(prepared("tang-nano-9k").commands[1])
    assert " --vopt family=GW1N-9C " in route
    assert " --vopt cst=top.cst " in route
    assert "--family" not in route
    assert "--cst" not in route


@pytest.mark.parametrize("name", ["icebreaker", "ecpix5-85", "tang-nano-9k"])
def test_same_design_is_the_same_text(name: str) -> None:
    again = prepare(BOARDS[name])
    assert again.files == prepared(name).files
    assert again.fingerprint == prepared(name).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"clock": 30_000_000},
        {"link": BOARDS["icebreaker"].link.with_baud(500_000)},
        {"seed": 2},
        {"config": SoftmaxConfig(max_row=256)},
    ],
    ids=["clock", "link", "seed", "config"],
)
def test_another_design_is_another_fingerprint(change: dict[str, object]) -> None:
    other = prepare(BOARDS["icebreaker"], **change)  # type: ignore[arg-type]
    assert other.fingerprint != prepared("icebreaker").fingerprint


def test_clock_and_baud_can_be_chosen() -> None:
    spec = BOARDS["ice40-hx8k-evn"]
    design = prepare(spec, clock=12_000_000, link=spec.link.with_baud(115_200))
    assert (design.clock, design.link.figures(design.clock)) == (
        12_000_000,
        {"baud": 115_200, "divisor": 104},
    )
    assert "PLL" not in design.files["top.il"]
    assert (design.identity.clock, design.identity.baud) == (12_000_000, 115_200)


@pytest.mark.parametrize(
    ("clock", "baud", "message"),
    [
        (
            12_000_000,
            4_000_000,
            "4000000 baud is too fast for a clock of 12 MHz: a bit takes at least 4 cycles; "
            "the fastest is 3000000 baud",
        ),
        (
            12_000_000,
            2_700_000,
            "a clock of 12 MHz makes no 2700000 baud within 2%; nearest: 2400000, 3000000 baud",
        ),
        (
            24_000_000,
            0,
            "the baud rate must be at least 1, not 0",
        ),
    ],
)
def test_baud_rates_that_no_divider_makes_are_refused(clock: int, baud: int, message: str) -> None:
    spec = BOARDS["icebreaker"]
    with pytest.raises(ValueError, match=r"baud") as raised:
        prepare(spec, clock=clock, link=spec.link.with_baud(baud))
    assert str(raised.value) == message


@pytest.mark.parametrize("cycles", [4, 5, 24, 104, 208])
def test_baud_rates_are_taken_up_to_the_tolerance(cycles: int) -> None:
    exact = 12_000_000 / cycles
    for part in (-0.019, 0.0, 0.019):
        baud = round(exact * (1 + part))
        divisor = BOARDS["icebreaker"].link.with_baud(baud).divisor(12_000_000)
        assert abs(12_000_000 / divisor / baud - 1) <= 0.02
