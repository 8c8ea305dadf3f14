"""What every kernel is to the rest: parameters, checked against a stream format, and bits."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from exaq.row_results import RowResults, exponential_weights
from exaq.rows import Rows
from exaq.stream_format import StreamFormat

# What a kernel may lack, in words.
_FEATURES = {
    "codes": "codes: output must be probabilities",
    "row_results": "row results: row_results must be none",
    "sink": "sinks: sink must be left out",
    "logit_format": "floating-point logits: logit_format must be integer",
}

#: Every kernel by its name.
KERNELS: dict[str, type[Kernel]] = {}


@dataclass(frozen=True, kw_only=True)
class Kernel(ABC):
    """Parameters of a kernel, and its golden model.

    A subclass is a frozen keyword-only dataclass whose fields are its settings; None stands for a
    default that depends on the stream format. A ``name`` makes it known as
    ``SoftmaxConfig(kernel=name)``. No two kernels have one name, and no setting has the name of
    one of ``StreamFormat``.

    Members
    -------
    name, title
        What the kernel is called in configurations, and in sentences.
    format
        The stream format that the parameters were settled for; an AttributeError before.
    """

    name: ClassVar[str]
    #: What the kernel is called in sentences; where a subclass says nothing, its name.
    title: ClassVar[str]
    #: Whether there are tables that a row can choose by its context.
    takes_contexts: ClassVar[bool] = False
    #: Passes over a row: two, the second one behind the row's maximum, or one.
    passes: ClassVar[int] = 2
    #: What of the stream format the kernel can do beside probabilities of integer logits:
    #: ``codes``, ``row_results``, ``sink``, ``logit_format``.
    takes: ClassVar[frozenset[str]] = frozenset()

    format: StreamFormat = field(init=False, repr=False, compare=False)
    # What ``settle`` filled in, which ``settings`` leaves out.
    _filled: frozenset[str] = field(default=frozenset(), init=False, repr=False, compare=False)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in vars(cls):
            cls.title = vars(cls).get("title", cls.name)
            if KERNELS.get(cls.name, cls).__qualname__ != cls.__qualname__:
                raise ValueError(f"there is a kernel {cls.name!r} already")
            KERNELS[cls.name] = cls

    @classmethod
    def setting_names(cls) -> tuple[str, ...]:
        """The parameters' names."""
        return tuple(each.name for each in dataclasses.fields(cls) if each.init)

    def settle(self, format: StreamFormat) -> Self:
        """A copy for ``format``: every default filled in, all of it checked.

        Raises
        ------
        TypeError, ValueError
            A parameter is not legal, or not with this format.
        """
        given = self.settings()
        copy = type(self)(**given)
        object.__setattr__(copy, "format", format)
        copy._settle(format)
        object.__setattr__(copy, "_filled", frozenset(self.setting_names()) - set(given))
        return copy

    def _settle(self, format: StreamFormat) -> None:
        """Check this object's own fields against ``format`` and fill them in, by ``_set``."""
        if format.contexts and not self.takes_contexts:
            raise ValueError(
                f"the kernel {self.name} has no tables: contexts must be 0, not {format.contexts}"
            )
        asked = {
            "codes": format.output == "codes",
            "row_results": format.row_results != "none",
            "sink": format.sink is not None,
            "logit_format": format.float_format is not None,
        }
        for what, wanted in asked.items():
            if wanted and what not in self.takes:
                raise ValueError(f"the kernel {self.name} has no {_FEATURES[what]}")
        least = self.least_full_rate_row(format)
        if format.full_rate_row is not None and format.full_rate_row < least:
            raise ValueError(
                f"full_rate_row must be at least {self.least_full_rate(format)} ({least}), "
                f"not {format.full_rate_row}"
            )

    @property
    def unsettled(self) -> bool:
        """Whether ``settle`` has yet to make it complete."""
        return "format" not in vars(self)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def settings(self) -> dict[str, Any]:
        """The parameters that were given, without what was left to its default."""
        values = {name: getattr(self, name) for name in self.setting_names()}
        return {
            name: value
            for name, value in values.items()
            if value is not None and name not in self._filled
        }

    def changed(self, changes: dict[str, Any]) -> Self:
        """A copy with ``changes``; what was left to its default is settled anew."""
        return type(self)(**(self.settings() | changes))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``from_dict`` takes them back."""
        return {name: getattr(self, name) for name in self.setting_names()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """What ``to_dict`` wrote; ValueError where it could not have."""
        return cls(**values)

    @classmethod
    def fields_written(cls, contexts: bool) -> set[str]:
        """The fields of ``to_dict``, for a unit with or without contexts."""
        return set(cls.setting_names())

    @classmethod
    def left_out(cls) -> dict[str, Any]:
        """Fields that ``to_dict`` leaves out where they have these values."""
        return {}

    @property
    def sinks(self) -> tuple[int | float, ...]:
        """Logit of the sink of each context, or the one; empty where there is none."""
        return () if self.format.sink is None else (self.format.sink,)

    def with_sinks(self, rows: Rows) -> Rows:
        """``rows``, each with its sink, where the configuration has any."""
        if not self.sinks:
            return rows
        each = np.array([self.format.sink_key(sink) for sink in self.sinks], np.int32)
        number = 0 if rows.contexts is None else rows.contexts
        return replace(rows, sinks=np.broadcast_to(each[number], rows.lengths.shape))

    def check_sinks(self, rows: Rows) -> None:
        """ValueError where ``rows`` have sinks, and the kernel takes none."""
        if rows.sinks is not None and "sink" not in self.takes:
            raise ValueError(f"the kernel {self.name} takes no sinks")

    @property
    def borders(self) -> tuple[int, ...]:
        """Distances from the row's maximum, in logit steps and at most 0, that an element reaches
        with another result than just below them; simulations go there.
        """
        return (0,)

    def default_full_rate_row(self, format: StreamFormat) -> int:
        """Shortest row that streams without a bubble where the format leaves it open."""
        return self.least_full_rate_row(format)

    def least_full_rate_row(self, format: StreamFormat) -> int:
        """Shortest row, in elements, that a unit can stream without a bubble.

        At least two beats: the shell's queue of maxima gives a row every other cycle.
        """
        return 2 * format.lanes

    def least_full_rate(self, format: StreamFormat) -> str:
        """What ``least_full_rate_row`` is, in words."""
        return "2 * lanes"

    def load_words(self, context: int, tables: Any) -> list[int]:
        """The words that load ``tables`` into a context of the running unit.

        Raises
        ------
        ValueError
            The unit takes no tables at run time.
        """
        raise ValueError(f"the kernel {self.name} takes no tables at run time")

    @property
    def most_load_cycles(self) -> int:
        """A bound, far from tight, of the cycles that a unit needs to fill a context."""
        return 0

    @property
    def longest_flat_row(self) -> int:
        """Longest row, in elements, that gives anything but zeros if all its logits are equal."""
        return self.format.longest_flat_row

    def probability_values(self, integers: NDArray[Any]) -> NDArray[np.float64]:
        """The real probabilities that ``compute`` gave as integers."""
        return np.ldexp(integers.astype(np.float64), -self.format.prob_bits)

    def quantize(self, rows: Rows) -> NDArray[np.uint8]:
        """Codes of rows, as ``exaq.quantize`` gives them."""
        raise TypeError(f"the kernel {self.name} has no codes")

    @property
    def beat_reference_bits(self) -> int:
        """Width of the signed reference that comes with each beat of codes; 0: the codes of a row
        are all relative to its maximum.
        """
        return 0

    def beat_references(self, rows: Rows) -> NDArray[np.int32]:
        """What the codes of each beat are relative to, as ``exaq.beat_references`` gives it: (rows,
        beats), 0 behind a row's end.
        """
        raise TypeError(f"the codes of the kernel {self.name} come without references")

    @property
    def sum_frac(self) -> int:
        """Fraction bits of the sum in row results."""
        raise TypeError(f"the kernel {self.name} has no row results")

    @property
    def maximum_scale(self) -> float:
        """What a maximum of 1 in row results is, in real units."""
        return float(self.format.logit_scale)

    def part_weights(self, maxima: NDArray[Any], maximum: NDArray[Any]) -> NDArray[np.int64]:
        """What the sums of parts with these ``maxima``, (parts, ...), count in a row with that
        ``maximum``, in units of 2**-WEIGHT_FRAC, rounded half to even.
        """
        return exponential_weights(maxima, maximum, Fraction(self.format.logit_scale))

    def results_of(self, rows: Rows) -> RowResults:
        """Maximum, sum and table of rows, as ``exaq.row_results`` gives them."""
        raise TypeError(f"the kernel {self.name} has no row results")

    @abstractmethod
    def compute(self, rows: Rows) -> NDArray[np.unsignedinteger[Any]]:
        """Probabilities in units of 2**-prob_bits: the bits that the hardware gives.

        Parameters
        ----------
        rows
            Checked rows of the format that the kernel was settled for.

        Returns
        -------
        NDArray[np.unsignedinteger]
            Shape of ``rows.logits``, of ``element_type(prob_bits, signed=False)``; 0 in elements
            that do not take part.
        """
