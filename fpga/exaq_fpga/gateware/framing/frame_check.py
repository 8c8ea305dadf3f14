"""The check of frames: CRC-32 as zlib computes it, in hardware."""

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib.crc import catalog

#: Bits that go into the check in a cycle: so few, because an octet may take as long as the fastest
#: UART does for a bit, and logic grows with them.
CHECK_BITS = 2
#: Cycles in which an octet goes into the check, lowest bits first.
CHECK_CYCLES = 8 // CHECK_BITS


def add_frame_check(m: Module, restart: Signal) -> Any:
    """Add the processor of a check, ``CHECK_BITS`` bits per cycle, as submodule ``check``.

    ``restart`` begins a new check and goes before ``valid``. It is a reset, because the
    processor's own ``start`` costs logic in every bit.
    """
    processor = catalog.CRC32_ISO_HDLC(data_width=CHECK_BITS).create()
    m.submodules.check = ResetInserter(restart)(processor)
    return processor
