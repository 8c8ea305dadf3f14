"""What a queue of the emitted text keeps to, for ever: ``queue_rules``.

If its producer sends less than ``slack`` items while ``room`` is low, as its contract says, then a
queue never overflows, gives what it was given, in order and each item once, shows an item at most
two cycles after it could, holds it until it is taken, and never reads and writes one word in one
cycle. With short cut (``FallThroughFifo``) likewise.

One item is watched, any of them: the prover chooses the cycle and the place in memory. Memory is
one word then, and what is read of others is anything at all. Places are counted from 0, where the
queue's own addresses may be the states of a shift register; that these run through all places in
one circle is a proof of its own, ``address_rules``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, signed
from formal_engines import Claim
from formal_text import Dut, Opened, modules_of, opened

from exaq_hdl.parts.counters import lfsr_next, lfsr_state, lfsr_width


@dataclass(frozen=True)
class Queue:
    """A queue of the text.

    Members
    -------
    module
        Its module, or that of the queue with a short cut that it is in.
    places
        Items that its memory has room for.
    slack
        Places that are free while ``room`` is high, at least.
    first
        The addresses' state after reset: 1 where they are a shift register's.
    short_cut
        Whether it is within a ``FallThroughFifo``.
    """

    module: str
    places: int
    slack: int
    first: int
    short_cut: bool

    @property
    def inner(self) -> str:
        """Before names of what is in the queue itself."""
        return "fifo." if self.short_cut else ""


def queue_of(verilog: str, module: str) -> Queue:
    """Reads the figures of a queue out of its text.

    Free places are counted down from ``places - slack`` (``spare``), and addresses begin again
    behind the last place.
    """
    texts = modules_of(verilog)
    inner = re.search(r"^  (\w+) +fifo \($", texts[module], re.M)
    text = texts[inner[1]] if inner else texts[module]
    spare = re.search(r"^    spare <= (\S+) ;", text, re.M)
    address = re.search(r"^    write_address <= (\S+) ;", text, re.M)
    assert spare, module
    assert address, module
    start, first = (
        int(_found(rf"assign {re.escape(name[1])} += rst \? \d+'h(\w+) :", text), 16)
        for name in (spare, address)
    )
    width = int(_found(r"reg \[(\d+):0\] write_address;", text)) + 1
    if first:
        places = (1 << width) - 1
    else:
        places = int(_found(r"write_address == \d+'h(\w+)", text), 16) + 1
    return Queue(module, places, places - start - bool(inner), first, bool(inner))


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, pattern
    return found[1]


def open_queue(verilog: str, queue: Queue, folder: Path) -> Opened:
    """The queue without its memory, what it counts and keeps shown."""
    show = [queue.inner + name for name in ("spare", "stored", "v1")]
    if queue.short_cut:
        show += ["i__valid", "i__payload", "fifo.o__valid"]
    if " aside;" in modules_of(verilog)[queue.module]:
        show += ["aside", "occupied"]
    return opened(verilog, queue.module, folder, cut=[f"{queue.inner}ram"], show=show)


def contract(m: Module, put: Any, room: Any, slack: int, name: str) -> tuple[Any, Signal]:
    """Whether a producer keeps to its contract, and what it sent since ``room`` is low.

    It may send while ``room`` is high, and less than ``slack`` items while it is low: those that
    were on their way. A producer that is heard ``slack`` cycles after its look at ``room``, at
    most, keeps to that.
    """
    sent = Signal(range(slack + 1), name=f"{name}_sent")
    m.d.sync += sent.eq(Mux(room, 0, sent + put))
    return ~put | room | (sent < slack - 1), sent


def queue_rules(design: Opened, queue: Queue, *, late: int = 0) -> Claim:
    """The claim. With a producer that sends ``late`` items more than its contract allows, it is not
    true.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    places, slack = queue.places, queue.slack + late
    counts = places.bit_length() + 2

    def port(*ends: str) -> Signal:
        """The one of these that there is."""
        return next(dut[end] for end in ends if dut.has(end))

    room = port("room")
    put, put_data = (port(f"i_{it}", f"write_{old}") for it, old in _PUT)
    o_valid, o_payload, o_ready = (
        port(f"o_{it}", f"o__{it}") for it in ("valid", "payload", "ready")
    )
    write, read, data, output_enable = (
        dut[f"{queue.inner}ram.{name}"]
        for name in ("write_enable", "read_enable", "write_data", "output_enable")
    )
    v1, spare, stored = (dut[queue.inner + name] for name in ("v1", "spare", "stored"))
    taken = o_valid & o_ready

    kept, sent = contract(m, put, room, slack, "producer")
    claim.given(kept)

    # What is inside, by counting.
    count, w, r = Signal(counts), Signal(range(places)), Signal(range(places))
    m.d.sync += count.eq(count + put - taken)

    def behind(place: Any) -> Any:
        return Mux(place >= places, place - places, place)

    with m.If(write):
        m.d.sync += w.eq(behind(w + 1))
    with m.If(read):
        m.d.sync += r.eq(behind(r + 1))

    # The memory's one word, its latch and its output.
    watched = claim.constant(len(w), "watched")
    claim.given(watched < places)
    word, latch, given = (
        Signal(len(data), reset_less=True, name=name) for name in ("word", "latch", "given")
    )
    with m.If(write & (w == watched)):
        m.d.sync += word.eq(data)
    with m.If(read):
        m.d.sync += latch.eq(Mux(r == watched, word, claim.unknown(len(data), "others")))
    with m.If(output_enable):
        m.d.sync += given.eq(latch)
    dut.drive(f"{queue.inner}ram.read_data", given)

    # Where items stand on their way out, the next one first; and on the way in.
    out = [(o_valid, o_payload)]
    if dut.has("aside"):
        out.append((dut["occupied"], dut["aside"]))
    if queue.short_cut:
        out.append((dut["fifo.o__valid"], given))
    out.append((v1, latch))
    comes, coming = (dut["i__valid"], dut["i__payload"]) if queue.short_cut else (Const(0, 1), data)
    read_ahead, in_memory = Signal(range(len(out) + 1)), Signal(signed(counts + 2))
    m.d.comb += [
        read_ahead.eq(sum(valid for valid, _ in out)),
        in_memory.eq(count - read_ahead - comes),
    ]

    # The watched item, chosen when it comes.
    on, item, ahead = Signal(), Signal(len(data), reset_less=True), Signal(counts)
    its_place = behind(w + comes)
    with m.If(put & ~on & claim.unknown(1, "choice") & (its_place == watched)):
        m.d.sync += [on.eq(1), item.eq(put_data), ahead.eq(count - taken)]
    with m.Elif(taken):
        m.d.sync += ahead.eq(ahead - 1)
        with m.If(ahead == 0):
            m.d.sync += on.eq(0)

    held, was, waits = Signal(), Signal(len(data), reset_less=True), Signal(3)
    m.d.sync += [
        held.eq(o_valid & ~o_ready),
        was.eq(o_payload),
        waits.eq(Mux(o_valid | (count == 0), 0, waits + 1)),
    ]

    # The theorem.
    claim.always(~o_valid | (count != 0))
    claim.always(~(on & (ahead == 0) & o_valid) | (o_payload == item))
    claim.always(~held | (o_valid & (o_payload == was)))
    claim.always(~(write & read & (w == r)))
    claim.always((in_memory >= 0) & (in_memory <= places) & ~(write & (in_memory == places)))
    claim.always(waits <= (4 if queue.short_cut else 2))
    claim.always(room == (in_memory <= places - queue.slack - queue.short_cut))
    if dut.has("empty"):
        claim.always(dut["empty"] == (count == 0))

    # What the induction needs beside it.
    claim.always((w < places) & (r < places))
    claim.always(spare.as_signed() == places - queue.slack - queue.short_cut - in_memory)
    claim.always(stored == (in_memory != 0))
    claim.always(w == behind(r + in_memory.as_unsigned()[:counts]))
    claim.always(in_memory + comes <= places - slack + Mux(room, 0, sent + 1))
    claim.always(~on | (ahead < count))
    passed: Any = Const(0, 1)
    for valid, payload in out:
        claim.always(~(on & valid & (ahead == passed)) | (payload == item))
        passed = passed + valid
    rest = Signal(counts)
    m.d.comb += rest.eq(ahead - read_ahead)
    with m.If(on & (ahead >= read_ahead) & (rest < in_memory.as_unsigned()[:counts])):
        claim.always((watched == behind(r + rest)) & (word == item))
    with m.If(on & (ahead >= read_ahead) & (rest == in_memory.as_unsigned()[:counts])):
        claim.always((watched == w) & comes & (coming == item))
    claim.free += dut.free
    return claim


# Ends of names of what is put into a queue: of one with a short cut, and of its memory else.
_PUT = (("valid", "enable"), ("payload", "data"))


def address_rules(design: Opened, queue: Queue, *, skip: int = 0) -> Claim:
    """Both addresses begin at one place and go to the next one, round and round.

    The places' order is that of a shift register, or of counting; either has each place once,
    which is checked here. With an order that begins ``skip`` places later it is not true.
    """
    if queue.first:
        width = lfsr_width(queue.places)
        order = [lfsr_state(width, steps) for steps in range(queue.places)]
    else:
        order = list(range(queue.places))
    assert len(set(order)) == queue.places
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    for name in ("write", "read"):
        address = dut[f"{queue.inner}ram.{name}_address"]
        at = Signal(len(address), name=f"{name}_at", init=order[skip])
        after = lfsr_next(at) if queue.first else Mux(at == queue.places - 1, 0, at + 1)
        with m.If(dut[f"{queue.inner}ram.{name}_enable"]):
            m.d.sync += at.eq(after)
        claim.always(address == at)
    claim.free += dut.free
    return claim
