"""What the link's stuffing (COBS) and its taking off keep to, for ever: ``encoder_rules`` and
``decoder_rules``.

Both are compared with what the octets of a line mean by their places: a block's first octet, its
code, counts itself and the block's other octets, none of which is 0; behind a block of less than
255 stands a zero, if another block follows; and a 0 ends the frame. So what the decoder finds in
what the encoder gave is what the encoder took.

The encoder writes a block's code behind its octets. So its octets are read by their places as they
are written, and it is claimed that each place of its buffer is written once before it is given, and
that places are given in order, each once. The buffer itself is cut out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from formal_engines import Claim
from formal_gateware import text_of, with_names
from formal_text import Dut, Opened, opened

from exaq_fpga.gateware.framing.cobs_decoder import (
    DELIMITER,
    FRAME_ITEM,
    FULL_BLOCK,
    CobsDecoder,
)
from exaq_fpga.gateware.framing.cobs_encoder import BUFFER, CobsEncoder

ENCODER, DECODER = "cobs_encoder", "cobs_decoder"
#: Cycles in which nothing moves while it is the encoder's turn, at most.
PATIENCE = 1
#: Octets are numbered up to this, again and again; fewer than half as many are under way.
_NUMBERS = 8


def encoder_text() -> str:
    """The encoder, with a name for its register that tells a message's last block."""
    return with_names(
        text_of(CobsEncoder(), ENCODER), ENCODER, {"last": r"= \\(\S+)  \? 1'h0 : 1'h1;"}
    )


def decoder_text() -> str:
    """The decoder."""
    return text_of(CobsDecoder(), DECODER)


def open_encoder(text: str, folder: Path) -> Opened:
    """The encoder without its buffer."""
    show = ["open", "fill", "code", "closing", "last", "empty_follows"]
    return opened(text, ENCODER, folder, cut=["buffer"], show=show)


def open_decoder(text: str, folder: Path) -> Opened:
    """The decoder, what it counts and keeps shown."""
    return opened(text, DECODER, folder, show=["begun", "left", "zero"])


def encoder_rules(design: Opened, *, kept: bool = False) -> Claim:
    """What is written means what was taken, and is given as it was written; and it goes on.

    Where the zero behind a frame's last block is ``kept``, it is not true.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    bits = (BUFFER - 1).bit_length()
    octet, ends = dut["i__payload"][:8], dut["i__payload"][8]
    taken, fetch = dut["i__valid"] & dut["i__ready"], dut["buffer.read_enable"]
    writes, address, written = (
        dut[f"buffer.{name}"] for name in ("write_enable", "write_address", "write_data")
    )
    puts = taken & (octet != 0)
    closes = writes & ~puts
    is_end = closes & (written == DELIMITER)

    # The open block: where its code goes, and its octets with that; octets that the buffer holds.
    at, length, used = (
        Signal(bits),
        Signal(range(FULL_BLOCK + 1), init=1),
        Signal(range(BUFFER + 1), init=1),
    )
    top = (at + length)[:bits]
    m.d.sync += used.eq(used + writes - fetch)
    with m.If(puts):
        m.d.sync += length.eq(length + 1)
    with m.If(closes):
        m.d.sync += [at.eq(top), length.eq(1)]
    claim.always(~puts | (writes & (address == top) & (written == octet)))
    claim.always(~closes | (address == at))
    claim.always(~closes | Mux(is_end, length == 1, written == length))

    # What was written means, by its places: octets, each with its number. A zero stands behind the
    # last block closed (`gap`), unless the frame ends there.
    gap, begun = Signal(), Signal()
    meant, numbers = Signal(range(_NUMBERS)), Signal(range(_NUMBERS))
    with m.If(puts):
        m.d.sync += [meant.eq(meant + 1 + gap), gap.eq(0)]
    with m.If(closes):
        m.d.sync += [begun.eq(~is_end), gap.eq(~is_end & (written != FULL_BLOCK))]
        m.d.sync += meant.eq(meant + (gap & (1 if kept else ~is_end)))
    m.d.sync += numbers.eq(numbers + taken)
    # What was taken: a zero, any one, by its number; other octets are written as they are taken.
    number, on = claim.constant(len(numbers), "number"), Signal()
    # Whether a message's end was taken, and no end was written.
    ended = Signal()
    zero = gap & (puts | (closes & ~is_end)) & (meant == number)
    with m.If(taken):
        m.d.sync += ended.eq(ends)
    with m.If(is_end):
        m.d.sync += ended.eq(0)
    with m.If(taken & ~puts & (numbers == number)):
        m.d.sync += on.eq(1)
    with m.Elif(zero):
        m.d.sync += on.eq(0)
    claim.always(~zero | on)
    claim.always(~puts | (numbers == (meant + gap)[: len(meant)]))
    claim.always(~is_end | (ended & begun & (meant == numbers)))
    claim.always(~(taken & ended))
    under_way = (numbers - meant)[: len(meant)]
    claim.always(under_way <= 2)

    # Each place: written once before it is given, and given in order.
    place, full = claim.constant(bits, "place"), Signal()
    with m.If(writes & (address == place)):
        m.d.sync += full.eq(1)
    with m.If(fetch & (dut["buffer.read__addr"] == place)):
        m.d.sync += full.eq(0)
    next_out, offered = Signal(bits), Signal()
    m.d.sync += [
        next_out.eq(next_out + fetch),
        offered.eq(Mux(fetch, 1, offered & ~dut["o__ready"])),
    ]
    claim.always(~(writes & (address == place)) | ~full)
    claim.always(~(fetch & (next_out == place)) | full)
    claim.always((dut["buffer.read__addr"] == next_out) & ~(fetch & offered))
    claim.always(~(fetch & writes) | (address != next_out))
    claim.always(dut["o__valid"] == offered)
    claim.always(dut["o__payload"] == dut["buffer.read_data"])

    # It goes on, unless one of its neighbours is waited for.
    waits = Signal(range(PATIENCE + 2))
    turns = (dut["i__ready"] & ~dut["i__valid"]) | (offered & ~dut["o__ready"])
    moves = taken | writes | fetch | (offered & dut["o__ready"])
    m.d.sync += waits.eq(Mux(moves | turns, 0, waits + (waits <= PATIENCE)))
    claim.always(waits <= PATIENCE)

    # What the induction needs beside it: what is to be closed before the frame may end.
    pending, blocks = Signal(), Signal(2)
    with m.If(taken):
        m.d.sync += [pending.eq(octet == 0), blocks.eq(Mux(ends, 1 + (octet == 0), 0))]
    with m.If(closes):
        m.d.sync += [pending.eq(0), blocks.eq(blocks - (blocks != 0))]
    due = ended & (blocks == 0)
    closing = pending | ended | (length == FULL_BLOCK)
    claim.always((dut["open"] == at) & (dut["fill"] == top) & (dut["closing"] == closing))
    claim.always(dut["code"] == Mux(due, DELIMITER, length))
    claim.always(dut["last"] == (blocks == 1))
    claim.always(dut["empty_follows"] == (blocks == 2))
    claim.always((blocks != 3) & (ended | (blocks == 0)) & ((blocks != 2) | pending))
    claim.always((length != 0) & (~due | ((length == 1) & begun & ~pending)))
    claim.always(~pending | ((length != FULL_BLOCK) & (blocks != 1)))
    claim.always((used >= length) & (used <= BUFFER) & (next_out == (top - used)[:bits]))
    free = dut["i__ready"] | (closes & closing)
    claim.always(~free | (used < BUFFER))
    claim.always(under_way == pending + (gap & ~due))
    claim.always(~gap | begun)
    claim.always((length == 1) | ~gap)
    offset = (place - next_out)[:bits]
    claim.always(full == ((offset < used) & (place != at)))
    claim.always(on == ((number - meant)[: len(meant)] < under_way))
    claim.free += dut.free
    return claim


def decoder_rules(design: Opened, *, first_too: bool = False) -> Claim:
    """Each octet of the line gives what it means by its place, a cycle later, or nothing.

    Where a zero stands before a frame's first block, too (``first_too``), it is not true.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    came, octet = dut["i__valid"], dut["i__payload"]
    begun, code, place = Signal(), Signal(8), Signal(8)
    is_code = ~begun | (place == code)
    with m.If(came):
        m.d.sync += begun.eq(octet != DELIMITER)
        with m.If(is_code):
            m.d.sync += [code.eq(octet), place.eq(1)]
        with m.Else():
            m.d.sync += place.eq(place + 1)
    gives = Mux(is_code, (begun | first_too) & (code != FULL_BLOCK), begun)
    end = octet == DELIMITER
    wanted = Signal()
    given: Any = Signal(FRAME_ITEM)
    m.d.sync += wanted.eq(came & Mux(end, begun, gives))
    with m.If(came):
        m.d.sync += Cat(given.data, given.end, given.good).eq(
            Cat(Mux(is_code, 0, octet), end, is_code)
        )
    item: Any = data.View(FRAME_ITEM, dut["o__payload"])
    claim.always(dut["o__valid"] == wanted)
    same = Mux(given.end, item.good == given.good, item.data == given.data)
    claim.always(~wanted | ((item.end == given.end) & same))

    # What the induction needs beside it.
    claim.always(dut["begun"] == begun)
    claim.always(dut["left"] == Mux(begun, code - place, 0)[:8])
    claim.always(~begun | ((place <= code) & (place != 0)))
    claim.always(dut["zero"] == (begun & (code != FULL_BLOCK)))
    claim.free += dut.free
    return claim
