"""Where the blocks of EXAQ get their tables from: one interface, two providers.

A block that uses a table is given a reader of it, places the reader's logic in its own module, and
does not know whether the table is a constant or in a bank that was loaded. ``tables_of`` chooses.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib import wiring

from exaq import Exaq
from exaq_hdl.kernels.division.reader import ExponentialReader
from exaq_hdl.kernels.kernel_unit import NOTHING, ClosedRow
from exaq_hdl.parts.component import Component, Stream
from exaq_hdl.parts.memory import Memories


class ThresholdReader(ABC):
    """Finds codes, for the quantizer.

    Members
    -------
    latency : cycles from a logit to its code, 1 or 2
    row_name, row_shape : what a row's beats are compared with, and its shape
    row_fields : what else goes with a row to the quantizer: shapes by name, the row_tables too
    """

    latency: int = 2
    row_name: str
    row_shape: Any
    row_fields: Mapping[str, Any]

    @abstractmethod
    def find_code(
        self, m: Module, lane: int, logit: Value, row: Value, live: Value, code: Value
    ) -> None:
        """Make ``code`` that of ``logit``, ``latency`` cycles later and one after ``live``."""

    @abstractmethod
    def find_sink(self, m: Module, row: Any, code: Value) -> None:
        """Make ``code`` that of the row's sink, ``latency`` cycles after ``row``, its item."""


class SumReader(ABC):
    """Looks up LUT_sum, and what idle lanes add to it, for the accumulator.

    Members
    -------
    latency : cycles of a lookup in LUT_sum; the excess takes one less
    table_name : what a LUT_sum is called, before the group's number
    ports : further ports of the accumulator, which its surroundings drive
    """

    latency: int
    table_name: str
    ports: Mapping[str, wiring.Member] = NOTHING

    @abstractmethod
    def sum_table(self) -> Any:
        """A LUT_sum for one group of a beat: a component with ``codes`` and ``total``."""

    @abstractmethod
    def look_up(self, m: Module, table: Any, beat: Any, valid: Value) -> None:
        """Drive what ``table`` has beside ``codes``, for a code_beat that is ``valid``."""

    @abstractmethod
    def excess(self, m: Module, accumulator: Any, idle: Value) -> Value:
        """``idle`` times E_0, as long after ``idle`` as the excess takes."""

    @abstractmethod
    def excess_of(self, m: Module, valid: Value, idle: Value, row: dict[str, Value]) -> None:
        """Told beside ``idle``: whether it is ``valid``, and its row's row_tables."""

    @abstractmethod
    def sink(self, m: Module, accumulator: Any, valid: Value, row: dict[str, Value]) -> Value:
        """The exponential of a row's sink, as long after ``row`` as the excess takes.

        ``row``: the row_tables, and the row_sink, where they are ``valid``.
        """


class Tables(ABC):
    """The tables of a unit: readers of them, and whatever fills them.

    Members
    -------
    prepare : cycles that a row's maximum needs to become what its beats are compared with
    prelude : cycles from a row's first in a divider until its first exponential is there
    row_fields : what goes with a row beside its maximum
    least_maximum : the sink that all rows share, in offset binary
    boot_cycles : cycles after reset until the tables are there
    """

    prepare: int = 0
    prelude: int
    row_fields: Mapping[str, Any] = NOTHING
    least_maximum: int = 0
    boot_cycles: int = 0

    @property
    def blocks(self) -> dict[str, Component]:
        """What fills the tables, by name."""
        return {}

    @abstractmethod
    def thresholds(self) -> ThresholdReader:
        """A reader for the quantizer."""

    @abstractmethod
    def sums(self) -> SumReader:
        """A reader for the accumulator."""

    @abstractmethod
    def exponentials(self) -> ExponentialReader:
        """A reader for a divider."""

    @abstractmethod
    def rows(self, of_quantizer: Stream) -> Stream:
        """The stream that takes the rows' maxima, for the quantizer's own of row_shape."""

    @abstractmethod
    def expect_rows(self, rows: int) -> None:
        """Told before ``connect``: rows that can be between their last beat in and their end."""

    def row_values(self, m: Module, row: ClosedRow) -> dict[str, Value]:
        """The ``row_fields`` of a row, ``row.maximum_latency`` cycles after ``row``."""
        return {}

    def admit(self, room: Value) -> Value:
        """``room``, but not before the tables are there."""
        return room

    @abstractmethod
    def connect(self, m: Module, unit: Any, normalisation: Any) -> None:
        """Join ``blocks`` with those that use the tables, and with the ports of ``unit``."""

    def manifest(self) -> dict[str, Any]:
        """What the manifest says of the tables at run time."""
        return {}


def tables_of(kernel: Exaq, memories: Memories) -> Tables:
    """The tables of a unit: in banks where it has contexts, else constants."""
    # Here, so that readers need not know the providers.
    from exaq_hdl.kernels.exaq.tables.banks.loaded_tables import LoadedTables
    from exaq_hdl.kernels.exaq.tables.constants.constant_tables import (
        ConstantFloatTables,
        ConstantTables,
    )

    if kernel.format.contexts:
        return LoadedTables(kernel, memories)
    if kernel.format.float_format is not None:
        return ConstantFloatTables(kernel, memories)
    return ConstantTables(kernel, memories)
