"""The check of frames: CRC-32 as zlib computes it, in hardware."""

from amaranth.lib import crc

#: Bits that go into the check in a cycle. An octet then takes as long as the fastest UART has
#: for a bit, and the check a third of the logic that whole octets would need.
CHECK_BITS = 2
#: Cycles in which an octet goes into the check, lowest bits first.
CHECK_CYCLES = 8 // CHECK_BITS


def frame_check():
    """The processor of a frame's check, which takes ``CHECK_BITS`` bits per cycle."""
    return crc.catalog.CRC32_ISO_HDLC(data_width=CHECK_BITS).create()
