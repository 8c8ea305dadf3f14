"""Cycles of the phases of a row in simulated units, and what the blocks of each phase take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig

#: The phases of a softmax, in their order.
PHASES = ("maximum", "exponent", "accumulation", "normalisation")
#: Longest row of the units.
MAX_ROW = 1024
#: Bits of a code, and codes to a lookup, of EXAQ.
BITS, GROUP = 2, 4
#: The device whose LUT4 are counted.
DEVICE = "ecp5-85"

# Streams between which each phase lies: the block and its stream of inputs, and that of results.
_ENDS = {
    "exact": {
        "maximum": (("row_max", "i"), ("row_max", "o")),
        "exponent": (("weigher", "i"), ("weigher", "weights")),
        "accumulation": (("weight_sum", "i"), ("weight_sum", "o")),
        "normalisation": (("finisher", "i"), ("emitter", "o")),
    },
    "exaq": {
        "maximum": (("row_max", "i"), ("row_max", "o")),
        "exponent": (("quantizer", "i"), ("quantizer", "o")),
        "accumulation": (("accumulator", "i"), ("accumulator", "o")),
        "normalisation": (("normalizer", "i"), ("emitter", "o")),
    },
}
# Blocks of each phase, by the beginning of their names.
_BLOCKS = {
    "maximum": ("row_max",),
    "exponent": ("quantizer", "weigher"),
    "accumulation": ("accumulator", "sum_rom", "weight_sum"),
    "normalisation": ("normalizer", "finisher", "emitter"),
}
# Of the emitted module.
_NAME = "exaq_softmax"
# Cycles without an end after which a simulation is given up, beyond four of each beat.
_PATIENCE = 1000


@dataclass(frozen=True)
class Unit:
    """A unit to measure: of the ``softmax`` "exact" or "exaq", with so many lanes."""

    softmax: str
    lanes: int

    @property
    def config(self) -> SoftmaxConfig:
        """Its configuration, default but for kernel, lanes and longest row."""
        if self.softmax == "exact":
            return SoftmaxConfig(
                kernel="multiply", exponential="split", lanes=self.lanes, max_row=MAX_ROW
            )
        return SoftmaxConfig(bits=BITS, group=GROUP, lanes=self.lanes, max_row=MAX_ROW)

    @property
    def additions(self) -> int:
        """Additions that take a beat into the row's sum: an exponential each, or a looked-up sum
        of ``GROUP`` of them.
        """
        return self.lanes if self.softmax == "exact" else self.lanes // GROUP


@dataclass(frozen=True)
class Alone:
    """What one row did in a unit without others.

    Members
    -------
    spans
        Of each phase, and of the ``whole``: the cycle of its first input and that of its last
        result, from the first beat on, which comes in cycle 0.
    probabilities
        Those that the unit gave.
    """

    spans: dict[str, tuple[int, int]]
    probabilities: NDArray[np.int64]


def simulate_rows(unit: Unit, rows: Sequence[NDArray[np.int64]]) -> list[Alone]:
    """Run each row of logits, a whole number of beats, alone through the unit.

    Beats come one a cycle, and all results are taken at once. The unit is that which
    ``exaq_hdl.Softmax`` makes, in Amaranth's simulator; watched are the streams of its blocks.

    Raises
    ------
    ImportError
        Amaranth is not installed.
    RuntimeError
        A row does not come out.
    """
    # Only here: other studies need no Amaranth.
    from amaranth.hdl import Cat
    from amaranth.sim import Simulator

    from exaq_hdl import Softmax

    config = unit.config
    design: Any = Softmax(config)
    blocks = {**design.arrival.blocks, **design.kernel.blocks}
    places = {
        phase: tuple(getattr(blocks[block], stream) for block, stream in ends)
        for phase, ends in _ENDS[unit.softmax].items()
    }
    places["whole"] = (design.i, design.o)
    moves = [stream.valid & stream.ready for ends in places.values() for stream in ends]
    found: list[Alone] = []

    async def drive(ctx: Any) -> None:
        ctx.set(design.o.ready, 1)
        # Until the unit takes beats.
        await ctx.tick().until(design.i.ready)
        for row in rows:
            found.append(await _alone(ctx, row))

    async def _alone(ctx: Any, row: NDArray[np.int64]) -> Alone:
        beats = row.reshape(-1, config.lanes).tolist()
        times: list[list[int]] = [[] for _ in moves]
        given: list[int] = []
        sent, cycle = 0, 0
        while len(given) < row.size:
            ctx.set(design.i.valid, sent < len(beats))
            if sent < len(beats):
                full = (1 << config.lanes) - 1
                beat = {"logits": beats[sent], "tail": full, "last": sent == len(beats) - 1}
                ctx.set(design.i.payload, beat | ({"live": full} if config.masking else {}))
            _, _, moved, out = await ctx.tick().sample(Cat(*moves), design.o.payload)
            for place, past in enumerate(times):
                if moved >> place & 1:
                    past.append(cycle)
            taken, left = (bool(times[-2 + end]) and times[-2 + end][-1] == cycle for end in (0, 1))
            sent += taken
            if left:
                given += [int(out.probabilities[lane]) for lane in range(config.lanes)]
            cycle += 1
            if cycle > _PATIENCE + 4 * len(beats):
                raise RuntimeError(f"a row of {row.size} elements did not come out of {unit}")
        starts, ends = times[::2], times[1::2]
        first = starts[-1][0]
        spans = {
            phase: (start[0] - first, end[-1] - first)
            for phase, start, end in zip(places, starts, ends, strict=True)
        }
        return Alone(spans, np.array(given))

    simulator: Any = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return found


def measure_unit(unit: Unit, lengths: Sequence[int], seed: int) -> list[dict[str, Any]]:
    """Cycles of the phases of a row alone, for each of ``lengths``.

    Returns
    -------
    list[dict[str, Any]]
        ``softmax``, ``lanes``, ``additions``, ``row``; ``first`` and ``last``, cycles from the
        row's first beat to a phase's first input and to its last result; ``cycles``, from the one
        to the other, both counted. Each of the three by phase, with the ``whole``.

    Raises
    ------
    RuntimeError
        The unit gives other probabilities than the golden model, or none.
    """
    random, config = np.random.default_rng(seed), unit.config
    low, high = config.logit_range
    rows = [random.integers(low, high, row, endpoint=True) for row in lengths]
    cases = []
    for row, alone in zip(rows, simulate_rows(unit, rows), strict=True):
        if not np.array_equal(alone.probabilities, exaq.softmax(row[None], config)[0]):
            raise RuntimeError(f"{unit} gives other probabilities than the golden model")
        cases.append(
            {
                "softmax": unit.softmax,
                "lanes": unit.lanes,
                "additions": unit.additions,
                "row": row.size,
                "first": {phase: first for phase, (first, _) in alone.spans.items()},
                "last": {phase: last for phase, (_, last) in alone.spans.items()},
                "cycles": {phase: last - first + 1 for phase, (first, last) in alone.spans.items()},
            }
        )
    return cases


def measure_blocks(unit: Unit) -> dict[str, Any]:
    """What the blocks of each phase take, and the ``rest``: the shell and the queues.

    Raises
    ------
    ImportError
        Amaranth is not installed.
    exaq_cosim.ToolError
        Yosys is missing or fails.
    """
    from exaq_fpga.boards.devices import DEVICES
    from exaq_fpga.flow import tools
    from exaq_fpga.flow.block_sizes import block_sizes
    from exaq_hdl import emit_verilog
    from exaq_hdl.emit.design_hash import design_hash
    from exaq_hdl.emit.names import inner_name

    verilog = emit_verilog(unit.config, top="core", name=_NAME).verilog
    blocks = block_sizes(verilog, inner_name(_NAME, "core"), DEVICES[DEVICE])
    sizes: dict[str, dict[str, int]] = {}
    for name, size in blocks.items():
        phase = next((phase for phase in PHASES if name.startswith(_BLOCKS[phase])), "rest")
        before = sizes.get(phase, dict.fromkeys(size, 0))
        sizes[phase] = {key: before[key] + size[key] for key in size}
    return {
        "softmax": unit.softmax,
        "lanes": unit.lanes,
        "additions": unit.additions,
        "device": DEVICE,
        "title": DEVICES[DEVICE].title,
        "yosys": tools.version("yosys"),
        "design_sha256": design_hash(verilog),
        "sizes": {phase: sizes[phase] for phase in (*PHASES, "rest")},
    }
