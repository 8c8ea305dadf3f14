"""A library of standard cells, read from a Liberty file, and the cells that a flow asks it for.

from exaq_asic.liberty import Library
library = Library.read(Path("cells.lib.gz"))
library.nand2.area, library.voltage
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from exaq_asic.liberty.cells import Cell, CellReader
from exaq_asic.liberty.syntax import LibertyError, parse


@dataclass(frozen=True)
class Library:
    """A library of standard cells.

    Members
    -------
    name : as the file calls it
    file : the file's name, for messages and reports
    text : what it holds, not compressed
    sha256 : of the file
    voltage : in V
    nanoseconds : that a time of the file's tables counts
    picofarads : that a load of the file's tables counts
    cells : by name
    """

    name: str
    file: str
    text: str
    sha256: str
    voltage: float
    nanoseconds: float
    picofarads: float
    cells: Mapping[str, Cell]

    @classmethod
    def read(cls, path: Path) -> Library:
        """The library of a Liberty file, which may be compressed by gzip (``.gz``).

        Raises
        ------
        LibertyError
            It is no Liberty file, or something that is needed is not in it; the message names it.
        OSError
            It cannot be read.
        """
        octets = path.read_bytes()
        try:
            text = (gzip.decompress(octets) if path.suffix == ".gz" else octets).decode()
        except (EOFError, UnicodeDecodeError, zlib.error, gzip.BadGzipFile) as error:
            raise LibertyError(f"{path.name} is no Liberty file: {error}") from error
        root = parse(text, path.name)
        cells = {}
        try:
            reader = CellReader(root)
            voltage = root.text("nom_voltage") or next(
                (each.text("voltage") for each in root.of_kind("operating_conditions")), ""
            )
        except ValueError as error:
            raise LibertyError(f"{path.name}: {error}") from error
        if not voltage:
            raise LibertyError(f"{path.name} names no voltage: nom_voltage is missing")
        for group in root.of_kind("cell"):
            try:
                cells[group.arguments[0]] = reader.cell(group)
            except (ValueError, IndexError) as error:
                raise LibertyError(f"{path.name}, cell {group.arguments}: {error}") from error
        return cls(
            name=root.arguments[0],
            file=path.name,
            text=text,
            sha256=hashlib.sha256(octets).hexdigest(),
            voltage=float(voltage),
            nanoseconds=reader.units.nanoseconds,
            picofarads=reader.units.picofarads,
            cells=cells,
        )

    @cached_property
    def nand2(self) -> Cell:
        """The smallest gate that is a NAND of two inputs: what areas are counted in.

        LibertyError where there is none.
        """
        return self._smallest("NAND of two inputs", lambda cell: self._computes(cell, [1, 1, 1, 0]))

    @cached_property
    def inverter(self) -> Cell:
        """The smallest inverter; LibertyError where there is none."""
        return self._smallest("inverter", lambda cell: self._computes(cell, [1, 0]))

    @cached_property
    def flop(self) -> Cell:
        """The smallest flop; LibertyError where there is none."""
        return self._smallest("flop", lambda cell: cell.kind == "flop" and cell.for_logic)

    def tie(self, value: int) -> tuple[str, str]:
        """The smallest cell of that constant, and its pin; LibertyError where there is none."""

        def pin(cell: Cell) -> str | None:
            wanted = (p.name for p in cell.outputs if p.function and p.function.text == str(value))
            return next(wanted, None) if cell.kind == "tie" else None

        cell = self._smallest(f"tie cell of {value}", lambda cell: pin(cell) is not None)
        return cell.name, pin(cell) or ""

    @cached_property
    def clock_gate(self) -> Cell | None:
        """The smallest clock gate that is a latch before an AND and has no pin for tests."""
        found = [
            cell
            for cell in self.cells.values()
            if cell.kind == "clock gate" and {"clock", "enable", "out"} == set(cell.clock_gate)
        ]
        return min(found, key=lambda cell: cell.area, default=None)

    @cached_property
    def registers(self) -> frozenset[str]:
        """Flops and latches, by name."""
        kinds = ("flop", "latch")
        return frozenset(name for name, cell in self.cells.items() if cell.kind in kinds)

    @cached_property
    def not_for_logic(self) -> list[str]:
        """Cells that mapping has to leave, by name."""
        return [name for name, cell in self.cells.items() if not cell.for_logic]

    def lacks(self, what: str, who: str = "the flow needs") -> LibertyError:
        """The error that ``what`` is not in it, which ``who``."""
        return LibertyError(f"{self.file} has no {what}, which {who}")

    def _smallest(self, what: str, fits: Callable[[Cell], bool]) -> Cell:
        found = [cell for cell in self.cells.values() if fits(cell)]
        if not found:
            raise self.lacks(what)
        return min(found, key=lambda cell: (cell.area, cell.name))

    def _computes(self, cell: Cell, table: list[int]) -> bool:
        """Whether a gate for logic gives ``table`` for its inputs' values in order."""
        width = len(table).bit_length() - 1
        inputs = cell.inputs
        if cell.kind != "gate" or not cell.for_logic or len(inputs) != width:
            return False
        (output, *more) = cell.outputs
        if more or output.function is None:
            return False
        counts = np.arange(len(table))
        values = {pin.name: (counts >> k & 1).astype(bool) for k, pin in enumerate(inputs)}
        if not output.function.pins <= set(values):
            return False
        given = np.broadcast_to(output.function.evaluate(values), counts.shape)
        return given.astype(int).tolist() == table
