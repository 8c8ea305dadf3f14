"""What holds of framing and of the UART for any input at all of some length, by SAT.

What holds for ever of stuffing and of its taking off is in ``formal_stuffing``; here the one is
behind the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import formal_stuffing
import pytest
from amaranth.hdl import Module, ResetSignal, Signal
from formal_engines import Answer, Assert, Assume, Claim, bounded, induct

from exaq_fpga.gateware.framing import cobs_encoder
from exaq_fpga.gateware.framing.cobs_decoder import CobsDecoder
from exaq_fpga.gateware.framing.cobs_encoder import CobsEncoder
from exaq_fpga.gateware.transports.uart import UartReceiver, UartTransmitter


def holds(module: Module, ports: list[Any], folder: Path, *, steps: int) -> bool:
    """Whether no assertion of ``module`` can fail within ``steps`` cycles behind a first reset,
    whatever its inputs ``ports`` do.
    """
    claim = Claim(module, free=ports)
    claim.given(claim.first | ~ResetSignal())
    return bounded(claim, folder, steps=steps + 1) is Answer.PROVED


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("code == 8'hfe", "code == 8'hff"),
        ("| empty_follows", "& empty_follows"),
        ("? open : fill", "? fill : open"),
        ("closing ? code :", "closing ? 8'h02 :"),
    ],
)
def test_the_proof_of_the_encoder_notices(right: str, wrong: str, tmp_path: Path) -> None:
    """Blocks too long, a frame's end lost, a code in another place, and another code."""
    text = formal_stuffing.encoder_text()
    assert text.count(right) == 1
    design = formal_stuffing.open_encoder(text.replace(right, wrong), tmp_path)
    claim = formal_stuffing.encoder_rules(design)
    assert induct(claim, tmp_path, steps=2) is not Answer.PROVED


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
    assert holds(m, ports, tmp_path, steps=16)


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
    assert holds(m, ports, tmp_path, steps=60)


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
    assert not holds(m, ports, tmp_path, steps=60)
