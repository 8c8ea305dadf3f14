"""That what works on a row, or on its beats, gets on: ``working_rules``.

A unit has up to three blocks between its queues that may keep what comes to them waiting: one that
makes thresholds of a row's maximum, one that divides or looks up what a row's sum stands for, and
the emitter. The first two give *words* of a row, one or more; the emitter gives beats. What is
proved here of each block alone, ``formal_progress`` takes for granted of the unit around it: both
say it by ``keeps_giving`` and ``keeps_emitting``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Const, Module, Mux, ResetSignal, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_text import Dut, Opened, instances, opened
from formal_unit import TOP, _made

from exaq import SoftmaxConfig
from exaq_hdl.kernels.division.normalizer import Normalizer
from exaq_hdl.kernels.exaq.tables.banks.row_thresholds import RowThresholds
from exaq_hdl.kernels.exaq.tables.float_thresholds import FloatThresholds
from exaq_hdl.parts.component import Component

#: Names of the blocks: of those that give words of a row's maximum and of its sum, and the emitter.
THRESHOLDS, FINISHERS, EMITTER = (
    "row_thresholds",
    ("normalizer", "finisher", "reciprocal"),
    "emitter",
)
#: Rows whose words an emitter can have.
_TABLES = 2
_MEMORY = re.compile(r"(^|\.)(ram|p_table\d+)$")
Say = Callable[[Any], None]


def working(config: SoftmaxConfig) -> dict[str, Component]:
    """The blocks of a unit that may keep others waiting, by name."""
    blocks = _made(config).kernel.blocks
    return {name: blocks[name] for name in (THRESHOLDS, *FINISHERS, EMITTER) if name in blocks}


def words_of(emitter: Any) -> tuple[str, Any]:
    """Name and stream of the words that come to an emitter."""
    return ("table", emitter.table) if hasattr(emitter, "table") else ("row", emitter.row)


def patience(block: Any) -> int:
    """Cycles that a block may need until it gets on: the fewest with which the claim is true."""
    if hasattr(block, "table") or hasattr(block, "row"):
        # From a beat that is taken until it is shown. Three cycles of the latency are a table's.
        return max(1, block.latency - 3)
    if isinstance(block, Normalizer):
        # The steps of a division, and two cycles in which it is fetched and enters.
        return int(block.division.quotient_bits) + 2 + prelude_of(block)
    if isinstance(block, RowThresholds):
        # From a row that is offered until it is taken.
        return block.latency - 2
    if isinstance(block, FloatThresholds):
        return max(block.period, block.latency - block.period) - 1
    return int(max(1, block.latency - _levels(block.o.payload.shape())))


def prelude_of(block: Normalizer) -> int:
    """Cycles until a row's first exponential is there."""
    return int(block._readers[0].prelude)


def open_working(verilog: str, name: str, folder: Path, *, show: tuple[str, ...] = ()) -> Opened:
    """The block of the unit without its memories."""
    module = f"{TOP}__{name}"
    cut = [place for place, _ in instances(verilog, module) if _MEMORY.search(place)]
    return opened(verilog, module, folder, cut=cut, show=show)


@dataclass
class Ends:
    """The ports of a stream of a block. That it keeps its payload while it offers it is for others
    to show: here memories are cut out.
    """

    valid: Signal
    ready: Signal
    payload: Signal

    @property
    def taken(self) -> Any:
        """Whether an item moves."""
        return self.valid & self.ready


def ends_of(dut: Dut, name: str, stream: str, *, at: str = "") -> Ends:
    """Those of a block, which is cut out ``at`` a place; else it is the opened module itself."""

    def port(end: str) -> Signal:
        names = (f"{at}{name}_{stream}_{end}", f"{at}{stream}__{end}")
        return next(dut.signals[each] for each in names if each in dut.signals)

    return Ends(port("valid"), port("ready"), port("payload"))


@dataclass
class Working:
    """What is known of a block that works.

    Members
    -------
    rows
        Rows of which it has words, or is to make them.
    waits
        It has something to do, takes nothing, and shows nothing.
    waited
        Cycles on end in which that was so.
    shows
        It offers something.
    moves
        A word goes out of it, or into the emitter.
    number
        That of the next word in its row.
    """

    rows: Signal
    waits: Any
    waited: Signal
    shows: Any
    moves: Any
    number: Any = 0


def _levels(shape: Any) -> int:
    """Words a row, of a shape of words."""
    members = getattr(shape, "members", {})
    return 1 << members["level"] if "level" in members else 1


def _numbered(claim: Claim, words: Ends, shape: Any, name: str) -> tuple[Any, Any, Any]:
    """Whether the word that is shown has its number within its row, whether it is its row's last
    one, and that number.
    """
    levels = _levels(shape)
    if levels == 1:
        return Const(1, 1), Const(1, 1), Const(0, 1)
    number = Signal(range(levels), name=f"{name}_number")
    with claim.module.If(words.taken):
        claim.module.d.sync += number.eq(number + 1)
    shown: Any = data.View(shape, words.payload)
    return shown.level == number, shown.level.all(), number


def _in_time(claim: Claim, waits: Any, say: Say, cycles: int, name: str) -> Signal:
    waited = Signal(range(cycles + 2), name=f"{name}_waited")
    claim.module.d.sync += waited.eq(Mux(waits, waited + 1, 0))
    say(ResetSignal() | ~waits | (waited < cycles))
    return waited


def keeps_giving(
    claim: Claim, name: str, block: Any, i: Ends, o: Ends, say: Say, *, cycles: int
) -> Working:
    """Says of a block that makes words of rows that it gives each row's words in order and nothing
    else, and that while it has a row, or one is offered, at most ``cycles`` pass until it shows a
    word or takes a row.
    """
    in_order, last, number = _numbered(claim, o, block.o.payload.shape(), name)
    most = rows_in(block)
    rows = Signal(range(most + 2), name=f"{name}_rows")
    claim.module.d.sync += rows.eq(rows + i.taken - (o.taken & last))
    waits = ((rows != 0) | i.valid) & ~o.valid & ~i.taken
    for condition in (
        rows <= most,
        ~o.valid | ((rows != 0) & in_order),
        claim.held(o.valid, o.ready, Const(0, 1), f"{name}_o"),
    ):
        say(ResetSignal() | condition)
    waited = _in_time(claim, waits, say, cycles, name)
    return Working(rows, waits, waited, o.valid, o.taken, number)


def rows_in(block: Any) -> int:
    """Rows of which a block can have words, or is to make them."""
    if isinstance(block, Normalizer):
        return block.rows + 1
    return int(-(-block.latency // block.period) + 1)


def keeps_emitting(
    claim: Claim, block: Any, i: Ends, words: Ends, o: Ends, say: Say, *, cycles: int
) -> Working:
    """Says of the emitter that it takes words at once where it has no row's, takes beats of rows
    whose words it has and no others, and that while it has beats, or one is offered of a row whose
    words it has, at most ``cycles`` pass until it shows a beat or takes one.
    """
    _, last, _ = _numbered(claim, words, words_of(block)[1].payload.shape(), "taken")
    most, beat = beats_in(block), data.View(block.i.payload.shape(), i.payload)
    rows = Signal(range(_TABLES + 2), name="emitter_rows")
    beats = Signal(range(most + 2), name="emitter_beats")
    claim.module.d.sync += [
        rows.eq(rows + (words.taken & last) - (i.taken & beat.last)),
        beats.eq(beats + i.taken - o.taken),
    ]
    waits = ((beats != 0) | (i.valid & (rows != 0))) & ~o.valid & ~i.taken
    for condition in (
        rows <= _TABLES,
        beats <= most,
        ~i.taken | (rows != 0),
        ~o.valid | (beats != 0),
        (rows != 0) | words.ready,
        claim.held(o.valid, o.ready, Const(0, 1), "emitted"),
    ):
        say(ResetSignal() | condition)
    waited = _in_time(claim, waits, say, cycles, EMITTER)
    return Working(rows, waits, waited, o.valid, words.taken)


def beats_in(emitter: Any) -> int:
    """Beats that an emitter can have."""
    return int(max(1, emitter.latency - 2))


def working_rules(
    name: str, block: Any, design: Opened, *, cycles: int
) -> tuple[Claim, Dut, Working]:
    """The claim of the block alone, for what comes to it in order and waits until it is taken; with
    fewer ``cycles`` than its ``patience`` it is not true.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    i, o = ends_of(dut, name, "i"), ends_of(dut, name, "o")
    claim.given(claim.held(i.valid, i.ready, i.payload, "offered"))
    if name == EMITTER:
        stream, words_port = words_of(block)
        words = ends_of(dut, name, stream)
        claim.given(claim.held(words.valid, words.ready, words.payload, "word"))
        in_order, _, _ = _numbered(claim, words, words_port.payload.shape(), "offered")
        claim.given(~words.valid | in_order)
        found = keeps_emitting(claim, block, i, words, o, claim.always, cycles=cycles)
    else:
        found = keeps_giving(claim, name, block, i, o, claim.always, cycles=cycles)
    claim.free += dut.free
    return claim, dut, found


def rules_alone(name: str, block: Any, design: Opened, *, cycles: int) -> Claim:
    """The claim of ``working_rules``."""
    return working_rules(name, block, design, cycles=cycles)[0]
