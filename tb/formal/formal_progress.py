"""No row waits for ever in a unit: ``progress_rules``.

All queues are cut out, as in ``formal_unit``, and so are the divisions; each is replaced by what is
left of it when its items are only counted. Such a queue shows some item soon after it has one, has
room while few items are in it, and keeps to the counts: how many items it holds, and how many of
these end a row. It may give a row's beats in another order than it was given them, and with other
payloads; a real queue does less.

The claim: for at most ``patience`` cycles on end nothing moves, that is no item goes into a queue
or out of one, through the input, or out of the divisions, and no output offers anything; or else no
queue holds the end of a row, and the input is ready. No receiver has to be ready for that: what an
output offers waits for its receiver alone.

That every row comes out follows. A beat moves into and out of a few queues, and a row's words out
of the divisions, once each; so only so many moves are possible until a beat leaves the unit or one
comes in, and none can come in where the queues are full. There is a move in every ``patience`` + 1
cycles in which no output waits for its receiver, as long as a whole row is inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from formal_divisions import MODULE, keeps_dividing, normalizer_of, patience, ports_of
from formal_engines import Claim
from formal_queue import Queue, queue_of
from formal_text import Dut, Opened, instances, modules_of, opened, queues
from formal_unit import TOP, _made, shapes_of

from exaq import SoftmaxConfig

# Cycles in which a queue that holds an item may show none, by ``formal_queue``: without and with a
# short cut; and items that it may hold besides those in its memory.
_SHOWS, _BESIDE = (2, 4), 5
_NORMALIZER, _READABLE = f"core.{MODULE}.", "core.emitter.readable"


def _places(verilog: str) -> Iterator[tuple[str, str, Queue]]:
    """Place, name and figures of each queue, with its short cut where it has one."""
    kinds = dict(instances(verilog, TOP))
    for place, _ in queues(verilog, TOP):
        whole = place.removesuffix(".fifo")
        yield whole, whole.rpartition(".")[2], queue_of(verilog, kinds[whole])


def followed(verilog: str, config: SoftmaxConfig) -> bool:
    """Whether the claim can be made: of units with divisions and codes in a queue, without
    contexts, whose emitter keeps a row's table in registers.
    """
    text = modules_of(verilog).get(f"{TOP}__emitter", "")
    registers = re.findall(r"^  reg .*?(\w+);$", text, re.M)
    names = {name for _, name, _ in _places(verilog)}
    divides = normalizer_of(config) is not None and not config.contexts
    return divides and "code_fifo" in names and {"readable", "coming"} <= set(registers)


def open_counted(verilog: str, folder: Path) -> Opened:
    """The unit without its queues, their short cuts, and its divisions."""
    cut = [*(place for place, _, _ in _places(verilog)), _NORMALIZER.removesuffix(".")]
    return opened(verilog, TOP, folder, cut=cut, show=[_READABLE])


@dataclass
class Counted:
    """What is known of a queue: how many items it holds, and how many of these end a row.

    ``put`` and ``taken`` say that one moves, ``ends`` and ``leaves`` that one that ends a row does.
    """

    count: Signal
    lasts: Any
    put: Any
    taken: Any
    ends: Any
    leaves: Any


def progress_rules(verilog: str, config: SoftmaxConfig, design: Opened, *, cycles: int) -> Claim:
    """The claim, of a unit that is ``followed``; with fewer ``cycles`` than the
    divisions' ``patience`` it is not true.
    """
    m, shapes = Module(), shapes_of(config)
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    by = {
        name: _count(claim, dut, (place, name), figures, shapes.get(name), config.format.beats)
        for place, name, figures in _places(verilog)
    }
    ports = ports_of(dut, _NORMALIZER)
    claim.given(claim.held(ports["o_valid"], ports["o_ready"], ports["o_payload"], "word"))
    divided, word_taken, tabled = keeps_dividing(
        claim, config, ports, claim.given, cycles=patience(config)
    )
    offered = dut["m_axis_tvalid"]
    moves: Any = (dut["s_axis_tvalid"] & dut["s_axis_tready"]) | word_taken | offered
    inside: Any = offered
    for each in by.values():
        moves, inside = moves | each.put | each.taken, inside | (each.lasts != 0)
    still = Signal(range(cycles + 2))
    m.d.sync += still.eq(Mux(moves, 0, Mux(still <= cycles, still + 1, still)))
    claim.always((still <= cycles) | (~inside & dut["s_axis_tready"]))

    # What the induction needs beside it: where the rows are that have left one place.
    def on_the_way(begin: Any, end: Any, latency: int) -> Any:
        later = Signal(latency, name="on_the_way")
        m.d.sync += later.eq(Cat(begin, later))
        claim.always(end == later[-1])
        return sum(later[k] for k in range(latency))

    blocks = _made(config).arrival.blocks | _made(config).kernel.blocks
    quantizer, accumulator = blocks["quantizer"].latency, blocks["accumulator"].latency
    rows, maxima, codes, sums = (
        by[name] for name in ("row_buffer", "max_queue", "code_fifo", "sum_queue")
    )
    found = on_the_way(rows.ends, maxima.ends, blocks["row_max"].latency)
    claim.always((maxima.leaves == rows.leaves) & (maxima.count + found == rows.lasts))
    quantized = on_the_way(rows.leaves, codes.ends, quantizer)
    added = on_the_way(rows.leaves, sums.ends, quantizer + accumulator)
    tables = Signal(4)
    m.d.sync += tables.eq(tables + tabled - codes.leaves)
    # A table is complete, so that no word is taken, and then another one is read.
    claim.always(tables == ~ports["o_ready"] + dut[_READABLE])
    claim.always(codes.lasts + quantized == sums.count + added + divided + tables)
    claim.free += dut.free
    return claim


def _count(
    claim: Claim, dut: Dut, where: tuple[str, str], figures: Queue, shape: Any, beats: int
) -> Counted:
    """Takes a queue for granted as far as its items are counted."""
    m, most, (place, name) = claim.module, figures.places + _BESIDE, where

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
    claim.always((since < beats) & ((lasts != 0) | (count <= since)))
    return Counted(count, lasts, put, taken, ends, leaves)
