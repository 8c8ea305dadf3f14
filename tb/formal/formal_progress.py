"""No row waits for ever in a unit: ``progress_rules``.

All queues are cut out, as in ``formal_unit``, and so are the blocks that may keep others waiting
(``formal_working``). A queue is replaced by what is left of it when its items are only counted. It
shows some item soon after it has one, has room while few items are in it, and keeps to the counts:
how many items it holds, and how many of these end a row. It may give a row's beats in another order
than it was given them, and with other payloads; a real queue does less.

The claim: for at most ``cycles`` on end nothing moves and no block works, that is no item goes into
a queue or out of one or of a block, no output offers anything, and no block has something to do
that it was proved to do in time; or else no row is inside whose end is, and the input is ready. No
receiver has to be ready for that: what an output offers waits for its receiver alone. And each
block works at most once between two moves.

That every row comes out follows, and within how many cycles: see ``formal_bound``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_queue import Queue, queue_of
from formal_text import Dut, Opened, instances, opened, queues
from formal_unit import TOP, _made, shapes_of
from formal_working import (
    EMITTER,
    FINISHERS,
    THRESHOLDS,
    Working,
    ends_of,
    keeps_emitting,
    keeps_giving,
    patience,
    words_of,
    working,
)

from exaq import SoftmaxConfig

_FIRST = ("quantizer", "weigher", "encoder", "power_of_two")
_ADDS = ("accumulator", "weight_sum", "row_sum", "shifting_sum")
# Cycles in which a queue that holds an item may show none, by ``formal_queue``: without and with a
# short cut; and items that it may hold besides those in its memory.
_SHOWS, _BESIDE = (2, 4), 5
#: With contexts: what loads the tables, and keeps them. Whatever these give stands in their places.
_LOADS = ("control", "core.boot", "core.context_map", "core.table_loader", "core.sum_ram")


def places_of(verilog: str) -> Iterator[tuple[str, str, Queue]]:
    """Place, name and figures of each queue, with its short cut where it has one."""
    kinds = dict(instances(verilog, TOP))
    for place, _ in queues(verilog, TOP):
        whole = place.removesuffix(".fifo")
        yield whole, whole.rpartition(".")[2], queue_of(verilog, kinds[whole])


def open_counted(verilog: str, config: SoftmaxConfig, folder: Path) -> Opened:
    """The unit without its queues, their short cuts, and the blocks that work."""
    cut = [place for place, _, _ in places_of(verilog)]
    cut += [f"core.{name}" for name in working(config)]
    cut += [
        place
        for place, _ in instances(verilog, TOP)
        if place.count(".") < 2 and place.startswith(_LOADS)
    ]
    return opened(verilog, TOP, folder, cut=cut)


@dataclass
class Counted:
    """What is known of a queue: how many items it holds, and how many of these end a row.

    ``put`` and ``taken`` say that one moves, ``ends`` and ``leaves`` that one that ends a row does.
    There are never more than ``most``. ``rows_first``: where no row's end is inside, there are but
    the beats that came since the last one.
    """

    count: Signal
    lasts: Any
    put: Any
    taken: Any
    ends: Any
    leaves: Any
    most: int
    rows_first: Any = None


@dataclass
class CountedUnit:
    """A unit whose queues and blocks that work are counted.

    Members
    -------
    claim
        What is taken for granted of them.
    dut
        The ports of what is left.
    queues, blocks
        By name.
    """

    claim: Claim
    dut: Dut
    queues: dict[str, Counted]
    blocks: dict[str, Working]

    @property
    def offered(self) -> Any:
        """Whether an output offers something."""
        found = [f"{name}_tvalid" for name in ("m_axis", "m_row")]
        return Cat(self.dut[name] for name in found if self.dut.has(name)).any()

    @property
    def moves(self) -> Any:
        """Whether something goes into a queue, or out of one or of a block, or is offered."""
        queues = [each for queue in self.queues.values() for each in (queue.put, queue.taken)]
        words = [block.moves for block in self.blocks.values()]
        return Cat(self.offered, queues, words).any()

    @property
    def works(self) -> Any:
        """Whether a block has something to do, of which nothing is seen."""
        return Cat(block.waits for block in self.blocks.values()).any()

    @property
    def inside(self) -> Any:
        """Whether a row is inside whose end is."""
        lasts = [queue.lasts != 0 for queue in self.queues.values()]
        rows = [block.rows != 0 for block in self.blocks.values()]
        return Cat(self.offered, lasts, rows).any()


def counted_unit(verilog: str, config: SoftmaxConfig, design: Opened) -> CountedUnit:
    """The unit, of a design that ``open_counted`` made."""
    m, shapes = Module(), shapes_of(config)
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    by = {
        name: _count(claim, dut, (place, name), figures, shapes.get(name), config.format.beats)
        for place, name, figures in places_of(verilog)
    }
    blocks = _working(claim, dut, config)
    if config.contexts:
        # All contexts have tables; until then the unit takes no beat.
        claim.given(~dut["core.boot.boot_active"])
    claim.free += dut.free
    return CountedUnit(claim, dut, by, blocks)


def progress_rules(verilog: str, config: SoftmaxConfig, design: Opened, *, cycles: int) -> Claim:
    """The claim; with fewer ``cycles`` than ``idle_cycles`` it is not true."""
    unit = counted_unit(verilog, config, design)
    claim, moves = unit.claim, unit.moves
    idle = Signal(range(cycles + 2))
    still = ~moves & ~unit.works
    claim.module.d.sync += idle.eq(Mux(still, Mux(idle <= cycles, idle + 1, idle), 0))
    claim.always((idle <= cycles) | (~unit.inside & unit.dut["s_axis_tready"]))
    for name, block in unit.blocks.items():
        # Once it has waited it shows something, until something moves.
        waited = Signal(name=f"{name}_has_waited")
        claim.module.d.sync += waited.eq(~moves & (waited | block.waits))
        claim.always(~waited | block.waits | block.shows | moves)
    _follow_rows(claim, config, unit.queues, unit.blocks)
    for queue in unit.queues.values():
        if queue.rows_first is not None:
            claim.always(queue.rows_first)
    return claim


def idle_cycles(config: SoftmaxConfig) -> int:
    """The fewest ``cycles`` with which the claim is true: in a queue, or from one to the next."""
    blocks = free_running(config)
    two_passes = "row_max" in blocks
    stretches = ["row_max"] if two_passes else []
    if EMITTER in blocks:
        # Where codes leave as they are no row waits for its sum.
        stretches += [adds_of(blocks), *([first_of(blocks)] if two_passes else [])]
    return max([_SHOWS[two_passes], *(blocks[name].latency - 1 for name in stretches)])


def free_running(config: SoftmaxConfig) -> dict[str, Any]:
    """The blocks of a unit, by name."""
    unit = _made(config)
    return {"receiver": unit.receiver} | unit.arrival.blocks | unit.kernel.blocks


def first_of(names: Iterable[str]) -> str:
    """The block in front of the queue in which a row's beats wait for what is made of its sum."""
    return next(name for name in names if name in _FIRST)


def adds_of(names: Iterable[str]) -> str:
    """The block that adds up."""
    return next(name for name in names if name in _ADDS)


def _working(claim: Claim, dut: Dut, config: SoftmaxConfig) -> dict[str, Working]:
    """Takes the blocks that work for granted."""
    found = {}
    for name, block in working(config).items():
        at = f"core.{name}."
        i, o = ends_of(dut, name, "i", at=at), ends_of(dut, name, "o", at=at)
        cycles = patience(block)
        if name == EMITTER:
            words = ends_of(dut, name, words_of(block)[0], at=at)
            found[name] = keeps_emitting(claim, block, i, words, o, claim.given, cycles=cycles)
        else:
            found[name] = keeps_giving(claim, name, block, i, o, claim.given, cycles=cycles)
    return found


def _follow_rows(
    claim: Claim, config: SoftmaxConfig, by: Mapping[str, Counted], blocks: Mapping[str, Working]
) -> None:
    """What the induction needs beside the claim: where rows are that have left one place. A row's
    end goes two ways at once, and is in as many places of either.
    """
    blocks_between = free_running(config)
    first, adds = first_of(blocks_between), adds_of(blocks_between)

    def under_way(begin: Any, end: Any, *names: str) -> Any:
        return count_ones(on_the_way(claim, config, begin, end, *names))

    rows = by.get("row_buffer")
    if rows is not None:
        maxima, thresholds = by["max_queue"], blocks.get(THRESHOLDS)
        compared = under_way(rows.ends, maxima.ends, "row_max")
        claim.always(rows.leaves == (thresholds.moves if thresholds else maxima.leaves))
        prepared = thresholds.rows if thresholds else 0
        claim.always(rows.lasts == maxima.count + compared + prepared)
    if EMITTER not in blocks:
        return
    stored, sums = waiting(by)
    stage: Any = 0
    if rows is not None:
        stage = under_way(rows.leaves, stored.ends, first)
        added = under_way(rows.leaves, sums.ends, first, adds)
    else:
        added = under_way(stored.ends, sums.ends, adds)
    finisher = next(blocks[name] for name in FINISHERS if name in blocks)
    claim.always(stored.lasts + stage == sums.count + added + finisher.rows + blocks[EMITTER].rows)


def waiting(queues: Mapping[str, Counted]) -> tuple[Counted, Counted]:
    """The queues of beats, and of rows, that wait for the emitter."""
    stored = next(queues[name] for name in ("code_fifo", "store") if name in queues)
    return stored, queues["sum_queue"]


def on_the_way(claim: Claim, config: SoftmaxConfig, begin: Any, end: Any, *names: str) -> Signal:
    """Claims that what begins comes to the end, through blocks that nothing stops; returns a bit
    for each cycle that it may have been under way.
    """
    blocks = free_running(config)
    later = Signal(sum(blocks[name].latency for name in names), name="on_the_way")
    claim.module.d.sync += later.eq(Cat(begin, later))
    claim.always(end == later[-1])
    return later


def count_ones(bits: Any) -> Any:
    """How many bits are set."""
    return sum((bits[k] for k in range(1, len(bits))), bits[0])


def _count(
    claim: Claim, dut: Dut, where: tuple[str, str], figures: Queue, shape: Any, beats: int
) -> Counted:
    """Takes a queue for granted as far as its items are counted."""
    m, most, (place, name) = claim.module, figures.places + _BESIDE, where

    def port(*ends: str) -> Signal:
        return next(dut[f"{place}.{end}"] for end in ends if dut.has(f"{place}.{end}"))

    put, item = port(f"{name}_i_valid", "write_enable"), port(f"{name}_i_payload", "write_data")
    valid, payload, ready, room = (
        port(f"{name}_{end}", f"o__{end}") for end in ("o_valid", "o_payload", "o_ready", "room")
    )
    taken = valid & ready
    claim.given(claim.held(valid, ready, payload, name))
    count, waits = Signal(range(most + 2), name=f"{name}_count"), Signal(3, name=f"{name}_waits")
    hidden = (count != 0) & ~valid
    m.d.sync += [count.eq(count + put - taken), waits.eq(Mux(hidden, waits + 1, 0))]
    claim.given(~valid | (count != 0))
    claim.given(~hidden | (waits < _SHOWS[figures.short_cut]))
    claim.given(count <= most)
    claim.given(room | (count > figures.places - figures.slack - figures.short_cut))
    if not hasattr(shape, "members") or "last" not in shape.members:
        return Counted(count, count, put, taken, put, taken, most)
    put_last, last = data.View(shape, item).last, data.View(shape, payload).last
    ends, leaves = put & put_last, taken & last
    lasts = Signal(range(most + 2), name=f"{name}_lasts")
    since = Signal(range(beats + 1), name=f"{name}_since")
    m.d.sync += lasts.eq(lasts + ends - leaves)
    with m.If(put):
        m.d.sync += since.eq(Mux(put_last, 0, since + 1))
    # No row is longer, which the receiver and the order in queues see to.
    claim.given(~put | put_last | (since < beats - 1))
    claim.given(lasts <= count)
    claim.given(~valid | Mux(last, lasts != 0, count != lasts))
    # Behind the newest item that ends a row are those that came since.
    claim.given(~(valid & last & (lasts == 1)) | (count == since + 1))
    rows_first = (since < beats) & ((lasts != 0) | (count <= since))
    return Counted(count, lasts, put, taken, ends, leaves, most, rows_first)
