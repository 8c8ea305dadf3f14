"""What the boards' sender of frames keeps to: ``sender_rules``.

Check and stuffing are cut out. Where the stuffing takes an octet, the next in order is there: those
of the message, each once, and behind its last one those of its check, the last of which is told to
be the frame's. The check is given each octet of the message, in the cycles from then on.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from amaranth.hdl import Module, Mux, Signal
from formal_engines import Claim
from formal_gateware import text_of
from formal_text import Dut, Opened, opened

from exaq_fpga.gateware.framing.frame_check import CHECK_BITS, CHECK_CYCLES
from exaq_fpga.gateware.framing.frame_sender import FrameSender
from exaq_fpga.link.protocol import CHECK

MODULE = "frame_sender"
#: Of CRC-32, the lowest power highest.
POLYNOMIAL = 0xEDB88320
#: What the check of any octets and of their own check leaves.
RESIDUE = ~zlib.crc32(zlib.crc32(b"").to_bytes(CHECK, "little")) & 0xFFFFFFFF


def sender_text() -> str:
    """The sender."""
    return text_of(FrameSender(), MODULE)


def open_sender(text: str, folder: Path) -> Opened:
    """The sender without check and stuffing."""
    return opened(text, MODULE, folder, cut=["check", "cobs"])


def sender_rules(design: Opened, *, octets: int = CHECK) -> Claim:
    """The claim. With a check of another number of ``octets``, it is not true."""
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    taken, given = Signal(), Signal()
    m.d.comb += [
        taken.eq(dut["i__valid"] & dut["i__ready"]),
        given.eq(dut["cobs.i__valid"] & dut["cobs.i__ready"]),
    ]
    source, out = dut["i__payload"], dut["cobs.i__payload"]
    claim.always(claim.held(dut["cobs.i__valid"], dut["cobs.i__ready"], out, "octet"))

    # The octet that was taken and not yet given; how many of the check's own are still to come.
    waits, octet, ends, left = Signal(), Signal(8), Signal(), Signal(range(octets + 1))
    with m.If(taken):
        m.d.sync += [waits.eq(1), octet.eq(source[:8]), ends.eq(source[8])]
    with m.If(given):
        m.d.sync += waits.eq(0)
        with m.If(waits & ends):
            m.d.sync += left.eq(octets)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
    claim.always(~(taken & (waits | (left != 0))))
    claim.always(~dut["cobs.i__valid"] | (waits ^ (left != 0)))
    claim.always(~(dut["cobs.i__valid"] & waits) | (out[:8] == octet))
    claim.always(~dut["cobs.i__valid"] | (out[8] == (left == 1)))

    # The check's own octets are its low ones, as they are in the cycle before.
    offered, low = Signal(), Signal(8)
    m.d.sync += [offered.eq(dut["cobs.i__valid"]), low.eq(dut["check.crc"][:8])]
    begins = dut["cobs.i__valid"] & ~offered & (left != 0)
    claim.always(~begins | (out[:8] == low))

    # What the check is given: what was handed on, in this cycle and those after it. For its own
    # octets it shifts itself out: each bit goes in inverted beside what it is about to give.
    since, own, handed = Signal(range(CHECK_CYCLES + 1), init=CHECK_CYCLES), Signal(), Signal(8)
    shown = Mux(given, 0, since)[:2]
    m.d.sync += since.eq(Mux(given, 1, since + (since != CHECK_CYCLES)))
    with m.If(given):
        m.d.sync += [own.eq(left != 0), handed.eq(out[:8])]
    shifts = given | (since != CHECK_CYCLES)
    piece = Mux(given, out[:8], handed).word_select(shown, CHECK_BITS)
    inverted = Mux(given, left != 0, own).replicate(CHECK_BITS)
    claim.always(dut["check.valid"] == shifts)
    claim.always(~shifts | (dut["check.data"] == piece ^ inverted))
    # It begins anew behind a frame, and only there.
    behind = Signal()
    m.d.sync += behind.eq((since == CHECK_CYCLES - 1) & own & (left == 0))
    claim.always(dut["check.restart"] == behind)

    # Nothing stands still: an octet is taken, or offered, in a bounded time.
    still = Signal(range(CHECK_CYCLES + 3))
    rests = dut["i__ready"] | dut["cobs.i__valid"]
    m.d.sync += still.eq(Mux(rests, 0, still + 1))
    claim.always(still <= CHECK_CYCLES + 1)
    claim.free += dut.free
    return claim


def open_check(text: str, module: str, folder: Path) -> Opened:
    """The check that is in ``module``."""
    return opened(text, f"{module}__check", folder, show=["crc_reg"])


def check_rules(design: Opened, *, polynomial: int = POLYNOMIAL) -> Claim:
    """Each step is that of CRC-32 for its bits, lowest first, from all ones on, and nothing else
    changes it. A frame matches where its octets and their check leave what they always do.

    The register is in the order of bits in which CRC-32 is defined, the other way round than it is
    sent. With another ``polynomial`` it is not true.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)
    register = dut["crc_reg"][::-1]
    remainder = Signal(32, init=0xFFFFFFFF)
    step: Any = remainder
    for bit in dut["data"]:
        step = (step >> 1) ^ Mux(step[0] ^ bit, polynomial, 0)
    with m.If(dut["restart"]):
        m.d.sync += remainder.eq(0xFFFFFFFF)
    with m.Elif(dut["valid"]):
        m.d.sync += remainder.eq(step)
    claim.always(register == remainder)
    if dut.has("match_detected"):
        claim.always(dut["match_detected"] == (remainder == RESIDUE))
    if dut.has("crc"):
        claim.always(dut["crc"] == ~remainder)
    claim.free += dut.free
    return claim
