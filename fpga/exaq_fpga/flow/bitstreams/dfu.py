"""The suffix that dfu-util wants at the end of a file: whom the file is for, and a check."""

from __future__ import annotations

import struct
import zlib

#: USB vendor and product of the OrangeCrab's bootloader.
VENDOR, PRODUCT = 0x1209, 0x5AF0

_FIELDS = struct.Struct("<HHHH3sB")
_ANY_RELEASE = 0xFFFF
_DFU_VERSION = 0x0100


def with_suffix(content: bytes, *, vendor: int = VENDOR, product: int = PRODUCT) -> bytes:
    """``content`` with a DFU suffix, as the USB class's specification 1.1, appendix B, has it."""
    length = _FIELDS.size + 4
    fields = _FIELDS.pack(_ANY_RELEASE, product, vendor, _DFU_VERSION, b"UFD", length)
    # The specification's CRC is zlib's without the inversion at the end.
    check = zlib.crc32(content + fields) ^ 0xFFFFFFFF
    return content + fields + struct.pack("<I", check)
