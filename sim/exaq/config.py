"""The configuration of a softmax unit: every parameter, checked, and the widths that follow."""

from __future__ import annotations

import dataclasses
import json
import zlib
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from exaq.scalars import flag, integer, real
from exaq.tables import MAX_BITS, MIN_BITS, Tables, paper_clip

#: Sigma that the default clip is made for.
DEFAULT_SIGMA = 2.0
#: Entries that a LUT_sum may have at most.
MAX_SUM_ROM = 4096
#: Contexts that a unit may have at most.
MAX_CONTEXTS = 1024

# Legal ranges, both ends included.
_RANGES = {
    "bits": (MIN_BITS, MAX_BITS),
    "lanes": (1, 64),
    "logit_width": (4, 24),
    "max_row": (1, 65536),
    "prob_bits": (4, 24),
    "exp_frac": (4, 24),
    "group": (1, 12),
    "contexts": (0, MAX_CONTEXTS),
}


# Fields that a configuration without contexts leaves out of ``to_dict``.
_OF_CONTEXTS = {"contexts", "context_tables"}
# Default of a field that __post_init__ settles: no reader of a configuration ever meets it.
_DERIVED: Any = None


@dataclass(frozen=True, kw_only=True)
class SoftmaxConfig:
    """Parameters of a streaming EXAQ softmax unit; model, hardware and tests share one.

    Numbers and booleans may be Python's or NumPy's, real ones Decimals too; the members are plain
    Python values that equal them.

    Parameters
    ----------
    bits
        Width M of a code: 2, 3 or 4. A row has K = 2**M distinct probabilities.
    lanes
        Elements of a beat, 1 to 64, a multiple of ``group``.
    logit_width
        Width of a logit, a signed integer: 4 to 24 bits.
    logit_scale
        Real value of one logit step: real logit = logit_scale * integer.
    clip
        Clip C < 0 in real units, relative to the row's maximum. Makes ``tables``. Neither given:
        the paper's fit for sigma 2. None where ``tables`` are free.
    max_row
        Longest row in elements, 1 to 65536, a multiple of ``lanes``.
    prob_bits
        Width of a probability, an unsigned fraction with 2**prob_bits for 1: 4 to 24 bits.
    exp_frac
        Fraction bits of ExpRom, 4 to 24; a level's exponential is below 2**(exp_frac + 1).
    group
        Codes that one LUT_sum lookup adds up; 2**(bits * group) entries, at most 4096.
        Default: the largest of 4, 2 and 1 that divides ``lanes`` and keeps 256 entries.
    masking
        Whether single elements can be masked.
    full_rate_row
        Shortest row, in elements, that streams without a bubble: chooses the dividers.
        At least 2 * K * lanes. Default: 8 * K * lanes, but not above ``max_row`` where legal.
    tables
        Free tables instead of a clip.
    contexts
        Sets of tables that can be loaded while the unit runs, each row choosing one by its
        context number: 1 to 1024. 0: the tables are ROMs.
    context_tables
        With contexts: the tables that each of them holds after reset, instead of clip and
        tables. Default: ``tables`` in every context. ``tables`` is then that of context 0.
    """

    bits: int = 2
    lanes: int = 4
    logit_width: int = 8
    logit_scale: float | Fraction = 0.0625
    clip: float | Fraction | None = None
    max_row: int = 1024
    prob_bits: int = 16
    exp_frac: int = 13
    group: int = _DERIVED
    masking: bool = True
    full_rate_row: int = _DERIVED
    tables: Tables = _DERIVED
    contexts: int = 0
    context_tables: tuple[Tables, ...] = _DERIVED
    # Which fields were left to their defaults, for `replace`.
    _settled: frozenset[str] = field(default=frozenset(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        left = ("clip", "group", "full_rate_row", "tables", "context_tables")
        self._set("_settled", frozenset(name for name in left if getattr(self, name) is None))
        self._set("masking", flag("masking", self.masking))
        for name in _RANGES:
            if name != "group":
                self._settle_integer(name)
        self._set("logit_scale", real("logit_scale", self.logit_scale))
        if self.clip is not None:
            self._set("clip", real("clip", self.clip))
        if self.logit_scale <= 0:
            raise ValueError(f"logit_scale must be positive, not {self.logit_scale!r}")
        if self.group is None:
            self._set("group", self._default_group())
        self._settle_integer("group")
        if self.lanes % self.group:
            raise ValueError(
                f"lanes must be a multiple of group, but {self.lanes} is none of {self.group}"
            )
        if self.bits * self.group > MAX_SUM_ROM.bit_length() - 1:
            raise ValueError(
                f"a LUT_sum of group {self.group} at {self.bits} bits has "
                f"{2 ** (self.bits * self.group)} entries; at most {MAX_SUM_ROM} are legal"
            )
        if self.max_row % self.lanes:
            below = self.max_row - self.max_row % self.lanes
            near = f"{below} or {below + self.lanes}" if below else f"{self.lanes}"
            raise ValueError(
                f"max_row must be a multiple of lanes ({self.lanes}), not {self.max_row}; "
                f"{near} would be"
            )
        self._settle_tables()
        self._settle_full_rate_row()

    def _settle_tables(self) -> None:
        if self.context_tables is not None:
            self._check_context_tables()
        if self.context_tables:
            self._set("tables", self.context_tables[0])
        elif self.tables is None:
            if self.clip is None:
                self._set("clip", paper_clip(DEFAULT_SIGMA, self.bits))
            derived = Tables.from_clip(
                self.clip, bits=self.bits, logit_scale=self.logit_scale, exp_frac=self.exp_frac
            )
            self._set("tables", derived)
        elif self.clip is not None:
            raise ValueError("give clip or tables, not both")
        if not self.context_tables:
            self._set("context_tables", (self.tables,) * self.contexts)
        for tables in (self.tables, *self.context_tables):
            self._check_tables(tables)

    def _check_context_tables(self) -> None:
        self._set("context_tables", tuple(self.context_tables))
        if len(self.context_tables) != self.contexts:
            raise ValueError(
                f"context_tables must hold tables for each of {self.contexts} contexts, "
                f"not {len(self.context_tables)}"
            )
        for name in ("clip", "tables"):
            if getattr(self, name) is not None:
                raise ValueError(f"give {name} or context_tables, not both")

    def _check_tables(self, tables: Tables) -> None:
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

    def _settle_full_rate_row(self) -> None:
        least = 2 * self.levels * self.lanes
        if self.full_rate_row is None:
            self._set("full_rate_row", max(least, min(4 * least, self.max_row)))
        self._set("full_rate_row", integer("full_rate_row", self.full_rate_row))
        if self.full_rate_row < least:
            raise ValueError(
                f"full_rate_row must be at least 2 * 2**bits * lanes ({least}), "
                f"not {self.full_rate_row}"
            )

    def _default_group(self) -> int:
        fits = (g for g in (4, 2) if self.lanes % g == 0 and self.bits * g <= 8)
        return next(fits, 1)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _settle_integer(self, name: str) -> None:
        self._set(name, integer(name, getattr(self, name), *_RANGES[name]))

    @classmethod
    def preset(cls, name: str, **changes: Any) -> SoftmaxConfig:
        """The configuration that ``name`` stands for (see ``PRESETS``), with ``changes``."""
        if name not in PRESETS:
            raise ValueError(f"unknown preset {name!r}; there are {', '.join(PRESETS)}")
        return cls(**(PRESETS[name] | changes))

    def replace(self, **changes: Any) -> SoftmaxConfig:
        """A copy with ``changes``; what was left to its default is settled anew."""
        values = {k: v for k, v in self._values().items() if k not in self._settled}
        sources = ("clip", "tables", "context_tables")
        if any(name in changes for name in sources):
            for name in sources:
                values.pop(name, None)
        return type(self)(**(values | changes))

    def _values(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``SoftmaxConfig.from_dict`` takes them back.

        A fraction that no float equals is a string such as ``"1/10"``. ``contexts`` and
        ``context_tables`` are there only where the unit has contexts.
        """
        values = self._values()
        for name in ("logit_scale", "clip"):
            values[name] = None if values[name] is None else plain_real(values[name])
        values["tables"] = self.tables.to_dict()
        if self.contexts:
            values["context_tables"] = [tables.to_dict() for tables in self.context_tables]
        else:
            for name in _OF_CONTEXTS:
                del values[name]
        return values

    @property
    def build_crc(self) -> int:
        """What tells builds apart: CRC-32 (that of zlib) of ``to_dict()`` as JSON, keys sorted,
        without spaces.
        """
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return zlib.crc32(text.encode())

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SoftmaxConfig:
        """The configuration that ``to_dict`` wrote; ValueError where it could not have."""
        names = {f.name for f in dataclasses.fields(cls) if f.init}
        if not values.get("contexts"):
            names -= _OF_CONTEXTS
        if set(values) != names:
            wrong = ", ".join(sorted(set(values) ^ names))
            raise ValueError(f"a configuration has exactly the fields of to_dict; see {wrong}")
        given = dict(values)
        for name in ("logit_scale", "clip"):
            given[name] = exact_real(given[name])
        tables = Tables(**given.pop("tables"))
        each = tuple(Tables(**values) for values in given.pop("context_tables", ()))
        owner = "the configuration's clip"
        if given["clip"] is None:
            owner = "context 0"
            given |= {"context_tables": each} if given.get("contexts") else {"tables": tables}
        config = cls(**given)
        if (config.tables, config.context_tables) != (tables, each):
            raise ValueError(f"tables are not those of {owner}")
        return config

    def load_words(self, context: int, tables: Tables) -> list[int]:
        """The 2 * 2**bits words that load ``tables`` into a context of the running unit.

        Context number, thresholds, exponentials, each fit for 32 signed bits. Thresholds that no
        logit can miss are raised to -2**logit_width, which none can miss either and is the
        lowest that the unit takes.
        """
        context = integer("context", context)
        if not self.contexts:
            raise ValueError("a configuration without contexts takes no tables at run time")
        context = integer("context", context, 0, self.contexts - 1)
        self._check_tables(tables)
        lowest = -(2**self.logit_width)
        return [context, *(max(t, lowest) for t in tables.thresholds), *tables.exp_rom]

    @property
    def levels(self) -> int:
        """K, the number of distinct codes, exponentials and probabilities of a row."""
        return 2**self.bits

    @property
    def context_bits(self) -> int:
        """Width of a row's context number, 0 where there is nothing to choose."""
        return max(self.contexts - 1, 0).bit_length()

    @property
    def bank_bits(self) -> int:
        """Width of a bank's number: a bank of tables for each context, and a spare one."""
        return self.contexts.bit_length()

    @property
    def beats(self) -> int:
        """Beats of the longest row."""
        return self.max_row // self.lanes

    @property
    def full_rate_beats(self) -> int:
        """Beats of the shortest row that streams without a bubble."""
        return -(-self.full_rate_row // self.lanes)

    @property
    def groups(self) -> int:
        """LUT_sum lookups of a beat."""
        return self.lanes // self.group

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
        """Width of a row's sum: ``max_row`` values of exp_bits add up without overflow."""
        return self.exp_bits + (self.max_row - 1).bit_length()

    @property
    def longest_flat_row(self) -> int:
        """Longest row, in elements, that gives anything but zeros if all its logits are equal.

        Each probability of n equal logits is 1/n, which rounds to at least one step of
        2**-prob_bits up to n = 2**(prob_bits + 1). A unit with a greater ``max_row`` is of use
        for rows only whose probabilities differ.
        """
        return 2 ** (self.prob_bits + 1)

    @property
    def logit_bytes(self) -> int:
        """Bytes of a logit on the AXI4-Stream."""
        return -(-self.logit_width // 8)

    @property
    def prob_bytes(self) -> int:
        """Bytes of a probability on the AXI4-Stream."""
        return -(-self.prob_bits // 8)

    @property
    def logit_range(self) -> tuple[int, int]:
        """Smallest and largest logit."""
        return -(2 ** (self.logit_width - 1)), 2 ** (self.logit_width - 1) - 1


def plain_real(value: float | Fraction) -> float | str:
    """The float that equals ``value``, or a string such as ``"1/10"`` where none does."""
    return float(value) if Fraction(float(value)) == value else str(value)


def exact_real(value: float | str) -> float | Fraction:
    """What ``plain_real`` was given."""
    return Fraction(value) if isinstance(value, str) else value


#: Named configurations: what differs from the defaults.
PRESETS: dict[str, dict[str, Any]] = {
    "2bit-x1": {"bits": 2, "lanes": 1, "max_row": 256},
    "2bit-x4": {"bits": 2, "lanes": 4},
    "2bit-x4-c12": {"bits": 2, "lanes": 4, "contexts": 12},
    "2bit-x16": {"bits": 2, "lanes": 16},
    "2bit-x32": {"bits": 2, "lanes": 32},
    "3bit-x4": {"bits": 3, "lanes": 4},
    "3bit-x16": {"bits": 3, "lanes": 16},
    "3bit-x4-lut4096": {"bits": 3, "lanes": 4, "group": 4},
    "4bit-x4": {"bits": 4, "lanes": 4},
}
