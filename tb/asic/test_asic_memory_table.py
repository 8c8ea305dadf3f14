"""Tables of memory macros: what is taken, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from exaq_asic.mapping.arrays import MemoryArray
from exaq_asic.memory_table import (
    TABLES,
    Macro,
    MemoryTableError,
    read_macros,
    smallest,
    table_path,
)

ENTRY = '[[macro]]\nname = "a"\nwords = 512\nbits = 16\nports = 2\num2 = 50000\n'
BIG = Macro(name="big", words=1024, bits=64, ports=2, um2=200.0)
SMALL = Macro(name="small", words=64, bits=8, ports=2, um2=10.0)
ONE_PORT = Macro(name="one", words=1024, bits=64, ports=1, um2=1.0)


def array_of(depth: int, width: int, *, single_port: bool = False) -> MemoryArray:
    return MemoryArray(depth, width, single_port, "x", "")


def test_entries_are_read(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(ENTRY + ENTRY.replace('"a"', '"b"') + "read_pj = 3\n", encoding="utf-8")
    first, second = read_macros(path)
    assert first == Macro(name="a", words=512, bits=16, ports=2, um2=50000)
    assert (second.read_pj, second.write_pj) == (3, None)


def test_tables_that_come_along() -> None:
    """Each is read, and says of every macro all that there is to say."""
    for name in TABLES:
        for macro in read_macros(table_path(name)):
            assert None not in vars(macro).values(), macro.name
            # Names say sizes: RM_IHPSG13_1P_256x48_c2_bm_bist.
            assert f"_{macro.ports}P_{macro.words}x{macro.bits}_" in macro.name


@pytest.mark.parametrize(
    ("depth", "width", "macro", "count"),
    [(64, 8, SMALL, 1), (65, 8, SMALL, 2), (128, 17, SMALL, 6), (1024, 64, BIG, 1)],
)
def test_the_least_area_is_taken(depth: int, width: int, macro: Macro, count: int) -> None:
    array = array_of(depth, width)
    found = smallest([BIG, SMALL, ONE_PORT], array)
    assert found == macro
    assert macro.count(array) == count


def test_one_port_is_for_arrays_of_one() -> None:
    assert smallest([ONE_PORT], array_of(8, 8)) is None
    assert smallest([BIG, ONE_PORT], array_of(8, 8, single_port=True)) == ONE_PORT
    assert smallest([BIG], array_of(8, 8, single_port=True)) == BIG


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a =", "m.toml is no TOML: "),
        ("", "m.toml must hold entries [[macro]] and nothing else"),
        ("macro = []", "m.toml must hold entries [[macro]] and nothing else"),
        (ENTRY + "[other]", "m.toml must hold entries [[macro]] and nothing else"),
        (
            ENTRY.replace("um2", "area"),
            "m.toml, macro 1: um2 is missing; there must be "
            "name, words, bits, ports, um2, read_pj, write_pj, access_ns, connections, "
            "lef, gds, lib",
        ),
        (
            ENTRY + ENTRY + "volts = 1",
            "m.toml, macro 2: volts is unknown; there may be "
            "name, words, bits, ports, um2, read_pj, write_pj, access_ns, connections, "
            "lef, gds, lib",
        ),
        (
            ENTRY.replace("512", "1.5"),
            "m.toml, macro 1: words must be a whole number, not 1.5",
        ),
        (ENTRY.replace("16", "0"), "m.toml, macro 1: bits must be above 0, not 0"),
        (ENTRY.replace("50000", "true"), "m.toml, macro 1: um2 must be a number, not True"),
        (ENTRY.replace("ports = 2", "ports = 3"), "m.toml, macro 1: ports must be 1 or 2, not 3"),
    ],
)
def test_what_is_no_table(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MemoryTableError) as error:
        read_macros(path)
    assert str(error.value).replace(f"{tmp_path}/", "").startswith(message)
