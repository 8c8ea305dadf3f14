"""EXAQ (arXiv 2410.03185): the parameters of the kernel, checked, and the widths that follow.

Logits are quantized to codes of 2 to 6 bits relative to the row's maximum; a code stands for one
exponential of a table, and LUT_sum adds up a group of codes by one lookup. The tables are in
``exaq.tables``, the golden arithmetic in ``exaq.kernels.exaq_golden``.

    >>> from exaq.kernels import Exaq
    >>> from exaq.stream_format import StreamFormat
    >>> Exaq(bits=3).settle(StreamFormat(lanes=4)).group
    2
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from exaq.kernels import exaq_golden
from exaq.kernels.kernel import Kernel
from exaq.row_results import RowResults
from exaq.rows import Rows
from exaq.scalars import exact_real, integer, plain_real, real
from exaq.stream_format import StreamFormat
from exaq.tables import MAX_BITS, MIN_BITS, Tables, default_clip

#: Entries that a LUT_sum may have at most.
MAX_SUM_ROM = 4096

# Up to so many, a block RAM of usual size or logic holds one, and costs less than adders do.
_USUAL_SUM_ROM = 1024

# Legal ranges, both ends included.
_RANGES = {"bits": (MIN_BITS, MAX_BITS), "exp_frac": (4, 24)}
_GROUP = (1, 12)

#: Where a unit can have the p-tables of its rows; see ``Exaq.p_table``.
P_TABLES = ("auto", "registers", "distributed", "block")

# What a kernel that is settled has in the place of None: no reader of one ever meets it.
_DERIVED: Any = None
#: Settings that tables come from, one or none of them.
SOURCES = ("clip", "tables", "context_tables")


@dataclass(frozen=True, kw_only=True)
class Exaq(Kernel):
    """Parameters of EXAQ; model, hardware and tests share one.

    Numbers may be Python's or NumPy's, real ones Decimals too; the members are plain Python values
    that equal them.

    Parameters
    ----------
    bits
        Width M of a code: 2 to 6. A row has K = 2**M distinct probabilities.
    clip
        Clip C < 0 in real units, relative to the row's maximum. Makes ``tables``. Neither given:
        ``exaq.tables.default_clip``. None where ``tables`` are free.
    exp_frac
        Fraction bits of ExpRom, 4 to 24; a level's exponential is below 2**(exp_frac + 1).
    group
        Codes that one LUT_sum lookup adds up, a divisor of the lanes; 2**(bits * group) entries,
        at most 4096. Default: the largest of 4, 2 and 1 that divides the lanes and keeps 1024
        entries.
    tables
        Free tables instead of a clip.
    context_tables
        With contexts: the tables that each of them holds after reset, instead of clip and
        tables. Default: ``tables`` in every context. ``tables`` is then that of context 0.
    p_table
        Where the unit has the p-tables, a row's 2**bits probabilities: ``"registers"`` with a
        multiplexer a lane, ``"distributed"`` RAM, or ``"block"`` RAM, one for each lane.
        ``"auto"``: registers for 2 bits, block RAM for more. It changes no result.
    """

    name = "exaq"
    title = "EXAQ"
    takes_contexts = True
    takes = frozenset({"codes", "row_results", "sink", "logit_format"})

    bits: int = 2
    clip: float | Fraction | None = None
    exp_frac: int = 13
    group: int = _DERIVED
    tables: Tables = _DERIVED
    context_tables: tuple[Tables, ...] = _DERIVED
    p_table: str = "auto"

    def __post_init__(self) -> None:
        for name, legal in _RANGES.items():
            self._set(name, integer(name, getattr(self, name), *legal))
        if self.p_table not in P_TABLES:
            raise ValueError(f"p_table must be one of {', '.join(P_TABLES)}, not {self.p_table!r}")
        if self.clip is not None:
            self._set("clip", real("clip", self.clip))
        if self.group is not None:
            self._set("group", integer("group", self.group, *_GROUP))
            if self.bits * self.group > MAX_SUM_ROM.bit_length() - 1:
                raise ValueError(
                    f"a LUT_sum of group {self.group} at {self.bits} bits has "
                    f"{2 ** (self.bits * self.group)} entries; at most {MAX_SUM_ROM} are legal"
                )

    def _settle(self, format: StreamFormat) -> None:
        if self.group is None:
            fits = (
                g
                for g in (4, 2)
                if format.lanes % g == 0 and 2 ** (self.bits * g) <= _USUAL_SUM_ROM
            )
            self._set("group", next(fits, 1))
        if format.lanes % self.group:
            raise ValueError(
                f"lanes must be a multiple of group, but {format.lanes} is none of {self.group}"
            )
        if self.context_tables is not None:
            self._check_context_tables(format)
        if self.context_tables:
            self._set("tables", self.context_tables[0])
        elif self.tables is None:
            if self.clip is None:
                self._set("clip", default_clip(self.bits))
            derived = Tables.from_clip(
                self.clip, bits=self.bits, logit_scale=format.threshold_step, exp_frac=self.exp_frac
            )
            self._set("tables", derived)
        elif self.clip is not None:
            raise ValueError("give clip or tables, not both")
        if not self.context_tables:
            self._set("context_tables", (self.tables,) * format.contexts)
        for tables in (self.tables, *self.context_tables):
            self._check_tables(tables, format)
        super()._settle(format)

    def _check_context_tables(self, format: StreamFormat) -> None:
        self._set("context_tables", tuple(self.context_tables))
        if len(self.context_tables) != format.contexts:
            raise ValueError(
                f"context_tables must hold tables for each of {format.contexts} contexts, "
                f"not {len(self.context_tables)}"
            )
        for name in ("clip", "tables"):
            if getattr(self, name) is not None:
                raise ValueError(f"give {name} or context_tables, not both")

    def _check_tables(self, tables: Tables, format: StreamFormat) -> None:
        if not isinstance(tables, Tables):
            raise TypeError(f"tables must be an exaq.Tables, not {tables!r}")
        if tables.bits != self.bits:
            raise ValueError(
                f"tables for {tables.bits} bits do not fit a configuration of {self.bits} bits"
            )
        if max(tables.exp_rom) >= 2**self.exp_bits:
            raise ValueError(
                f"exp_rom values must be below {2**self.exp_bits} with exp_frac "
                f"{self.exp_frac}, but the largest is {max(tables.exp_rom)}"
            )
        if format.row_results == "table" and max(tables.exp_rom) > tables.exp_rom[-1]:
            raise ValueError(
                "with row_results table the last value of exp_rom must be its largest, but is "
                f"{tables.exp_rom[-1]}, and the largest {max(tables.exp_rom)}"
            )
        if format.float_format is not None:
            format.float_format.check_thresholds(tables.thresholds)
        if tables.sink is not None:
            if format.sink is None:
                raise ValueError(
                    f"tables with the sink {tables.sink} need a configuration that has a sink"
                )
            format.sink_logit("the sink of tables", tables.sink)

    @property
    def sinks(self) -> tuple[int | float, ...]:
        """Logit of the sink of each context, or the one; empty where there is none."""
        if self.format.sink is None:
            return ()
        return tuple(self.sink_of(tables) for tables in self.context_tables or (self.tables,))

    def sink_of(self, tables: Tables) -> int | float:
        """The sink of rows that go by ``tables``, in a configuration with sinks."""
        return self.format.sink if tables.sink is None else tables.sink  # type: ignore[return-value]

    def changed(self, changes: dict[str, Any]) -> Self:
        """A copy with ``changes``, in which one source of tables replaces another."""
        settings = self.settings()
        if any(name in changes for name in SOURCES):
            settings = {name: value for name, value in settings.items() if name not in SOURCES}
        return type(self)(**(settings | changes))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON. ``context_tables`` are there only where the unit has contexts,
        what ``left_out`` names only where it has another value.
        """
        values = super().to_dict()
        values["clip"] = None if self.clip is None else plain_real(self.clip)
        values["tables"] = self.tables.to_dict()
        each = [tables.to_dict() for tables in values.pop("context_tables")]
        values |= {"context_tables": each} if each else {}
        left_out = self.left_out()
        return {k: v for k, v in values.items() if k not in left_out or v != left_out[k]}

    @classmethod
    def left_out(cls) -> dict[str, Any]:
        """Where the p-tables are is younger than the first files of configurations."""
        return {"p_table": cls.p_table}

    @classmethod
    def fields_written(cls, contexts: bool) -> set[str]:
        """The fields of ``to_dict``, for a unit with or without contexts."""
        return set(cls.setting_names()) - (set() if contexts else {"context_tables"})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """What ``to_dict`` wrote; tables that a clip makes are made anew."""
        given = dict(values)
        tables = Tables(**given.pop("tables"))
        each = given.pop("context_tables", None)
        if given["clip"] is None and each is not None:
            given["context_tables"] = tuple(Tables(**entry) for entry in each)
        elif given["clip"] is None:
            given["tables"] = tables
        else:
            given["clip"] = exact_real(given["clip"])
        return cls(**given)

    def load_words(self, context: int, tables: Tables) -> list[int]:
        """The words that load ``tables`` into a context of the running unit.

        Context number, thresholds, exponentials, which are 2 * 2**bits words, and the sink where
        the unit has any: an integer, or the key of a floating-point number. Each fits 32 signed
        bits. Thresholds that no integer logit can miss are raised to -2**logit_width, which none
        can miss either and is the lowest that the unit takes.
        """
        context = integer("context", context)
        if not self.format.contexts:
            raise ValueError("a configuration without contexts takes no tables at run time")
        context = integer("context", context, 0, self.format.contexts - 1)
        self._check_tables(tables, self.format)
        lowest = -(2**31) if self.format.float_format else -(2**self.format.logit_width)
        words = [context, *(max(t, lowest) for t in tables.thresholds), *tables.exp_rom]
        if self.format.sink is not None:
            words.append(self.format.sink_key(self.sink_of(tables)))
        return words

    @property
    def load_length(self) -> int:
        """Number of ``load_words``."""
        return 2 * self.levels + (self.format.sink is not None)

    @property
    def borders(self) -> tuple[int, ...]:
        """The thresholds; of floating-point logits in steps of 2**-24."""
        return self.tables.thresholds

    @property
    def most_load_cycles(self) -> int:
        """An entry of LUT_sum a cycle, and what a load takes besides."""
        return 2 ** (self.bits * self.group) + self.format.lanes + 16 * self.levels + 128

    def default_full_rate_row(self, format: StreamFormat) -> int:
        """8 * K * lanes, but not above ``max_row`` where that is legal; without divisions the
        least.
        """
        least = self.least_full_rate_row(format)
        if not self._dear_rows(format):
            return least
        return max(least, min(4 * least, format.max_row))

    def least_full_rate_row(self, format: StreamFormat) -> int:
        """2 * K * lanes: a division takes at least two cycles for each of a row's K levels, and a
        context's thresholds one. A beat, ``lanes``, where the unit gives codes and sums alone and
        has no contexts.
        """
        return 2 * self.levels * format.lanes if self._dear_rows(format) else format.lanes

    def least_full_rate(self, format: StreamFormat) -> str:
        """What that is, in words."""
        return "2 * 2**bits * lanes" if self._dear_rows(format) else "lanes"

    @staticmethod
    def _dear_rows(format: StreamFormat) -> bool:
        """Whether a row takes cycles for each of its K levels, whatever its length."""
        return format.gives_probabilities or format.contexts > 0

    def quantize(self, rows: Rows) -> NDArray[np.uint8]:
        """Codes of rows, as ``exaq.quantize`` gives them: shape of ``rows.logits``."""
        return exaq_golden.quantize(self.with_sinks(rows), self)

    def compute(self, rows: Rows) -> NDArray[np.unsignedinteger[Any]]:
        """Probabilities of rows, as ``exaq.softmax`` gives them: shape of ``rows.logits``."""
        return exaq_golden.softmax(self.with_sinks(rows), self)

    @property
    def sum_frac(self) -> int:
        """Fraction bits of the sum in row results: those of an exponential."""
        return self.exp_frac

    def results_of(self, rows: Rows) -> RowResults:
        """Maximum, sum and table of rows, as ``exaq.row_results`` gives them."""
        return exaq_golden.row_results(self.with_sinks(rows), self)

    @property
    def levels(self) -> int:
        """K, the number of distinct codes, exponentials and probabilities of a row."""
        return 2**self.bits

    @property
    def p_table_place(self) -> str:
        """Where the p-tables are, of ``P_TABLES`` but ``"auto"``."""
        if self.p_table != "auto":
            return self.p_table
        return "registers" if self.bits == 2 else "block"

    @property
    def bank_bits(self) -> int:
        """Width of a bank's number: a bank of tables for each context, and a spare one."""
        return self.format.contexts.bit_length()

    @property
    def groups(self) -> int:
        """LUT_sum lookups of a beat."""
        return self.format.lanes // self.group

    @property
    def exp_bits(self) -> int:
        """Width of an ExpRom value."""
        return self.exp_frac + 1

    @property
    def group_sum_bits(self) -> int:
        """Width of a LUT_sum entry: ``group`` values of exp_bits add up without overflow."""
        return self.exp_bits + (self.group - 1).bit_length()

    @property
    def sum_bits(self) -> int:
        """Width of a row's sum: ``max_row`` values of exp_bits add up without overflow, and with
        them that of a sink.
        """
        bits = self.exp_bits + (self.format.max_row - 1).bit_length()
        if self.format.sink is None:
            return bits
        most = 2**self.exp_bits - 1 if self.format.contexts else max(self.tables.exp_rom)
        return max(bits, ((self.format.max_row + 1) * most).bit_length())
