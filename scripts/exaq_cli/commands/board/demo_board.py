"""``exaq demo-board``: real attention logits through a virtual board, on a good and a bad line."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import exaq
from exaq import SoftmaxConfig
from exaq.data import AttentionSample, load_attention_sample
from exaq.extras import require
from exaq_cli.commands.board.virtual_board import compile_virtual, describe, prepare_virtual
from exaq_cli.commands.unit.demo import sample_clip
from exaq_cli.errors import BreakdownError, UserError
from exaq_cli.output.progress import counted
from exaq_cosim import ToolError
from exaq_fpga import Board, BoardError
from exaq_fpga.boards import BOARDS
from exaq_fpga.link.session import LinkStatistics
from exaq_fpga.virtual.virtual_board import Faults, RunStatistics, VirtualBoard

#: The board that is shown, and what disturbs its line the second time: some fault about every
#: 5000 octets.
BOARD = "icebreaker"
FAULTS = Faults(noise=5e-6, drop=3e-5, double=3e-5, breaks=3e-5, garbage=3e-5)
#: Layer, and how many of its heads are streamed.
LAYER, HEADS = 0, 3

_CONSOLE = Console(stderr=True)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What streaming gave: probabilities that differ from the golden model's, and its figures."""

    mismatches: int
    rows: int
    octets: int
    seconds: float
    link: LinkStatistics
    board: RunStatistics

    @property
    def kilobytes(self) -> float:
        """kB of probabilities a second."""
        return self.octets / self.seconds / 1000


@click.command(name="demo-board")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of the faults on the line.",
)
def command(seed: int) -> int:
    """Stream real attention logits through a virtual board and compare with the golden model.

    The whole design of the iCEBreaker is compiled; its serial port is a pseudo-terminal, and the
    host program that talks to it is the one for real boards. A second run has a line that flips
    bits, loses and doubles octets, breaks down and makes up octets: the host sends again what was
    lost. The exit code is 1 where a probability differs. No board is needed.
    """
    require("sim", "board")
    sample = load_attention_sample()
    config = default_config()
    config = config.replace(logit_scale=sample.scale, clip=sample_clip(sample, config.bits))
    prepared = prepare_virtual(BOARD, config)
    program = compile_virtual(prepared)
    logits = sample.logits[LAYER, :HEADS]
    mask = np.broadcast_to(sample.mask, logits.shape)
    expected = exaq.softmax(logits, config, mask)
    runs = {
        "Good line": _run("Good line", program, Faults(), seed, logits, mask, expected),
        "Bad line": _run("Bad line", program, FAULTS, seed, logits, mask, expected),
    }
    console = Console(highlight=False)
    console.print(f"\n[bold]{sample.model}[/], layer {sample.layers[LAYER]}: {_shape(sample)}")
    for line in describe(prepared):
        console.print(line)
    console.print()
    console.print(_table(runs))
    console.print("\nBy hand: exaq board --virtual icebreaker; exaq stream in another terminal.")
    faulty = any(run.mismatches for run in runs.values())
    if faulty:
        console.print("[bold red]The board differs from the golden model.[/]")
    return int(faulty)


def default_config() -> SoftmaxConfig:
    """What the demo's board is built with where nothing else is asked for."""
    return BOARDS[BOARD].config


def _shape(sample: AttentionSample) -> str:
    texts, tokens = sample.logits.shape[2:4]
    return f"{HEADS} heads, {texts} texts of up to {tokens} tokens, int8 logits"


def _run(
    name: str,
    program: Path,
    faults: Faults,
    seed: int,
    logits: NDArray[Any],
    mask: NDArray[Any],
    expected: NDArray[Any],
) -> Run:
    columns = (MofNCompleteColumn(), TextColumn("rows"), TimeElapsedColumn())
    with counted(name, *columns, console=_CONSOLE) as progress:
        try:
            with VirtualBoard(program, faults=faults, seed=seed) as virtual:
                with Board(virtual.port) as board:
                    begin = time.perf_counter()
                    given = board.softmax(logits, mask=mask, progress=progress)
                    seconds = time.perf_counter() - begin
                statistics = virtual.stop()
        except ToolError as error:
            raise UserError(str(error)) from error
        except BoardError as error:
            raise BreakdownError(str(error)) from error
    return Run(
        mismatches=int(np.count_nonzero(given != expected)),
        rows=given.size // given.shape[-1],
        octets=given.nbytes,
        seconds=seconds,
        link=board.link,
        board=statistics,
    )


def _table(runs: dict[str, Run]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 4, 0, 0))
    table.add_column()
    for name in runs:
        table.add_column(name, header_style="bold", justify="right")

    def add(name: str, *texts: str, style: str | None = None) -> None:
        table.add_row(name, *texts, style=style)

    each = list(runs.values())
    add("Rows", *(f"{run.rows:,}" for run in each))
    add("kB/s of probabilities, here", *(f"{run.kilobytes:.1f}" for run in each))
    add(
        "of what the baud rate allows, on the board",
        *(f"{run.board.line_share(run.octets):.1%}" for run in each),
    )
    add("Faults on the line", *(f"{sum(run.board.faults.values()):,}" for run in each))
    for kind in each[0].board.faults:
        add(f"  {kind}", *(f"{run.board.faults[kind]:,}" for run in each))
    add("Damaged frames that the host dropped", *(f"{run.link.dropped:,}" for run in each))
    add("Damage reported by the board", *(f"{run.link.reports:,}" for run in each))
    add("Requests", *(f"{run.link.requests:,}" for run in each))
    add("  sent again", *(f"{run.link.resent:,}" for run in each))
    add("Mismatches", *(_mismatches(run) for run in each), style="bold")
    return table


def _mismatches(run: Run) -> str:
    return f"[{'red' if run.mismatches else 'green'}]{run.mismatches:,}[/]"
