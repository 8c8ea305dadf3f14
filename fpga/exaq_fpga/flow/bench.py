"""What a configuration costs and how fast it is: size and clock from place-and-route, cycles from
the compiled Verilog. Reports are plain dictionaries, to be kept as JSON; the table of
docs/performance.md is drawn from them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq import SoftmaxConfig, round_logits
from exaq_cosim import simulate
from exaq_fpga.boards.devices import DEVICES, Device
from exaq_fpga.flow import tools
from exaq_fpga.flow.synthesis import SEEDS, Result, Route, implement
from exaq_hdl import emit_verilog
from exaq_hdl.emit.compared_hash import compared_hash

#: Row, in elements, that cycle counts are for.
ROW = 128
#: Rows of a stream that cycle counts are taken from.
ROWS = 200
TOP = "exaq_softmax"


@dataclass(frozen=True)
class Case:
    """A published figure: a preset on a device. The rest as in ``synthesis.implement``."""

    preset: str
    device: str
    plain: bool = False
    dsp: bool = True

    @property
    def name(self) -> str:
        """Name of the report's file, without suffix."""
        parts = [self.preset, self.device]
        parts += ["plain"] if self.plain else []
        parts += [] if self.dsp else ["no-dsp"]
        return ".".join(parts)

    @property
    def title(self) -> str:
        """What its line of the table is called."""
        return self.preset if self.dsp else f"{self.preset}, `--no-dsp`"


# Kernels beside EXAQ, with what follows the lanes in the names of their presets.
_KERNELS = (
    ("baps", ""),
    ("baps", "-float"),
    ("multiply", ""),
    ("softermax", ""),
    ("shift", ""),
    ("lut", ""),
)
_MULTIPLYING = ("multiply", "softermax", "lut")
#: The published configurations, in the order of their table.
CASES = (
    Case("2bit-x4", "ecp5-85"),
    Case("2bit-x4", "ecp5-85", plain=True),
    Case("2bit-x4", "ice40-hx8k"),
    Case("2bit-x4", "ice40-up5k"),
    Case("2bit-x4-c12", "ecp5-85"),
    Case("2bit-x16", "ecp5-85"),
    Case("2bit-x16", "ecp5-85", plain=True),
    Case("2bit-x32", "ecp5-85"),
    Case("2bit-x4-sums", "ecp5-85"),
    Case("2bit-x16-sums", "ecp5-85"),
    Case("2bit-x16-codes", "ecp5-85"),
    Case("3bit-x4", "ecp5-85"),
    Case("3bit-x4", "ice40-hx8k"),
    Case("3bit-x16", "ecp5-85"),
    Case("4bit-x4", "ecp5-85"),
    Case("4bit-x4", "ice40-hx8k"),
    Case("4bit-x16", "ecp5-85"),
    Case("4bit-x4-int16", "ecp5-85"),
    Case("4bit-x4-bf16", "ecp5-85"),
    Case("4bit-x4-fp16", "ecp5-85"),
    Case("5bit-x4", "ecp5-85"),
    Case("5bit-x4", "ice40-hx8k"),
    Case("5bit-x16", "ecp5-85"),
    Case("index-5bit-x4", "ecp5-85"),
    Case("index-5bit-x4", "ice40-hx8k"),
    Case("6bit-x4", "ecp5-85"),
    Case("6bit-x4", "ice40-hx8k"),
    Case("6bit-x16", "ecp5-85"),
    *(
        Case(f"{kernel}-x{lanes}{kind}", "ecp5-85")
        for lanes in (4, 16)
        for kernel, kind in _KERNELS
    ),
    # Multipliers of adders: none of the device's own are taken.
    Case("multiply-x4", "ecp5-85", dsp=False),
    *(
        Case(f"{kernel}-x4{kind}", "ice40-hx8k", dsp=kernel not in _MULTIPLYING)
        for kernel, kind in _KERNELS
    ),
    # Of the others with 16 lanes none fits: they lack block RAM or, multiply, logic cells.
    Case("baps-x16", "ice40-hx8k"),
    Case("shift-x16", "ice40-hx8k"),
)


def measure(
    config: SoftmaxConfig,
    device: Device,
    *,
    plain: bool = False,
    dsp: bool = True,
    seeds: Sequence[int] = SEEDS,
    step: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """Size, clock and cycles of the unit's AXI top, with all that is needed to repeat them.

    ``plain`` and ``dsp`` are as in ``synthesis.implement``. ``step`` is told what starts: emission,
    cycles, synthesis, and each of ``seeds``.

    Raises
    ------
    exaq_cosim.ToolError
        A tool is missing or fails, or the unit does not fit the device.
    exaq_cosim.SimulationError
        The unit breaks a rule of its interface.
    """
    step("emission")
    verilog = emit_verilog(config, top="axi", name=TOP).verilog
    step("cycles")
    full = min(config.full_rate_beats * config.lanes, config.max_row)
    rows = sorted({min(ROW, config.max_row), full})
    cycles = {str(row): count_cycles(config, row) for row in rows}
    result = implement(verilog, TOP, device, seeds=seeds, plain=plain, dsp=dsp, step=step)
    return {
        "config": config.to_dict(),
        "device": device.name,
        "output_registers_in_block_ram": device.family == "ecp5" and not plain,
        "design_sha256": compared_hash(config),
        "versions": _versions(device),
        "flags": result.flags,
        "size": result.size,
        "registers_in_block_ram": result.folded,
        "boundary_registers_not_counted": result.boundary,
        "mhz": result.fmax | {"seeds": {str(each.seed): each.fmax for each in result.routes}},
        "critical_path": _critical_path(result),
        "cycles": cycles,
    }


def still_true(report: dict[str, Any], case: Case, seeds: Sequence[int]) -> bool:
    """Whether ``report`` is of the Verilog, the seeds and the tools that there are now."""
    config = SoftmaxConfig.preset(case.preset)
    return bool(
        report["design_sha256"] == compared_hash(config)
        and report["versions"] == _versions(DEVICES[case.device])
        and list(report["mhz"]["seeds"]) == [str(seed) for seed in seeds]
    )


def _versions(device: Device) -> dict[str, str]:
    return {
        "yosys": tools.version("yosys"),
        "nextpnr": tools.version(f"nextpnr-{device.family}"),
        "amaranth": f"amaranth {importlib.metadata.version('amaranth')}",
    }


def count_cycles(config: SoftmaxConfig, row: int) -> dict[str, float]:
    """Cycles of rows of ``row`` elements, counted on the compiled Verilog.

    ``elements_per_cycle`` is that of a stream of ``ROWS`` rows back to back from the end of its
    first row to the end of its last; ``first_in_to_last_out`` that of a row alone, both its first
    beat in and its last beat out counted.
    """
    random = np.random.default_rng(ROW)
    logits: NDArray[Any]
    if config.float_format is None:
        low, high = config.logit_range
        logits = random.integers(low, high, (ROWS, row), endpoint=True)
    else:
        logits = round_logits(random.normal(0, 3, (ROWS, row)), config)
    stream = simulate(logits, config)
    alone = simulate(logits[:1], config)
    span = int(stream.last_out[-1] - stream.last_out[0])
    return {
        "elements_per_cycle": (ROWS - 1) * row / span,
        "cycles_per_row": span / (ROWS - 1),
        "first_in_to_last_out": alone.row_cycles.max,
        "beats_to_first_out": alone.latency.max,
    }


def _critical_path(result: Result) -> dict[str, Any]:
    route = median_route(result)
    path = [f"{s.delay:.2f} ns {s.kind} to {s.cell}" for s in route.path]
    return {"seed": route.seed, "steps": path}


def median_route(result: Result) -> Route:
    """The route with the median Fmax (of an even number, the faster one in the middle)."""
    return sorted(result.routes, key=lambda route: route.fmax)[len(result.routes) // 2]


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """The figures that tables show: cycles at rows of ``row`` elements, rates at the median Fmax.

    ``row`` is ``ROW``, or the longest legal row where that is shorter. The two rates a second are
    those of rows of ``full_rate_row`` elements: long enough for the full rate, or the longest legal
    ones where these are not.
    """
    cycles = report["cycles"]
    row = str(ROW) if str(ROW) in cycles else min(cycles, key=int)
    longest = max(cycles, key=int)
    full = cycles[longest]["elements_per_cycle"]
    rate = report["mhz"]["median"] * 1e6 * full
    return {
        "row": int(row),
        "elements_per_cycle": cycles[row]["elements_per_cycle"],
        "first_in_to_last_out": cycles[row]["first_in_to_last_out"],
        "full_rate_row": int(longest),
        "full_rate": full,
        "elements_per_second": rate,
        "elements_per_second_per_lut4": rate / report["size"]["lut4"],
    }


def table(reports: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """A Markdown table of (configuration's name, report) pairs, and what its columns mean."""
    lines = [
        "| configuration | device | LUT4 | flip-flops | block RAM | multipliers "
        f"| MHz: median (seeds) | elements a cycle, rows of {ROW} "
        f"| row of {ROW}, first in to last out | M elements/s | k elements/s per LUT4 |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    seeds: set[int] = set()
    versions: set[str] = set()
    for name, report in reports:
        device = DEVICES[report["device"]]
        size, mhz, figures = report["size"], report["mhz"], summary(report)
        plain = device.family == "ecp5" and not report["output_registers_in_block_ram"]
        cells = [
            name,
            device.title + (", plain `synth_ecp5`" if plain else ""),
            f"{size['lut4']}" + (f" ({size['lc']} cells)" if "lc" in size else ""),
            f"{size['ff']}",
            f"{size['bram']}",
            f"{size['dsp']}",
            f"**{mhz['median']:.0f}** ({mhz['min']:.0f} to {mhz['max']:.0f})",
            _rate(report, figures),
            f"{figures['first_in_to_last_out']} cycles",
            f"{figures['elements_per_second'] / 1e6:.0f}",
            f"{figures['elements_per_second_per_lut4'] / 1e3:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
        seeds.add(len(mhz["seeds"]))
        versions |= {report["versions"]["yosys"], report["versions"]["nextpnr"]}
    lines += ["", _legend(max(seeds), sorted(versions))]
    return "\n".join(lines)


def _rate(report: dict[str, Any], figures: dict[str, Any]) -> str:
    rate, full = f"{figures['elements_per_cycle']:.3g}", f"{figures['full_rate']:.3g}"
    if full == rate:
        return rate
    if report["config"]["full_rate_row"] > report["config"]["max_row"]:
        return f"{rate} ({full} at rows of {figures['full_rate_row']}, the longest)"
    return f"{rate} ({full} from rows of {figures['full_rate_row']} on)"


def _legend(seeds: int, versions: list[str]) -> str:
    return (
        f"Measured by `exaq bench` with {', '.join(versions)}: the AXI4-Stream top, placed and "
        "routed out of context between registers that are not counted, Fmax the median over "
        f"{seeds} fixed seeds. LUT4 is TRELLIS_COMB on ECP5 (carry chains and distributed RAM "
        "included) and SB_LUT4 on iCE40 (logic cells taken in brackets). Multipliers are those of "
        "ECP5; with `--no-dsp` they are made of adders. On ECP5 the registers behind block RAM are "
        "mapped to the block RAM's own, but for rows marked plain. Elements "
        "a second are for rows that reach the full rate, or for the longest ones where these do "
        "not, at the median Fmax; cycles are counted on the compiled Verilog."
    )
