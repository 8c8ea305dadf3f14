"""What holds of framing for any input at all, by SAT: for ever, or for all of some length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, ResetSignal, Signal
from formal_engines import Answer, Assert, Assume, Claim, bounded, induct

from exaq_fpga.gateware.framing import cobs_encoder
from exaq_fpga.gateware.framing.cobs_decoder import CobsDecoder
from exaq_fpga.gateware.framing.cobs_encoder import CobsEncoder
from exaq_fpga.gateware.transports.uart import UartReceiver, UartTransmitter


def holds(module: Module, ports: list[Any], folder: Path, *, steps: int, for_ever: bool) -> bool:
    """Whether no assertion of ``module`` can fail within ``steps`` cycles behind a first reset, or
    in any number of them, whatever its inputs ``ports`` do.
    """
    claim = Claim(module, free=ports)
    claim.given(claim.first | ~ResetSignal())
    answer = (induct if for_ever else bounded)(claim, folder, steps=steps + 1)
    assert answer is not Answer.UNKNOWN
    return answer is Answer.PROVED


def decoder_rules(*, wrong_end: int = 0) -> tuple[Module, list[Any]]:
    """What the decoder says of an octet, by the octet alone; ``wrong_end`` plants a fault."""
    m = Module()
    decoder: Any = CobsDecoder()
    m.submodules.decoder = decoder
    octet, valid = Signal(8), Signal()
    m.d.sync += [octet.eq(decoder.i.payload), valid.eq(decoder.i.valid)]
    item = decoder.o.payload
    with m.If(decoder.o.valid):
        m.d.comb += [
            # An item at most for an octet; an end for a delimiter alone.
            Assert(valid),
            Assert(item.end == (octet == wrong_end)),
            # What an octet gives is itself, or the zero that a code stands for.
            Assert((item.data == octet) | (item.data == 0)),
        ]
    return m, [decoder.i.valid, decoder.i.payload]


def test_decoder_for_ever(tmp_path: Path) -> None:
    module, ports = decoder_rules()
    assert holds(module, ports, tmp_path, steps=4, for_ever=True)


def test_a_planted_fault_is_found(tmp_path: Path) -> None:
    """The proofs can fail: of a decoder that ended frames elsewhere, this one does."""
    module, ports = decoder_rules(wrong_end=1)
    assert not holds(module, ports, tmp_path, steps=4, for_ever=True)


def test_decoder_by_position(tmp_path: Path) -> None:
    """Any 12 octets: data, implied zeros, ends and ``good`` are where blocks' lengths say.

    The decoder counts down what is left of a block; here the places are counted up.
    """
    m = Module()
    decoder: Any = CobsDecoder()
    m.submodules.decoder = decoder
    octet, valid = decoder.i.payload, decoder.i.valid
    begun, code, place = Signal(), Signal(8), Signal(8)
    is_code = Signal()
    m.d.comb += is_code.eq(~begun | (place == code))
    data, end, good, gives = Signal(8), Signal(), Signal(), Signal()
    m.d.sync += gives.eq(0)
    with m.If(valid):
        m.d.sync += [data.eq(octet), end.eq(octet == 0), good.eq(is_code), gives.eq(begun)]
        with m.If(octet == 0):
            m.d.sync += begun.eq(0)
        with m.Elif(is_code):
            m.d.sync += [begun.eq(1), code.eq(octet), place.eq(1)]
            m.d.sync += [data.eq(0), gives.eq(begun & (code != 255))]
        with m.Else():
            m.d.sync += place.eq(place + 1)
    item = decoder.o.payload
    m.d.comb += Assert(decoder.o.valid == gives)
    with m.If(gives):
        m.d.comb += Assert(item.end == end)
        with m.If(end):
            m.d.comb += Assert(item.good == good)
        with m.Else():
            m.d.comb += Assert(item.data == data)
    # An octet in each cycle, so that 12 cycles are 12 octets.
    m.d.comb += Assume(valid)
    assert holds(m, [octet, valid], tmp_path, steps=14, for_ever=False)


def test_decoder_gives_back_what_the_encoder_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that can happen in 16 cycles: messages of octets 0 to 3, any stalls.

    The n-th octet and the n-th end are looked at, for an n that the solver chooses.
    """
    # Solvers and large memories do not go together; this one holds what 16 cycles can.
    monkeypatch.setattr(cobs_encoder, "BUFFER", 8)
    m = Module()
    encoder: Any = CobsEncoder()
    decoder: Any = CobsDecoder()
    m.submodules.encoder = encoder
    m.submodules.decoder = decoder
    line_ready = Signal()
    m.d.comb += [
        encoder.o.ready.eq(line_ready),
        decoder.i.valid.eq(encoder.o.valid & line_ready),
        decoder.i.payload.eq(encoder.o.payload),
    ]

    choice, chosen, started = Signal(3), Signal(3), Signal()
    m.d.sync += started.eq(1)
    with m.If(~started):
        m.d.sync += chosen.eq(choice)
        m.d.comb += Assume(~encoder.i.valid)
    m.d.comb += Assume(encoder.i.payload.data < 4)

    taken, taken_ends, given, given_ends = (Signal(4, name=f"count{k}") for k in range(4))
    octet, has_octet, length, has_end = Signal(8), Signal(), Signal(4), Signal()
    source, item = encoder.i.payload, decoder.o.payload
    with m.If(encoder.i.valid & encoder.i.ready):
        m.d.sync += taken.eq(taken + 1)
        with m.If(taken == chosen):
            m.d.sync += [octet.eq(source.data), has_octet.eq(1)]
        with m.If(source.last):
            m.d.sync += taken_ends.eq(taken_ends + 1)
            with m.If(taken_ends == chosen):
                m.d.sync += [length.eq(taken + 1), has_end.eq(1)]
    with m.If(decoder.o.valid & ~item.end):
        m.d.sync += given.eq(given + 1)
        m.d.comb += Assert(given < taken)
        with m.If(given == chosen):
            m.d.comb += Assert(has_octet & (item.data == octet))
    with m.If(decoder.o.valid & item.end):
        m.d.sync += given_ends.eq(given_ends + 1)
        m.d.comb += Assert(item.good)
        with m.If(given_ends == chosen):
            m.d.comb += Assert(has_end & (given == length))
    ports = [choice, line_ready, encoder.i.valid, source.as_value()]
    assert holds(m, ports, tmp_path, steps=16, for_ever=False)


def test_uart_at_its_fastest(tmp_path: Path) -> None:
    """Any octets, with any pauses, in 60 cycles: received as sent."""
    m = Module()
    transmitter: Any = UartTransmitter(4)
    receiver: Any = UartReceiver(4)
    m.submodules.transmitter = transmitter
    m.submodules.receiver = receiver
    m.d.comb += receiver.rx.eq(transmitter.tx)
    # An octet is received a few cycles after the next may be taken.
    sent, before, earlier = (Signal(8, name=f"sent{k}") for k in range(3))
    with m.If(transmitter.i.valid & transmitter.i.ready):
        m.d.sync += sent.eq(transmitter.i.payload)
    m.d.sync += [before.eq(sent), earlier.eq(before)]
    m.d.comb += Assert(~receiver.error)
    with m.If(receiver.o.valid):
        m.d.comb += Assert(receiver.o.payload == earlier)
    ports = [transmitter.i.valid, transmitter.i.payload]
    assert holds(m, ports, tmp_path, steps=60, for_ever=False)


def test_wrong_parts_are_told_apart(tmp_path: Path) -> None:
    """That the link's proofs can fail as well: a receiver that is a bit slower than its line."""
    m = Module()
    transmitter: Any = UartTransmitter(4)
    receiver: Any = UartReceiver(5)
    m.submodules.transmitter = transmitter
    m.submodules.receiver = receiver
    m.d.comb += [receiver.rx.eq(transmitter.tx), Assert(~receiver.error)]
    with m.If(receiver.o.valid):
        m.d.comb += Assert(receiver.o.payload == 0)
    ports = [transmitter.i.valid, transmitter.i.payload]
    assert not holds(m, ports, tmp_path, steps=60, for_ever=False)
