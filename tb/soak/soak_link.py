"""Frames through a board's link with faults on the line: the soak of the link.

The board is the whole design that goes to synthesis, compiled, its serial port a pseudo-terminal
with the host's own program at the other end. A chunk is one run of it. Requests hold a few short
rows each, and every kind of fault hits both directions. Whatever was lost on the way, each row must
come back once, with the golden model's bits.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np

from exaq import SoftmaxConfig, softmax
from exaq.release import as_compared
from exaq_fpga import Board
from exaq_fpga.boards import BOARDS
from exaq_fpga.flow.bitstreams.prepared import Prepared, prepare
from exaq_fpga.virtual.design import DIVISOR, board_verilog, compile_design
from exaq_fpga.virtual.virtual_board import Faults, VirtualBoard
from exaq_hdl.emit.design_hash import design_hash

#: The board and its unit.
BOARD = "icebreaker"
CONFIG = SoftmaxConfig(max_row=16, lanes=1)
#: Rows of a chunk.
ROWS = 6000
#: Octets of answers under way: few, for small frames.
WINDOW = 400
#: Seconds of silence after which the host asks again.
TIMEOUT = 0.1
#: Probabilities of faults from which each chunk has one for each kind.
RATES = {
    "noise": (0, 3e-5, 1e-4, 2e-4),
    "drop": (0, 1e-4, 3e-4, 1e-3),
    "double": (0, 1e-4, 3e-4, 1e-3),
    "breaks": (0, 1e-4, 3e-4, 1e-3),
    "garbage": (0, 1e-4, 3e-4, 1e-3),
}


class WrongLinkError(Exception):
    """The link gave wrong rows, or its counters contradict what happened."""


@cache
def prepared() -> Prepared:
    """The board's design."""
    return _prepared()


def _prepared() -> Prepared:
    spec = BOARDS[BOARD]
    link = spec.link.with_baud(spec.clock // DIVISOR)
    return prepare(spec, CONFIG, clock=spec.clock, link=link)


@cache
def link_design() -> str:
    """Hash of the board's Verilog, models of the vendor's cells included, whatever its comments."""
    with as_compared():
        return design_hash("\n".join(board_verilog(_prepared())))


def link_chunk(number: int, rows: int = ROWS) -> Counter[str]:
    """What went over the line in the chunk of that number.

    Raises
    ------
    WrongLinkError
        A row is not the golden model's, or the board counted something else than happened.
    exaq_fpga.LinkError
        The link was given up.
    """
    rng = np.random.default_rng([20, number])
    faults = Faults(**{kind: float(rng.choice(rates)) for kind, rates in RATES.items()})
    low, high = CONFIG.logit_range
    logits = rng.integers(low, high + 1, (rows, CONFIG.max_row))
    live = rng.random(logits.shape) < 0.8
    lengths = rng.integers(1, CONFIG.max_row, rows, endpoint=True)
    answers: list[int] = []
    with VirtualBoard(compile_design(prepared()), faults=faults, seed=number) as virtual:
        with Board(virtual.port, timeout=TIMEOUT, retries=50, window=WINDOW) as board:
            given = board.softmax(
                logits, mask=live, lengths=lengths, progress=lambda done, _: answers.append(done)
            )
            link, counters = board.link, board.status()
        ran = virtual.stop()
    expected = softmax(logits, CONFIG, live & (np.arange(CONFIG.max_row) < lengths[:, None]))
    if (given != expected).any():
        row = int((given != expected).any(axis=1).argmax())
        raise WrongLinkError(f"chunk {number}: row {row} is not the golden model's")
    # A row may have been computed more often than it was taken; never less.
    if counters["rows"] < rows:
        raise WrongLinkError(f"chunk {number}: the board counts {counters['rows']} of {rows} rows")
    if ran.broken:
        raise WrongLinkError(
            f"chunk {number}: the board sent {ran.broken} octets without a stop bit"
        )
    return Counter(
        frames=link.requests + len(answers),
        requests=link.requests,
        answers=len(answers),
        rows=rows,
        rows_computed=counters["rows"],
        resent=link.resent,
        probes=link.probes,
        damaged_to_board=counters["damaged"],
        damaged_to_host=link.dropped,
        reports=link.reports,
        cycles=ran.cycles,
        **{f"fault_{kind}": count for kind, count in ran.faults.items()},
    )
