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

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_queue import Queue, queue_of
from formal_text import Dut, Opened, instances, opened, queues
from formal_unit import TOP, shapes_of

from exaq import SoftmaxConfig

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
    return opened(verilog, TOP, folder, cut=[place for place, _, _ in _places(verilog)])


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


def progress_rules(verilog: str, config: SoftmaxConfig, design: Opened, *, patience: int) -> Claim:
    """The claim; with less ``patience`` than the unit needs it is not true."""
    m, shapes = Module(), shapes_of(config)
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    by = {
        name: _count(claim, dut, place, name, figures, shapes.get(name))
        for place, name, figures in _places(verilog)
    }
    moves: Any = dut["s_axis_tvalid"] & dut["s_axis_tready"]
    inside: Any = Const(0, 1)
    for each in by.values():
        moves, inside = moves | each.put | each.taken, inside | (each.lasts != 0)
    ready: Any = Const(1, 1)
    for stream in ("m_axis", "m_row"):
        if dut.has(f"{stream}_tvalid"):
            valid, given = dut[f"{stream}_tvalid"], dut[f"{stream}_tready"]
            moves, ready, inside = moves | (valid & given), ready & given, inside | valid
    still = Signal(range(patience + 2))
    with m.If(moves):
        m.d.sync += still.eq(0)
    with m.Elif(ready & (still <= patience)):
        m.d.sync += still.eq(still + 1)
    claim.always((still <= patience) | ~inside)

    def due(name: str, begin: Any, end: Any) -> Any:
        number = Signal(range(2 * _DUE + 2), name=name)
        m.d.sync += number.eq(number + begin - end)
        claim.always(number <= _DUE)
        return number

    rows, maxima = by["row_buffer"], by["max_queue"]
    codes, sums = by["code_fifo"], by["sum_queue"]
    claim.always(maxima.leaves == rows.leaves)
    due_maxima = due("due_maxima", rows.ends, maxima.ends)
    claim.always(maxima.count + due_maxima == rows.lasts)
    due_codes = due("due_codes", rows.leaves, codes.ends)
    due_sums = due("due_sums", rows.leaves, sums.ends)
    tables = due("tables", sums.leaves, codes.leaves)
    claim.always(codes.lasts + due_codes == sums.count + due_sums + tables)
    claim.free += dut.free
    return claim


def _count(claim: Claim, dut: Dut, place: str, name: str, figures: Queue, shape: Any) -> Counted:
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
    lasts, closed = Signal(range(most + 2), name=f"{name}_lasts"), Signal(name=f"{name}_closed")
    ends, leaves = put & put_last, taken & last
    m.d.sync += lasts.eq(lasts + ends - leaves)
    with m.If(put):
        m.d.sync += closed.eq(put_last)
    claim.given(lasts <= count)
    claim.given(~valid | Mux(last, lasts != 0, count != lasts))
    # The newest item, where it ends a row, leaves last.
    claim.given(~(valid & last & closed & (lasts == 1)) | (count == 1))
    return Counted(count, lasts, put, taken, ends, leaves)
