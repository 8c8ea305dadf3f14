"""What a whole unit keeps to, whatever its queues give it: ``unit_rules`` and ``row_rules``.

All queues are cut out of the text, and free inputs stand in their places: any item may come at any
time, as long as it stays until it is taken, which queues were proved to do (``formal_queue``). So
what holds here holds for rows of every length, and nothing of the unit's size is in the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from amaranth.hdl import Array, Cat, Const, Fragment, Module, Mux, Shape, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_queue import contract, queue_of
from formal_text import Dut, Opened, modules_of, opened, queues

from exaq import SoftmaxConfig
from exaq_hdl.kernels import unit_kind
from exaq_hdl.parts.counters import lfsr_state, lfsr_width
from exaq_hdl.parts.fifo import Fifo
from exaq_hdl.shell.row_shell import Softmax
from exaq_hdl.shell.streams import row_beat

TOP = "exaq_softmax"
#: Beats and rows that can be between two queues, or a queue and a port, at most; a bound of no
#: other use, which tells a number that only grows from one that does not.
MOST = 15


def open_unit(verilog: str, folder: Path) -> Opened:
    """The unit behind its AXI4-Stream ports, without its queues."""
    cut = [place for place, _ in queues(verilog, TOP)]
    show = [*_given(verilog), "dropping", "count"]
    return opened(verilog, TOP, folder, cut=cut, show=[f"core.receiver.{name}" for name in show])


def _given(verilog: str) -> tuple[str, str]:
    """Names of the receiver's ports for what it gives: whether it does, and the beat."""
    text = modules_of(verilog)[f"{TOP}__receiver"]
    ports = re.findall(r"^  output (?:\[\d+:0\] )?(\w+);$", text, re.M)
    valid, payload = (
        next(port for port in ports if port.endswith(end)) for end in ("valid", "payload")
    )
    return valid, payload


@dataclass(frozen=True)
class CutQueue:
    """The ports where a queue was: what went into it, and what now stands for it."""

    place: str
    valid: Signal
    payload: Signal
    ready: Signal
    room: Signal
    write: Signal
    data: Signal

    @property
    def taken(self) -> Any:
        """Whether an item leaves."""
        return self.valid & self.ready


def cut_queues(verilog: str, dut: Dut) -> Iterator[tuple[CutQueue, str]]:
    """Each queue's ports, and its module."""
    for place, module in queues(verilog, TOP):
        kind = place.rpartition(".")[2]
        valid, payload, ready, room, write, item = (
            next(dut[f"{place}.{end}"] for end in ends if dut.has(f"{place}.{end}"))
            for ends in (
                *((f"o__{name}", f"{kind}_o_{name}") for name in ("valid", "payload", "ready")),
                ("room", f"{kind}_room"),
                ("write_enable",),
                ("write_data",),
            )
        )
        yield CutQueue(place, valid, payload, ready, room, write, item), module


def _begin(verilog: str, design: Opened) -> tuple[Claim, Dut, list[tuple[CutQueue, str]]]:
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    found = list(cut_queues(verilog, dut))
    for queue, _ in found:
        label = queue.place.replace(".", "_")
        claim.given(claim.held(queue.valid, queue.ready, queue.payload, label))
        if dut.has(f"{queue.place}.empty"):
            claim.given(~(dut[f"{queue.place}.empty"] & queue.valid))
    claim.free += dut.free
    return claim, dut, found


def unit_rules(verilog: str, design: Opened, *, late: str = "") -> Claim:
    """Every queue's producer keeps to its contract, and every stream out holds what it offers.

    Of the queue at the place ``late`` a contract is asked that is an item stricter than its own.
    """
    claim, dut, found = _begin(verilog, design)
    for queue, module in found:
        slack = queue_of(verilog, module).slack - (queue.place == late)
        label = queue.place.replace(".", "_")
        kept, _ = contract(claim.module, queue.write, queue.room, slack, label)
        claim.always(kept)
    for stream in ("m_axis", "m_row"):
        if dut.has(f"{stream}_tvalid"):
            ports = (f"{stream}_{name}" for name in ("tdata", "tkeep", "tuser", "tid", "tlast"))
            payload = Cat(dut[port] for port in ports if dut.has(port))
            valid, ready = dut[f"{stream}_tvalid"], dut[f"{stream}_tready"]
            claim.always(claim.held(valid, ready, payload, stream))
    return claim


@cache
def _made(config: SoftmaxConfig) -> Softmax:
    """The unit in Python, for what its blocks say of themselves."""
    unit = Softmax(config)
    # Amaranth warns of what is put into no design.
    Fragment.get(unit, None)  # type: ignore[no-untyped-call]
    return unit


def shapes_of(config: SoftmaxConfig) -> dict[str, Any]:
    """Shape of an item of each queue, by the queue's name."""
    unit = _made(config)
    blocks = unit.arrival.blocks | unit.kernel.blocks
    return {name: block.shape for name, block in blocks.items() if isinstance(block, Fifo)}


def follows(claim: Claim, put: Any, put_bits: Any, get: Any, get_bits: Any) -> None:
    """Claims that what was put comes, all of it, in order, nothing else, ``MOST`` under way."""
    m = claim.module
    inside = Signal(range(2 * MOST))
    m.d.sync += inside.eq(inside + put - get)
    claim.always(~get | put | (inside != 0))
    claim.always(inside <= MOST)
    # Any one of them, which may come in the very cycle in which it was put.
    on, ahead, bits = Signal(), Signal(range(2 * MOST)), Signal(len(put_bits))
    chosen = on | (put & claim.unknown(1, "choice"))
    before, its_bits = Mux(on, ahead, inside), Mux(on, bits, put_bits)
    comes = chosen & get & (before == 0)
    m.d.sync += [on.eq(chosen & ~comes), ahead.eq(before - get), bits.eq(its_bits)]
    claim.always(~comes | (its_bits == get_bits))


def arrives(claim: Claim, put: Any, put_bits: Any, get: Any, get_bits: Any, cycles: int) -> None:
    """Claims that what was put comes ``cycles`` later, and nothing else ever."""
    m = claim.module
    for cycle in range(cycles):
        later, later_bits = Signal(name=f"put{cycle}"), Signal(len(put_bits), name=f"bits{cycle}")
        m.d.sync += [later.eq(put), later_bits.eq(put_bits)]
        put, put_bits = later, later_bits
    claim.always(get == put)
    claim.always(~put | (put_bits == get_bits))


def stations(verilog: str) -> list[str]:
    """Where a unit's beats go one after the other: receiver, queues of beats, port."""
    found = [place.rpartition(".")[2] for place, _ in queues(verilog, TOP)]
    beats = [name for name in ("row_buffer", "code_fifo", "store") if name in found]
    return ["receiver", *beats, "m_axis"]


def ways(verilog: str) -> list[tuple[str, str]]:
    """From where to where ``row_rules`` follow beats, or the rows that they close."""
    beats = stations(verilog)
    sums = next(
        name
        for place, _ in queues(verilog, TOP)
        if (name := place.rpartition(".")[2]) in ("sum_queue", "results")
    )
    behind = "row_buffer" if "row_buffer" in beats else "receiver"
    return [*pairwise(beats), (behind, sums)]


def receiver_rules(
    verilog: str, config: SoftmaxConfig, design: Opened, *, longer: int = 0
) -> Claim:
    """Beats that are taken are kept, but for those beyond max_row; and their flags as documented.

    A row's last beat is the one with tlast, or the one that reaches max_row, which has an error
    then; all others have ones for a tail. With rows allowed that are ``longer`` by so many beats,
    it is not true.
    """
    claim, dut, _ = _begin(verilog, design)
    m, format = claim.module, config.format
    taken, last = dut["s_axis_tvalid"] & dut["s_axis_tready"], dut["s_axis_tlast"]
    count, dropping = Signal(range(format.beats + longer)), Signal()
    full = count == format.beats + longer - 1
    with m.If(taken):
        m.d.sync += [
            dropping.eq(~last & (dropping | full)),
            count.eq(Mux(last | full, 0, Mux(dropping, count, count + 1))),
        ]
    keep = dut["s_axis_tkeep"]
    tail = Cat(~last | keep[lane * format.logit_bytes] for lane in range(format.lanes))
    kept: Any = taken & ~dropping
    flags: Any = Cat(tail, last | full, full & ~last)
    for stage in range(_made(config).receiver.latency):
        later, later_flags = Signal(name=f"kept{stage}"), Signal(len(flags), name=f"flags{stage}")
        m.d.sync += [later.eq(kept), later_flags.eq(flags)]
        kept, flags = later, later_flags
    valid, payload = _from_receiver(verilog, dut)
    into = data.View(row_beat(format), payload)
    claim.always(valid == kept)
    claim.always(~kept | (Cat(into.tail, into.last) == flags[:-1]))
    # A row may be in error for its context or its numbers, too.
    claim.always(~(kept & flags[-1]) | into.error)
    if not format.context_bits and format.float_format is None:
        claim.always(~kept | (into.error == flags[-1]))

    # The receiver's own count is the state of a shift register.
    claim.always(dropping == dut["core.receiver.dropping"])
    if format.beats > 1:
        states = Array(lfsr_state(lfsr_width(format.beats), k) for k in range(format.beats))
        claim.always((count < format.beats) & (dut["core.receiver.count"] == states[count]))
    return claim


def _from_receiver(verilog: str, dut: Dut) -> tuple[Signal, Signal]:
    valid, payload = (dut[f"core.receiver.{name}"] for name in _given(verilog))
    return valid, payload


def row_rules(
    verilog: str,
    config: SoftmaxConfig,
    design: Opened,
    way: tuple[str, str],
    *,
    cycles: int | None = None,
    wrong: bool = False,
) -> Claim:
    """Beats come once, in order, with the ``tail`` and ``last`` that they had, and no others.

    ``way`` is one of ``ways``. At m_axis tkeep and tlast are what they are made into. To the queue
    of sums the last beats of rows are followed alone: a row has one sum. With ``cycles`` they come
    after so many exactly. What is ``wrong``, where that is asked for: ``last`` is inverted.
    """
    claim, dut, found = _begin(verilog, design)
    shapes = shapes_of(config) | {"receiver": row_beat(config.format)}
    queue = {each.place.rpartition(".")[2]: each for each, _ in found}
    start, end = way
    if start == "receiver":
        put, payload = _from_receiver(verilog, dut)
    else:
        put, payload = queue[start].taken, queue[start].payload
    beat = data.View(shapes[start], payload)
    put_bits: Any = Cat(beat.tail, beat.last)
    get_bits: Any = Const(1, 1)
    if end == "m_axis":
        get = dut["m_axis_tvalid"] & dut["m_axis_tready"]
        put_bits = Cat(*keep_of(config, beat.tail), beat.last)
        get_bits = Cat(dut["m_axis_tkeep"], dut["m_axis_tlast"])
    elif end in stations(verilog):
        get, into = queue[end].write, data.View(shapes[end], queue[end].data)
        get_bits = Cat(into.tail, into.last)
    else:
        put, put_bits, get = put & beat.last, Const(1, 1), queue[end].write
    if wrong:
        put_bits = put_bits ^ (1 << len(put_bits) - 1)
    if cycles is None:
        follows(claim, put, put_bits, get, get_bits)
    else:
        arrives(claim, put, put_bits, get, get_bits, cycles)
    return claim


def free_running(config: SoftmaxConfig, way: tuple[str, str]) -> bool:
    """Whether nothing can stop a beat on the way."""
    start, end = way
    return end != "m_axis" and not (start == "row_buffer" and config.format.output == "codes")


def keep_of(config: SoftmaxConfig, tail: Any) -> list[Any]:
    """tkeep of a beat whose lanes hold elements where ``tail`` says so: lanes from the first on."""
    format = config.format
    if format.output == "codes":
        codes: Any = unit_kind(config.kernel).output(config.kernel)["codes"].shape
        bits = Shape.cast(codes.elem_shape).width
        octets = -(-format.lanes * bits // 8)
        return [tail[8 * octet // bits] for octet in range(octets)]
    return [tail[octet // format.prob_bytes] for octet in range(format.prob_bytes * format.lanes)]
