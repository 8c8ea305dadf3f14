"""docs/link.md: its worked bytes, checked from its own words and against the gateware's answers."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import exaq
from exaq import SoftmaxConfig
from exaq_fpga.gateware.station import Station
from exaq_fpga.link.datagrams import LATE, MOST_OCTETS, NUMBER_OCTETS, PORT, Numbering
from exaq_fpga.link.frames import encode_frame
from exaq_fpga.link.protocol import COUNTERS, RowsStatus, Type

PAGE = (Path(__file__).resolve().parents[2] / "docs/link.md").read_text(encoding="utf-8")
CONFIG = SoftmaxConfig.preset("2bit-x4")


@dataclass(frozen=True)
class Example:
    message: bytes
    check: bytes
    frame: bytes


def examples() -> list[Example]:
    """The indented blocks below "Worked bytes"."""
    text = PAGE.split("## Worked bytes")[1]
    found = re.findall(r"    message  (.*?)\n    CRC      (.*?)\n    frame    (.*?)\n", text, re.S)
    return [Example(*(bytes.fromhex(part) for part in parts)) for parts in found]


def unstuffed(frame: bytes) -> bytes:
    """COBS as the page tells it: each count stands for the octets after it, and a zero."""
    assert frame.count(0) == 1
    assert frame[-1] == 0
    out = bytearray()
    at = 0
    while at < len(frame) - 1:
        count = frame[at]
        out += frame[at + 1 : at + count]
        at += count
        if count != 255 and at < len(frame) - 1:
            out.append(0)
    assert at == len(frame) - 1
    return bytes(out)


def test_pace_of_a_line_is_the_station_s() -> None:
    assert f"at least {Station.line_cycles} clock cycles apart" in PAGE
    assert f"closer than {Station.line_cycles} cycles" in PAGE.replace("\n", " ")
    assert f"one octet in {Station.line_cycles} cycles" in PAGE


def test_datagrams_are_those_of_the_code() -> None:
    by_udp = PAGE.split("## By UDP")[1].split("\n## ")[0].replace("\n  ", " ")
    assert f"UDP port {PORT}" in by_udp
    assert f"a number of {NUMBER_OCTETS} octets and then 1 to {MOST_OCTETS} octets" in by_udp
    assert f"or up to {LATE - 1} behind it" in by_udp
    assert f"{PORT:x}" == b"EX".hex()
    (told,) = re.findall(r"datagram of number (\d+) is:", PAGE)
    (octets,) = re.findall(r"^    datagram (.*)$", PAGE, re.M)
    frame = encode_frame(bytes([Type.IDENTIFY, 1]))
    assert Numbering(int(told)).number(frame) == bytes.fromhex(octets)


def test_every_example_is_a_frame_of_its_message() -> None:
    assert len(examples()) == 7
    for example in examples():
        assert example.check == struct.pack("<I", zlib.crc32(example.message))
        assert unstuffed(example.frame) == example.message + example.check


def test_the_rows_are_those_that_the_text_names() -> None:
    _, _, request, answer, *_ = (example.message for example in examples())
    length, word, live = struct.unpack_from("<HHB", request, 2)
    first = struct.unpack_from("<6b", request, 7)
    assert (length + 1, word, live) == (6, 0x8000, 0b110111)
    assert first == (10, 20, 30, 40, 35, -40)
    assert struct.unpack_from("<HH3b", request, 13) == (2, 0, 5, 0, -16)
    mask = [bool(live >> i & 1) for i in range(6)]
    expected = [*exaq.softmax(first, CONFIG, mask), *exaq.softmax([5, 0, -16], CONFIG)]
    assert [int(p) for p in expected] == [4950, 4950, 27738, 0, 27738, 159, 30084, 30084, 5369]
    assert answer == bytes([0x83, 7]) + struct.pack("<9HB", *expected, 0)


def test_the_tables_are_those_of_the_code() -> None:
    status = PAGE.split("### STATUS")[1].split("##")[0]
    rows = re.findall(r"^\| (\w+) \| (.*) \|$", status, re.M)[1:]
    assert dict(rows) == COUNTERS
    assert list(dict(rows)) == list(COUNTERS)
    assert [int(flag) for flag in RowsStatus] == [1, 2, 4]
