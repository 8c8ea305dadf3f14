"""What happens to a row inside the unit, cycle by cycle, read from waves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

# Columns that the bars take.
_WIDTH = 30


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What a row is at from cycle ``first`` to cycle ``last``, counted from its first beat in."""

    name: str
    first: int
    last: int
    what: str


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """A phase begins with the first transfer on one port and ends with the last on another."""

    name: str
    begin: str
    end: str
    what: str
    colour: str


_STAGES = (
    _Stage(name="in", begin="receiver_i", end="receiver_i", what="logits arrive", colour="cyan"),
    _Stage(name="max", begin="row_max_i", end="row_max_o", what="maximum is found", colour="blue"),
    _Stage(
        name="quantize",
        begin="quantizer_i",
        end="quantizer_o",
        what="logits become codes",
        colour="magenta",
    ),
    _Stage(
        name="sum",
        begin="accumulator_i",
        end="accumulator_o",
        what="LUT_sum entries add up",
        colour="yellow",
    ),
    _Stage(
        name="divide",
        begin="normalizer_i",
        end="normalizer_o",
        what="exponentials by the sum",
        colour="red",
    ),
    _Stage(
        name="out",
        begin="emitter_o",
        end="emitter_o",
        what="codes pick probabilities",
        colour="green",
    ),
)


def row_phases(waves: Path) -> tuple[Phase, ...]:
    """Phases of the only row in a VCD file that ``exaq_cosim.simulate`` wrote, in order.

    Phases overlap: blocks hand on beats as they finish them.
    """
    ports = {port for stage in _STAGES for port in (stage.begin, stage.end)}
    samples = _sample(waves, {f"{port}_{wire}" for port in ports for wire in ("valid", "ready")})

    def transfers(port: str) -> NDArray[np.intp]:
        valid = samples[f"{port}_valid"]
        return np.flatnonzero(valid & samples.get(f"{port}_ready", np.ones_like(valid)))

    start = int(transfers(_STAGES[0].begin)[0])
    return tuple(
        Phase(
            name=stage.name,
            first=int(transfers(stage.begin)[0]) - start,
            last=int(transfers(stage.end)[-1]) - start,
            what=stage.what,
        )
        for stage in _STAGES
    )


def chart(phases: Sequence[Phase], block: str) -> Table:
    """A bar of ``block`` for each phase, all to one scale, with its cycles."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    cycles = phases[-1].last + 1
    colours = {stage.name: stage.colour for stage in _STAGES}
    for phase in phases:
        begin = phase.first * _WIDTH // cycles
        end = max(begin + 1, round((phase.last + 1) * _WIDTH / cycles))
        bar = Text(" " * begin + block * (end - begin) + " " * (_WIDTH - end))
        bar.stylize(colours[phase.name])
        table.add_row(phase.name, bar, f"{phase.first:>3} - {phase.last:>3}", phase.what)
    return table


def _sample(waves: Path, names: set[str]) -> dict[str, NDArray[np.bool_]]:
    """Values of one-bit signals just before each rising edge of aclk; those that are there."""
    codes: dict[str, str] = {}
    taken: dict[str, list[bool]] = {}
    values: dict[str, str] = {}
    with waves.open(encoding="ascii") as lines:
        for line in lines:
            if line.startswith("$enddefinitions"):
                break
            match line.split():
                case ["$var", _, "1", code, name, "$end"] if name in names | {"aclk"}:
                    codes[name] = code
        taken = {name: [] for name in codes}
        clock = codes["aclk"]
        for changes in _steps(lines):
            if changes.get(clock) == "1" and values.get(clock) == "0":
                for name, code in codes.items():
                    taken[name].append(values.get(code) == "1")
            values |= changes
    return {name: np.array(bits) for name, bits in taken.items()}


def _steps(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """The one-bit changes of each time in a VCD file's body."""
    changes: dict[str, str] = {}
    for line in lines:
        if line.startswith("#"):
            yield changes
            changes = {}
        elif line[0] in "01":
            changes[line[1:].strip()] = line[0]
    yield changes
