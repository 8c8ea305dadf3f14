"""Synthesis and place-and-route of one Verilog module, with its size, speed and critical path.

``python -m exaq_fpga.flow.synthesis FILE.v --top NAME --device ecp5-85`` prints them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exaq_cosim import ToolError
from exaq_fpga.boards.devices import DEVICES, WITHOUT_DSP, Device
from exaq_fpga.flow import tools
from exaq_fpga.flow.netlists import multipliers
from exaq_fpga.flow.netlists.boundary import bound_by_registers
from exaq_fpga.flow.netlists.carry_ends import luts, trim_ends
from exaq_fpga.flow.netlists.carry_gates import fold_gates
from exaq_fpga.flow.netlists.netlist import Netlist
from exaq_fpga.flow.netlists.output_registers import fold_output_registers

#: Seeds of published figures.
SEEDS = (1, 2, 3, 4, 5)
#: Names that a design's one clock may have.
CLOCKS = ("aclk", "clk")

#: Pins between cells of a carry chain.
_CARRY = ("CIN", "COUT", "FCI", "FCO", "FCI_INT", "FCO_INT")

_SIZES = {
    "ecp5": {"lut4": "TRELLIS_COMB", "ff": "TRELLIS_FF", "bram": "DP16KD", "dsp": "MULT18X18D"},
    "ice40": {"lc": "ICESTORM_LC", "bram": "ICESTORM_RAM", "dsp": "ICESTORM_DSP"},
}


_LUTS = {"ecp5": "LUT4", "ice40": "SB_LUT4"}


class TooLargeError(ToolError):
    """A design's netlist alone has more LUTs, ``lut4``, than it may have."""

    def __init__(self, lut4: int, most: int) -> None:
        super().__init__(f"{lut4} LUT4 before place and route are more than {most}")
        self.lut4 = lut4


@dataclass(frozen=True)
class Segment:
    """One step of a critical path: ``delay`` ns of ``kind`` that end at ``cell`` over ``net``."""

    delay: float
    kind: str
    cell: str
    net: str


@dataclass(frozen=True)
class Route:
    """One place-and-route: ``fmax`` in MHz, the worst path of the clock, the cells used."""

    seed: int
    fmax: float
    path: tuple[Segment, ...]
    used: dict[str, int]


@dataclass(frozen=True)
class Result:
    """Size and speed of one design on one device.

    ``size`` holds ``lut4``, ``ff``, ``bram`` and ``dsp`` of the design alone (on iCE40 also
    ``lc``, the logic cells taken: LUT, carry and flip-flop share one). ``folded`` counts
    flip-flops that went into block RAM, ``gates`` LUTs that went into carry cells, ``boundary`` the
    registers round the design, which no size includes.
    """

    device: Device
    plain: bool
    size: dict[str, int]
    folded: int
    gates: int
    boundary: int
    routes: tuple[Route, ...]
    flags: dict[str, str]

    @property
    def fmax(self) -> dict[str, float]:
        """Median, least and best Fmax over the seeds, in MHz."""
        values = [route.fmax for route in self.routes]
        return {
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
        }


def implement(
    verilog: str,
    top: str,
    device: Device,
    *,
    seeds: Sequence[int] = SEEDS,
    plain: bool = False,
    dsp: bool = True,
    carries: bool = False,
    most_lut4: int | None = None,
    folder: Path | None = None,
    step: Callable[[str], None] = lambda name: None,
) -> Result:
    """Synthesise ``verilog`` and place and route it once for each of ``seeds``.

    The design is bounded by registers (see ``flow.netlists.boundary``). On ECP5, registers behind
    block RAM go into it (see ``flow.netlists.output_registers``) unless ``plain``. Multipliers are
    the device's own or Yosys's, or where ``dsp`` is False those of ``flow.netlists.multipliers``.
    With ``carries``, gates in front of ECP5 carry chains go into these, and their ends take fewer
    cells (see ``flow.netlists.carry_gates`` and ``carry_ends``).
    ``folder`` keeps the build's files; ``step`` is told what starts.

    Raises
    ------
    TooLargeError
        There are more LUTs than ``most_lut4`` before anything is placed.
    ToolError
        A tool is missing or fails; the design does not fit or has no clock named in ``CLOCKS``.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="exaq-") as name:
            return implement(
                verilog,
                top,
                device,
                seeds=seeds,
                plain=plain,
                dsp=dsp,
                carries=carries,
                most_lut4=most_lut4,
                folder=Path(name),
                step=step,
            )
    found = synthesise(
        verilog, top, device, plain=plain, dsp=dsp, carries=carries, folder=folder, step=step
    )
    cells = found.netlist.count()
    least = cells.get(_LUTS[device.family], 0)
    if most_lut4 is not None and least > most_lut4:
        raise TooLargeError(least, most_lut4)
    return place(found, device, seeds=seeds, plain=plain, folder=folder, step=step)


# Lookup tables of a distributed RAM of ECP5, 16 words of 4 bits: those of the words, and two that
# nextpnr counts for their writing.
_LUTS_OF_A_RAM = 6


@dataclass(frozen=True)
class Synthesised:
    """A netlist before place and route; ``folded`` and ``gates`` as of ``Result``."""

    netlist: Netlist
    command: str
    clock: str
    folded: int
    gates: int

    @property
    def ecp5_size(self) -> dict[str, int]:
        """What nextpnr packs it to on ECP5, but for a few LUTs that it takes for constants."""
        cells = self.netlist.count()
        sizes = {name: cells.get(cell, 0) for name, cell in _SIZES["ecp5"].items()}
        ram = _LUTS_OF_A_RAM * cells.get("TRELLIS_DPR16X4", 0)
        return sizes | {"lut4": luts(self.netlist) + ram}


def synthesise(
    verilog: str,
    top: str,
    device: Device,
    *,
    plain: bool = False,
    dsp: bool = True,
    carries: bool = False,
    least_control_set: int = 1,
    folder: Path,
    step: Callable[[str], None] = lambda name: None,
) -> Synthesised:
    """The netlist that ``implement`` places and routes, with the same parameters.

    With ``least_control_set`` above 1, ECP5 flip-flops of which fewer have a clock enable or a
    synchronous reset in common get it by gates. Flip-flops of one slice share both, so hundreds
    of sets of one flip-flop make a large design's placement ten times as slow.

    Raises
    ------
    ToolError
        A tool is missing or fails, or the design has no clock named in ``CLOCKS``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    step("synthesis")
    netlist, command = _synthesise(verilog, top, device, dsp, folder, least_control_set)
    folded = 0
    if device.family == "ecp5" and not plain:
        folded = fold_output_registers(netlist)
    saved = 0
    if device.family == "ecp5" and carries:
        saved = fold_gates(netlist)
        trim_ends(netlist)
    clock = next((name for name in CLOCKS if name in netlist.ports), None)
    if clock is None:
        raise ToolError(f"{top} has no clock port named {' or '.join(CLOCKS)}")
    return Synthesised(netlist, command, clock, folded, saved)


def place(
    found: Synthesised,
    device: Device,
    *,
    seeds: Sequence[int] = SEEDS,
    plain: bool = False,
    placer: str = "heap",
    folder: Path,
    step: Callable[[str], None] = lambda name: None,
) -> Result:
    """Place and route what ``synthesise`` gave, once for each of ``seeds``, as ``implement`` does.

    ``placer`` is one of nextpnr's: ``"static"`` needs fewer wires than its usual one where a design
    takes a large part of a device.

    Raises
    ------
    ToolError
        A tool is missing or fails; the design does not fit.
    """
    netlist, cells = found.netlist, found.netlist.count()
    boundary = bound_by_registers(netlist, device.family, found.clock)
    netlist.write(folder / "bounded.json")
    routes = []
    arguments = [*device.route, "--freq", str(device.target)]
    if placer != "heap":
        arguments += ["--placer", placer]
    for seed in seeds:
        step(f"seed {seed}")
        routes.append(_place_and_route(device, arguments, seed, folder))
    return Result(
        device=device,
        plain=plain,
        size=_size(device, cells, routes[0].used, boundary),
        folded=found.folded,
        gates=found.gates,
        boundary=boundary,
        routes=tuple(routes),
        flags={"yosys": found.command, "nextpnr": " ".join(arguments)},
    )


def _synthesise(
    verilog: str, top: str, device: Device, dsp: bool, folder: Path, least_control_set: int
) -> tuple[Netlist, str]:
    (folder / "design.v").write_text(verilog)
    options = [*device.synth, *(() if dsp else WITHOUT_DSP[device.family])]
    command = " ".join([f"synth_{device.family}", "-top", top, *options])
    script = ["read_verilog design.v", f"{command} -json synth.json"]
    if least_control_set > 1:
        gates = _few_control_sets(least_control_set)
        script[1:] = [
            f"{command} -run begin:map_ffs",
            gates,
            f"{command} -run map_ffs: -json synth.json",
        ]
        command = f"{command}, {gates.partition(' -cell')[0]} before map_ffs"
    if not dsp:
        (folder / multipliers.FILE).write_text(multipliers.MAP)
        script.insert(1, multipliers.passes(top))
    tools.run("yosys", ["-q", "-l", "yosys.log", "-p", "; ".join(script)], folder)
    return Netlist.read(folder / "synth.json", top), command


def _few_control_sets(least: int) -> str:
    """Yosys's passes that leave clock enables and resets to ``least`` flip-flops and more."""
    kinds = {"$_DFF_?_": "01", "$_DFFE_??_": "01", "$_SDFF_???_": "r", "$_SDFFE_????_": "r"}
    cells = " ".join(f"-cell {cell} {values}" for cell, values in kinds.items())
    passes = (
        f"dfflegalize -minsrst {least} -mince {least} {cells}",
        "opt_merge",
        "simplemap",
        "opt_clean",
    )
    return "; ".join(passes)


def _place_and_route(device: Device, arguments: list[str], seed: int, folder: Path) -> Route:
    report = f"seed{seed}.json"
    files = ["--json", "bounded.json", "--report", report, "--log", f"seed{seed}.log"]
    options = [*arguments, "--seed", str(seed), "--timing-allow-fail", "-q"]
    tools.run(f"nextpnr-{device.family}", [*files, *options], folder)
    document = json.loads((folder / report).read_text())
    ((clock, speed),) = document["fmax"].items()
    edge = f"posedge {clock}"
    path = next(
        path for path in document["critical_paths"] if path["from"] == edge and path["to"] == edge
    )
    return Route(
        seed=seed,
        fmax=round(speed["achieved"], 2),
        path=path_segments(path),
        used={name: use["used"] for name, use in document["utilization"].items()},
    )


def path_segments(path: dict[str, Any]) -> tuple[Segment, ...]:
    """The path's steps, each run of steps along a carry chain as one."""
    segments: list[Segment] = []
    for step in path["path"]:
        port = step["to"]["port"]
        chained = port in _CARRY and step["from"]["port"] in _CARRY
        segment = Segment(
            delay=round(step["delay"], 3),
            kind="carry" if chained else step["type"],
            cell=f"{step['to']['cell']}.{port}",
            net="" if chained else step.get("net", ""),
        )
        if chained and segments and segments[-1].kind == "carry":
            segment = replace(segment, delay=round(segments.pop().delay + segment.delay, 3))
        segments.append(segment)
    return tuple(segments)


def _size(
    device: Device, cells: dict[str, int], used: dict[str, int], boundary: int
) -> dict[str, int]:
    size = {name: used.get(cell, 0) for name, cell in _SIZES[device.family].items()}
    if device.family == "ecp5":
        size["ff"] -= boundary
    else:
        size["lc"] -= boundary
        size["lut4"] = cells.get("SB_LUT4", 0)
        size["ff"] = sum(count for cell, count in cells.items() if cell.startswith("SB_DFF"))
    return size


def describe(result: Result) -> str:
    """``result`` as text: size, speed of each seed, the critical path of the median seed."""
    size = "  ".join(f"{name} {count}" for name, count in result.size.items())
    lines = [f"{result.device.title}: {size}"]
    lines.append(
        f"  folded into block RAM {result.folded} FF, into carry cells {result.gates} LUT, "
        f"boundary {result.boundary} FF (not counted)"
    )
    for route in result.routes:
        lines.append(f"  seed {route.seed}: {route.fmax:.1f} MHz")
    fmax = result.fmax
    lines.append(f"  median {fmax['median']:.1f} MHz, min {fmax['min']:.1f}, max {fmax['max']:.1f}")
    route = sorted(result.routes, key=lambda each: each.fmax)[len(result.routes) // 2]
    lines.append(f"  critical path of seed {route.seed}:")
    total = 0.0
    for step in route.path:
        total += step.delay
        over = f"  over {step.net}" if step.net else ""
        lines.append(f"  {total:7.2f} {step.delay:+6.2f} {step.kind:8} {step.cell}{over}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command ``python -m exaq_fpga.flow.synthesis``."""
    parser = argparse.ArgumentParser(prog="python -m exaq_fpga.flow.synthesis", description=__doc__)
    parser.add_argument("file", type=Path, help="Verilog file with the top module and all below")
    parser.add_argument("--top", default="exaq_softmax", help="top module")
    parser.add_argument("--device", choices=DEVICES, default="ecp5-85")
    parser.add_argument("--seeds", default="1", help="seeds of nextpnr, as 1,2,3")
    parser.add_argument("--plain", action="store_true", help="ECP5: leave output registers alone")
    parser.add_argument("--carries", action="store_true", help="ECP5: tight carry chains")
    parser.add_argument("--no-dsp", action="store_true", help="build multipliers of LUTs")
    parser.add_argument("--folder", type=Path, help="keep the build's files here")
    options = parser.parse_args(arguments)
    try:
        result = implement(
            options.file.read_text(),
            options.top,
            DEVICES[options.device],
            seeds=[int(seed) for seed in options.seeds.split(",")],
            plain=options.plain,
            dsp=not options.no_dsp,
            carries=options.carries,
            folder=options.folder,
        )
    except (ToolError, OSError, ValueError) as error:
        print(f"exaq_fpga.flow.synthesis: error: {error}", file=sys.stderr)
        return 2
    print(describe(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
