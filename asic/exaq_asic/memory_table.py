"""Memory macros that a user has, from a TOML file, and which of them hold an array.

[[macro]]
name = "two_port_512x16"
words = 512
bits = 16
ports = 2          # 2: one reads while the other writes
um2 = 50000
read_pj = 3.0      # an access, of energies; may be left out
write_pj = 3.5
access_ns = 2.9    # from the clock's edge to what is read; may be left out

For LibreLane an entry has what its pins are joined to, in Verilog, and where its files are:

connections = ".A_CLK(clk), .A_MEN(write_enable), ..."
lef = "pdk_dir::libs.ref/sram/lef/two_port_512x16.lef"
gds = ...
lib = ...

The names in ``connections`` are those of a memory's array, as docs/integration.md describes it.
``table_path("ihp-sg13g2")`` is a table that the package has.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exaq_asic.mapping.arrays import MemoryArray

#: Tables that the package has: of macros that a foundry has published.
TABLES = ("ihp-sg13g2",)
_NEEDED: dict[str, Any] = {
    "name": str,
    "words": int,
    "bits": int,
    "ports": int,
    "um2": (int, float),
}
_OPTIONAL: dict[str, Any] = {
    **dict.fromkeys(("read_pj", "write_pj", "access_ns"), (int, float)),
    **dict.fromkeys(("connections", "lef", "gds", "lib"), str),
}


class MemoryTableError(ValueError):
    """A table of macros is not what it must be; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Macro:
    """A memory macro; ``ports`` is 1 or 2, energies are those of an access, and ``access_ns`` is
    from the clock's edge to what is read; ``connections`` joins its pins, and ``lef``, ``gds`` and
    ``lib`` are its files. None: not known.
    """

    name: str
    words: int
    bits: int
    ports: int
    um2: float
    read_pj: float | None = None
    write_pj: float | None = None
    access_ns: float | None = None
    connections: str | None = None
    lef: str | None = None
    gds: str | None = None
    lib: str | None = None

    @property
    def laid_out(self) -> bool:
        """Whether all is known that a layout needs."""
        return None not in (self.connections, self.lef, self.gds, self.lib)

    def above(self, array: MemoryArray) -> int:
        """How many hold an array's words, one above the other."""
        return -(-array.depth // self.words)

    def beside(self, array: MemoryArray) -> int:
        """How many hold an array's bits, side by side."""
        return -(-array.width // self.bits)

    def count(self, array: MemoryArray) -> int:
        """How many hold an array."""
        return self.above(array) * self.beside(array)


def table_path(name: str) -> Path:
    """The file of one of ``TABLES``."""
    return Path(__file__).parent / "macros" / f"{name}.toml"


def read_macros(path: Path) -> list[Macro]:
    """The macros of a file.

    Raises
    ------
    MemoryTableError
        It is no such table; the message names the entry, what is wrong and what is legal.
    OSError
        It cannot be read.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MemoryTableError(f"{path} is no TOML: {error}") from error
    entries = table.get("macro")
    if set(table) != {"macro"} or not isinstance(entries, list) or not entries:
        raise MemoryTableError(f"{path} must hold entries [[macro]] and nothing else")
    return [_macro(path, number, each) for number, each in enumerate(entries, 1)]


def _macro(path: Path, number: int, entry: dict[str, Any]) -> Macro:
    where = f"{path}, macro {number}"
    if missing := [name for name in _NEEDED if name not in entry]:
        raise MemoryTableError(f"{where}: {missing[0]} is missing; there must be {_names()}")
    if unknown := [name for name in entry if name not in (_NEEDED | _OPTIONAL)]:
        raise MemoryTableError(f"{where}: {unknown[0]} is unknown; there may be {_names()}")
    for name, kind in (_NEEDED | _OPTIONAL).items():
        value = entry.get(name)
        if value is None and name in _OPTIONAL:
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            raise MemoryTableError(f"{where}: {name} must be {_word(kind)}, not {value!r}")
        if isinstance(value, (int, float)) and not value > 0:
            raise MemoryTableError(f"{where}: {name} must be above 0, not {value!r}")
    if entry["ports"] not in (1, 2):
        raise MemoryTableError(f"{where}: ports must be 1 or 2, not {entry['ports']!r}")
    return Macro(**entry)


def _names() -> str:
    return ", ".join([*_NEEDED, *_OPTIONAL])


def _word(kind: Any) -> str:
    return {str: "text", int: "a whole number"}.get(kind, "a number")


def smallest(macros: Sequence[Macro], array: MemoryArray) -> Macro | None:
    """That with which an array takes the least area. Where it is read and written in one cycle, a
    macro of one port does not hold it.
    """
    fitting = [macro for macro in macros if macro.ports == 2 or array.single_port]
    return min(fitting, key=lambda macro: macro.um2 * macro.count(array), default=None)
