"""No row waits for ever in a unit: ``progress_rules``.

All queues are cut out, as in ``formal_unit``, and each is replaced by what is left of it when its
items are only counted. Such a queue shows some item soon after it has one, and keeps to the counts:
how many items it holds, how many of them end a row. It may give a row's beats in another order, and
with other payloads, than it was given them; a real queue does less. The order within rows is not
needed to know that something moves.

What is claimed: whenever for ``patience`` cycles in a row no item goes into a queue or out of one,
or through a port, although all receivers of the unit are ready, then no queue holds the end of a row,
and none is offered. So while a whole row is inside, something moves in every ``patience`` + 1 cycles.
A beat moves from station to station a few times at most, and there are as many beats inside as the
queues have places at most, so the row comes out in bounded time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, ResetSignal, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_queue import Queue, queue_of
from formal_text import Dut, Opened, instances, opened, queues
from formal_unit import TOP, _made, shapes_of

from exaq import SoftmaxConfig
from exaq_hdl.kernels.division.normalizer import Normalizer

_NORMALIZER = "core.normalizer"
#: Rows under way between two places of the unit, at most: a bound of no other use.
_DUE = 7
# Cycles in which a queue that holds an item may show none, by ``formal_queue``: without and with a
# short cut.
_SHOWS = (2, 4)


def _places(verilog: str) -> Iterator[tuple[str, str, Queue]]:
    """Place, name and figures of each queue, with its short cut where it has one."""
    kinds = dict(instances(verilog, TOP))
    for place, _ in queues(verilog, TOP):
        whole = place.removesuffix(".fifo")
        yield whole, whole.rpartition(".")[2], queue_of(verilog, kinds[whole])


def open_counted(verilog: str, folder: Path) -> Opened:
    """The unit behind its AXI4-Stream ports, without its queues and their short cuts."""
    cut = [place for place, _, _ in _places(verilog)]
    return opened(verilog, TOP, folder, cut=[*cut, _NORMALIZER], show=["core.emitter.readable"])


@dataclass
class Counted:
    """What is known of a queue: how many items it holds, and how many of these end a row.

    ``put`` and ``taken`` say that one moves, ``ends`` and ``leaves`` that one moves that ends a row.
    """

    count: Signal
    lasts: Any
    put: Any
    taken: Any
    ends: Any
    leaves: Any


def progress_rules(
    verilog: str, config: SoftmaxConfig, design: Opened, *, patience: int
) -> Claim:
    """The claim; with less ``patience`` than the unit needs it is not true."""
    m, shapes = Module(), shapes_of(config)
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    by = {
        name: _count(claim, dut, place, name, figures, shapes.get(name), config.format.beats)
        for place, name, figures in _places(verilog)
    }
    moves: Any = dut["s_axis_tvalid"] & dut["s_axis_tready"]
    inside: Any = Const(0, 1)
    for each in by.values():
        moves, inside = moves | each.put | each.taken, inside | (each.lasts != 0)
    divided, given, tabled = _normalizer(claim, dut, config)
    moves = moves | given
    for stream in ("m_axis", "m_row"):
        if dut.has(f"{stream}_tvalid"):
            valid = dut[f"{stream}_tvalid"]
            # What is offered and refused waits for the receiver alone.
            moves = moves | valid
    still = Signal(range(patience + 2))
    with m.If(moves):
        m.d.sync += still.eq(0)
    with m.Elif(still <= patience):
        m.d.sync += still.eq(still + 1)
    claim.always((still <= patience) | (~inside & dut["s_axis_tready"]))

    def due(name: str, begin: Any, end: Any) -> Any:
        number = Signal(range(2 * _DUE + 2), name=name)
        m.d.sync += number.eq(number + begin - end)
        claim.always(number <= _DUE)
        return number

    def delayed(name: str, begin: Any, end: Any, cycles: int) -> Any:
        later = Signal(cycles, name=name)
        m.d.sync += later.eq(Cat(begin, later))
        claim.always(end == later[-1])
        return sum(later[k] for k in range(cycles))

    rows, maxima = by["row_buffer"], by["max_queue"]
    codes, sums = by["code_fifo"], by["sum_queue"]
    claim.always(maxima.leaves == rows.leaves)
    blocks = _made(config).arrival.blocks | _made(config).kernel.blocks
    quantizer = blocks["quantizer"].latency
    due_maxima = delayed("due_maxima", rows.ends, maxima.ends, blocks["row_max"].latency)
    claim.always(maxima.count + due_maxima == rows.lasts)
    due_codes = delayed("due_codes", rows.leaves, codes.ends, quantizer)
    due_sums = delayed("due_sums", rows.leaves, sums.ends, quantizer + blocks["accumulator"].latency)
    tables = due("tables", tabled, codes.leaves)
    complete = ~dut[f"{_NORMALIZER}.normalizer_o_ready"]
    claim.always(tables == complete + dut["core.emitter.readable"])
    claim.always(codes.lasts + due_codes == sums.count + due_sums + divided + tables)
    claim.free += dut.free
    return claim


def _normalizer(claim: Claim, dut: Dut, config: SoftmaxConfig) -> tuple[Signal, Any, Any]:
    """Rows that the divisions have, and whether a row's last word leaves them."""
    m = claim.module
    taken, given = (
        dut[f"{_NORMALIZER}.normalizer_{end}_valid"] & dut[f"{_NORMALIZER}.normalizer_{end}_ready"]
        for end in "io"
    )
    valid, ready, payload = (
        dut[f"{_NORMALIZER}.normalizer_o_{end}"] for end in ("valid", "ready", "payload")
    )
    made = normalizer_of(config)
    word = data.View(made.division.word, payload)
    rows = normalizer_rows(claim, made, taken, given, valid, dut[f"{_NORMALIZER}.normalizer_i_ready"], word, claim.given)
    claim.given(claim.held(valid, ready, payload, "normalizer"))
    return rows, given, given & word.level.all()


def normalizer_of(config: SoftmaxConfig) -> Any:
    return next(b for b in _made(config).kernel.blocks.values() if isinstance(b, Normalizer))


def normalizer_rows(claim: Claim, made: Any, taken: Any, given: Any, valid: Any, open_: Any, word: Any, say: Any, late: int = 0) -> Any:
    m = claim.module
    most, patience = made.rows + 1, made.division.quotient_bits + 2 - late
    rows, waits = Signal(range(most + 2)), Signal(range(patience + 2))
    level = Signal(made.division.bits)
    with m.If(given):
        m.d.sync += level.eq(level + 1)
    m.d.sync += [
        rows.eq(rows + taken - (given & level.all())),
        waits.eq(Mux((rows != 0) & ~valid, waits + 1, 0)),
    ]
    say(ResetSignal() | (rows <= most))
    say(ResetSignal() | (waits <= patience))
    say(ResetSignal() | ~valid | ((rows != 0) & (word.level == level)))
    say(ResetSignal() | (rows != 0) | open_)
    return rows


def _count(
    claim: Claim, dut: Dut, place: str, name: str, figures: Queue, shape: Any, beats: int
) -> Counted:
    m, most = claim.module, figures.places + 4

    def port(*ends: str) -> Signal:
        return next(dut[f"{place}.{end}"] for end in ends if dut.has(f"{place}.{end}"))

    put, item = port(f"{name}_i_valid", "write_enable"), port(f"{name}_i_payload", "write_data")
    valid, payload, ready, room = (
        port(f"{name}_{end}") for end in ("o_valid", "o_payload", "o_ready", "room")
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
        return Counted(count, count, put, taken, put, taken)
    put_last, last = data.View(shape, item).last, data.View(shape, payload).last
    lasts, since = Signal(range(most + 2), name=f"{name}_lasts"), Signal(range(beats + 1), name=f"{name}_since")
    ends, leaves = put & put_last, taken & last
    m.d.sync += lasts.eq(lasts + ends - leaves)
    with m.If(put):
        m.d.sync += since.eq(Mux(put_last, 0, since + 1))
    # No row is longer, which receiver and queues see to.
    claim.given(~put | put_last | (since < beats - 1))
    claim.given(lasts <= count)
    claim.given(~valid | Mux(last, lasts != 0, count != lasts))
    # Behind the newest item that ends a row are those that came since.
    claim.given(~(valid & last & (lasts == 1)) | (count == since + 1))
    claim.always(since < beats)
    claim.always((lasts != 0) | (count <= since))
    return Counted(count, lasts, put, taken, ends, leaves)
