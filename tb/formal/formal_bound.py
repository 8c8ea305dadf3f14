"""Within how many cycles a row comes out: ``bound_rules`` and ``bound_of``.

A row is followed through the counted unit of ``formal_progress``, any one, from its last beat's
coming into the first queue until that beat leaves. The *moves to come* are a number: so many for
each beat and each row in each place. A cycle in which something moves takes at least one away, and
a beat that comes brings ``a_beat`` at most. Those that come behind the row cannot leave before it,
so no more of them come than the unit holds. That bounds the cycles in which something moves.
Between two of these are at most ``pause`` cycles, but for those in which an output waits for its
receiver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from formal_engines import Claim
from formal_progress import (
    _BESIDE,
    Counted,
    CountedUnit,
    adds_of,
    count_ones,
    counted_unit,
    first_of,
    free_running,
    idle_cycles,
    on_the_way,
    places_of,
)
from formal_text import Opened
from formal_unit import MOST
from formal_working import (
    EMITTER,
    FINISHERS,
    THRESHOLDS,
    _levels,
    beats_in,
    patience,
    rows_in,
    working,
)

from exaq import SoftmaxConfig

#: Places of beats.
_BEATS = ("row_buffer", "stage", "store", "emitter")


def _one_of(names: Iterable[str], wanted: tuple[str, ...]) -> str:
    """The one that there is; empty where there is none."""
    return next((name for name in wanted if name in names), "")


def _store(names: Iterable[str]) -> str:
    return _one_of(names, ("code_fifo", "store"))


def _sums(names: Iterable[str]) -> str:
    return _one_of(names, ("sum_queue", "results"))


@dataclass(frozen=True)
class Bound:
    """What bounds a row's time in a unit.

    Members
    -------
    steps, most
        Moves to come of what is in each place, and how much can be there.
    a_beat
        Moves to come that a beat brings which ends a row, with its coming.
    pause
        Cycles between two moves.
    begins
        Cycles from a row's last beat taken until it comes into the first queue.
    """

    steps: Mapping[str, int]
    most: Mapping[str, int]
    a_beat: int
    pause: int
    begins: int

    @property
    def beats(self) -> int:
        """Beats that the unit holds."""
        return sum(self.most[place] for place in _BEATS if place in self.most)

    @property
    def to_come(self) -> int:
        """The most moves to come that there can be."""
        return sum(self.steps[place] * self.most[place] for place in self.steps)

    @property
    def moves(self) -> int:
        """Cycles in which something moves until the row leaves."""
        return self.to_come + self.a_beat * self.beats

    @property
    def cycles(self) -> int:
        """Cycles from the row's last beat taken until it leaves, those left out in which an output
        waits for its receiver.
        """
        return self.begins + (self.moves + 1) * (self.pause + 1)


def bound_of(verilog: str, config: SoftmaxConfig) -> Bound:
    """That of a unit; of codes that leave as they are made, until they leave the row buffer."""
    blocks, works = free_running(config), working(config)
    held = {name: figures.places + _BESIDE for _, name, figures in places_of(verilog)}
    first, adds = blocks[first_of(blocks)].latency, blocks[adds_of(blocks)].latency
    finisher, store = _one_of(works, FINISHERS), _store(held)
    two_passes = "row_buffer" in held
    steps: dict[str, int] = {}
    most: dict[str, int] = {}

    def place(name: str, to_come: int, at_most: int) -> None:
        steps[name], most[name] = to_come, at_most

    emitted = int(EMITTER in works)
    if emitted:
        place("emitter", 1, beats_in(works[EMITTER]))
    if store:
        place("store", 1 + emitted, held[store])
    words = _levels(works[finisher].o.payload.shape()) if finisher else 0
    reported = int("row_reporter" in blocks)
    if reported:
        place("reported", 1, 1)
    if finisher:
        place("words", words + reported, rows_in(works[finisher]))
    place("sums", words + reported + 1, held[_sums(held)])
    adding = words + reported + 2
    if two_passes:
        if store:
            place("stage", steps["store"] + 1, first)
        else:
            place("leaving", 1, MOST)
        place("row_buffer", steps["stage" if store else "leaving"] + 1, held["row_buffer"])
        place("rows", adding, held["row_buffer"])
        place("adding", adding, first + adds if store else MOST)
        prepared = int(THRESHOLDS in works)
        if prepared:
            place("prepared", 1, rows_in(works[THRESHOLDS]))
        place("maxima", 1 + prepared, held["max_queue"])
        place("compared", 2 + prepared, blocks["row_max"].latency)
    else:
        place("adding", adding, adds)
    comes = steps["row_buffer"] if two_passes else steps["store"]
    begins = blocks["receiver"].latency
    if not two_passes:
        begins += blocks["octaves"].latency + blocks["reference"].latency + first
    return Bound(
        steps=steps,
        most=most,
        a_beat=1 + comes + adding + steps.get("compared", 0),
        pause=idle_cycles(config) * (1 + len(works))
        + sum(patience(each) for each in works.values()),
        begins=begins,
    )


@dataclass
class _Flow:
    """What comes into a place and goes out of it in a cycle, and how much is there."""

    comes: Any
    goes: Any
    count: Any


def bound_rules(verilog: str, config: SoftmaxConfig, design: Opened, *, fewer: int = 0) -> Claim:
    """The claim: the moves to come fall by one at least in a cycle in which something moves, but
    for what a beat brings; no more beats come behind the row than the unit holds; and while the row
    is inside, there are at most ``pause`` cycles between two moves.

    With ``fewer`` moves to come for a beat that comes it is not true.
    """
    unit, bound = counted_unit(verilog, config, design), bound_of(verilog, config)
    claim, m = unit.claim, unit.claim.module
    flows, moved = _flows(unit, config, bound)
    come = sum(bound.steps.get(place, 1) * flow.comes for place, flow in flows.items())
    gone = sum(bound.steps.get(place, 1) * flow.goes for place, flow in flows.items())
    first = unit.queues["row_buffer" if "row_buffer" in flows else _store(unit.queues)]
    brought = Mux(first.put, bound.a_beat - fewer, 0)
    claim.always(come + moved <= gone + brought)

    # The row, chosen when its last beat comes; and the beats that are ahead of it, it included.
    beats = {place: flows[place] for place in _BEATS if place in flows}
    inside = sum((flow.count for flow in beats.values()), Const(0, 1))
    leaves = [*beats.values()][-1].goes
    chosen, on, ahead = Signal(), Signal(), Signal(range(bound.beats + 2))
    m.d.comb += chosen.eq(first.ends & ~on & claim.unknown(1, "choice"))
    with m.If(chosen):
        m.d.sync += [on.eq(1), ahead.eq(inside + 1 - leaves)]
    with m.Elif(on):
        m.d.sync += [ahead.eq(ahead - leaves), on.eq(~(leaves & (ahead == 1)))]
    claim.always(~on | ((ahead != 0) & (ahead <= inside) & (inside <= bound.beats)))
    _in_order(unit, {place: flow.count for place, flow in beats.items()}, on, ahead)
    _pauses(unit, config, bound, on)
    return claim


def _flows(unit: CountedUnit, config: SoftmaxConfig, bound: Bound) -> tuple[dict[str, _Flow], Any]:
    """The places of ``bound``, and whether something moves that counts."""
    claim, queues, works = unit.claim, unit.queues, unit.blocks
    blocks, steps = free_running(config), bound.steps
    first, adds = first_of(blocks), adds_of(blocks)
    store, sums = queues.get(_store(queues)), queues[_sums(queues)]
    rows, maxima = queues.get("row_buffer"), queues.get("max_queue")
    given = unit.dut["m_axis_tvalid"] & unit.dut["m_axis_tready"]
    moved = [each for queue in queues.values() for each in (queue.put, queue.taken)]
    moved += [block.moves for block in works.values()]

    def queue(of: Counted) -> _Flow:
        return _Flow(of.put, of.taken, of.count)

    def between(place: str, begin: Any, end: Any) -> _Flow:
        """Between two ends; that no more comes there than went is another proof."""
        count = Signal(range(bound.most[place] + 2), name=place)
        claim.module.d.sync += count.eq(count + begin - end)
        claim.given((~end | begin | (count != 0)) & (count <= bound.most[place]))
        return _Flow(begin, end, count)

    def way(begin: Any, end: Any, *names: str) -> _Flow:
        bits = on_the_way(claim, config, begin, end, *names)
        return _Flow(begin, end, count_ones(bits))

    flows: dict[str, _Flow] = {}
    if rows is not None:
        assert maxima is not None
        flows["row_buffer"] = queue(rows)
        flows["rows"] = _Flow(rows.ends, rows.leaves, rows.lasts)
        flows["compared"] = way(rows.ends, maxima.put, "row_max")
        flows["maxima"] = queue(maxima)
        if "prepared" in steps:
            prepares = works[THRESHOLDS]
            flows["prepared"] = _Flow(maxima.taken, prepares.moves, prepares.rows)
        if store is None:
            flows["leaving"] = between("leaving", rows.taken, given)
            flows["adding"] = between("adding", rows.leaves, sums.put)
            moved.append(given)
        else:
            flows["stage"] = way(rows.taken, store.put, first)
            flows["adding"] = way(rows.leaves, sums.put, first, adds)
    else:
        assert store is not None
        flows["adding"] = way(store.ends, sums.put, adds)
    flows["sums"] = queue(sums)
    if "words" in steps:
        made = works[_one_of(works, FINISHERS)]
        # Of a row's words each takes a move to come away, not all of them the last one.
        flows["words"] = _Flow(sums.taken, 0, made.rows)
        flows["word"] = _Flow(0, made.moves, made.number)
    if "reported" in steps:
        taken = unit.dut["m_row_tvalid"] & unit.dut["m_row_tready"]
        flows["reported"] = _Flow(0, taken, unit.dut["m_row_tvalid"])
        moved.append(taken)
    if store is not None:
        flows["store"] = queue(store)
    if "emitter" in steps:
        assert store is not None
        flows["emitter"] = between("emitter", store.taken, given)
        # What the emitter keeps to, of which this counts the beats.
        gets_on = works[EMITTER].waits | works[EMITTER].shows | store.taken
        claim.given((flows["emitter"].count == 0) | gets_on)
        moved.append(given)
    return flows, Cat(moved).any()


def _in_order(unit: CountedUnit, counts: Mapping[str, Any], on: Any, ahead: Any) -> None:
    """Takes for granted that the queue holds the end of a row in which the row's last beat is, of
    which there are as many beats ahead as were: beats keep their order, by other proofs.
    """
    before: Any = Const(0, 1)
    for place in reversed(_BEATS):
        if place in counts:
            upto = before + counts[place]
            name = _store(unit.queues) if place == "store" else place
            if name in unit.queues:
                here = on & (ahead > before) & (ahead <= upto)
                unit.claim.given(~here | (unit.queues[name].lasts != 0))
            before = upto


def _pauses(unit: CountedUnit, config: SoftmaxConfig, bound: Bound, on: Any) -> None:
    """Claims that there are at most ``pause`` cycles between moves, of what *progress* shows."""
    claim, m, moves, cycles = unit.claim, unit.claim.module, unit.moves, idle_cycles(config)
    idle, still = Signal(range(cycles + 2)), Signal(range(bound.pause + 2))
    rests = ~moves & ~unit.works
    m.d.sync += [
        idle.eq(Mux(rests, Mux(idle <= cycles, idle + 1, idle), 0)),
        still.eq(Mux(moves, 0, Mux(still <= bound.pause, still + 1, still))),
    ]
    claim.given((idle <= cycles) | (~unit.inside & unit.dut["s_axis_tready"]))
    claim.always(~on | (idle <= cycles))
    passed: Any = idle
    for (name, block), made in zip(unit.blocks.items(), working(config).values(), strict=True):
        most = patience(made)
        worked, once = Signal(range(most + 2), name=f"{name}_worked"), Signal(name=f"{name}_once")
        m.d.sync += [
            worked.eq(Mux(moves, 0, worked + block.waits)),
            once.eq(~moves & (once | block.waits)),
        ]
        claim.given(~once | block.waits | block.shows | moves)
        claim.always((worked <= most) & (~block.waits | (worked <= block.waited)))
        passed = passed + worked + Mux(once, cycles, 0)
    claim.always(~on | (still <= passed))
    claim.always(~on | (still <= bound.pause))
