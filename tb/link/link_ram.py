"""A memory that fails the simulation where its contract is broken."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth import hdl
from amaranth.hdl import Module, Signal

from exaq_fpga.gateware.framing import cobs_encoder, frame_receiver
from exaq_fpga.gateware.framing.octet_ram import OctetRam

# Its type asks for the message that may go with it.
Assert: Any = hdl.Assert


class CheckedRam(OctetRam):
    """An ``OctetRam`` of which no place may be read before it is written, or as it is."""

    def elaborate(self, platform: Any) -> Module:
        ports: Any = self
        parent: Any = super()
        m: Module = parent.elaborate(platform)
        written = Signal(self.depth)
        with m.If(ports.write_enable):
            m.d.sync += written.bit_select(ports.write_address, 1).eq(1)
        with m.If(ports.read_enable):
            m.d.sync += [
                Assert(written.bit_select(ports.read_address, 1)),
                Assert(~ports.write_enable | (ports.write_address != ports.read_address)),
            ]
        return m


@pytest.fixture(autouse=True)
def checked_memories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every buffer of the link is a ``CheckedRam``."""
    monkeypatch.setattr(cobs_encoder, "OctetRam", CheckedRam)
    monkeypatch.setattr(frame_receiver, "OctetRam", CheckedRam)
