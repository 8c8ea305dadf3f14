"""The stream format of a unit: what moves in and out of it, whatever it computes.

>>> from exaq.stream_format import StreamFormat
>>> StreamFormat(lanes=8, max_row=256).beats
32
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from exaq.float_format import FLOAT_FORMATS, FRACTION, FloatFormat
from exaq.scalars import choice, exact_real, flag, integer, plain_real, real

#: Contexts that a unit may have at most.
MAX_CONTEXTS = 1024

#: What leaves a unit for each element.
OUTPUTS = ("probabilities", "codes")
#: What leaves it for each row: nothing, or maximum and sum, and with ``table`` the probabilities
#: that the row's elements can have.
ROW_RESULTS = ("none", "sum", "table")
#: Types of a logit.
LOGIT_FORMATS = ("integer", *FLOAT_FORMATS)
#: Logits that mean "masked".
MASK_VALUES = ("none", "lowest")

# What a format that is settled has in the place of None: no reader of one ever meets it.
_DERIVED: Any = None
# What older files leave out, and what it is then.
_PLAIN: dict[str, Any] = {
    "contexts": 0,
    "output": "probabilities",
    "row_results": "none",
    "sink": None,
    "window": False,
    "mask_value": "none",
    "logit_format": "integer",
}

# Settings whose default depends on others.
_OPEN = ("logit_width", "logit_scale", "row_results")

# Legal ranges, both ends included.
_RANGES = {
    "lanes": (1, 64),
    "logit_width": (4, 24),
    "max_row": (1, 65536),
    "prob_bits": (4, 24),
    "contexts": (0, MAX_CONTEXTS),
}


def element_type(width: int, *, signed: bool) -> np.dtype[Any]:
    """The narrowest NumPy integer type of at least ``width`` bits, at most 32."""
    size = 1 if width <= 8 else 2 if width <= 16 else 4
    return np.dtype(f"{'i' if signed else 'u'}{size}")


@dataclass(frozen=True, kw_only=True)
class StreamFormat:
    """Rows of logits in, rows of probabilities or codes out: numbers, widths and lengths.

    Numbers and booleans may be Python's or NumPy's, real ones Decimals too; the members are plain
    Python values that equal them.

    Parameters
    ----------
    lanes
        Elements of a beat, 1 to 64.
    logit_width
        Width of a logit. A signed integer has 4 to 24 bits, 8 by default; ``bf16`` and ``fp16``
        have 16.
    logit_scale
        Real value of a logit of 1: real logit = logit_scale * logit. By default 0.0625 for
        integers and 1 for floating-point logits.
    max_row
        Longest row in elements, 1 to 65536, a multiple of ``lanes``.
    prob_bits
        Width of a probability, an unsigned fraction with 2**prob_bits for 1: 4 to 24 bits.
    masking
        Whether single elements can be masked.
    full_rate_row
        Shortest row, in elements, that streams without a bubble. None: what the kernel chooses;
        the format of a ``SoftmaxConfig`` has a number.
    contexts
        Sets of tables that can be loaded while the unit runs, each row choosing one by its
        context number: 1 to 1024. 0: the tables are constants.
    output
        What leaves for each element: ``"probabilities"``, or ``"codes"`` as soon as they are
        known, for a consumer that has its own use for them.
    row_results
        What leaves for each row, in a stream of its own: ``"none"``, ``"sum"`` for its maximum
        and sum, ``"table"`` for the probabilities of all codes besides. A unit that gives codes
        has row results; ``"table"`` by default.
    sink
        Logit of the sink, an element that joins the maximum and the sum of every row and has no
        output: an integer in logit steps, or a number of the logits' floating-point format. With
        contexts, that of each whose tables name no other. None: there is no sink.
    window
        Whether each row can come with a window [start, stop): its elements outside are masked.
    mask_value
        ``"lowest"``: the lowest integer of ``logit_width`` bits is no logit and means masked.
    logit_format
        ``"integer"``, ``"bf16"`` or ``"fp16"``. Of the floating-point formats -inf means masked;
        NaN and +inf are masked and put the row in error.
    """

    lanes: int = 4
    logit_width: int = _DERIVED
    logit_scale: float | Fraction = _DERIVED
    max_row: int = 1024
    prob_bits: int = 16
    masking: bool = True
    full_rate_row: int | None = None
    contexts: int = 0
    output: str = "probabilities"
    row_results: str = _DERIVED
    sink: int | float | None = None
    window: bool = False
    mask_value: str = "none"
    logit_format: str = "integer"
    # What was left to its default.
    _filled: frozenset[str] = field(default=frozenset(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        open_ = {name for name in _OPEN if getattr(self, name) is None}
        self._set("_filled", frozenset(open_))
        for name in ("masking", "window"):
            self._set(name, flag(name, getattr(self, name)))
        choice("output", self.output, OUTPUTS)
        choice("logit_format", self.logit_format, LOGIT_FORMATS)
        choice("mask_value", self.mask_value, MASK_VALUES)
        self._settle_results()
        self._settle_logits()
        for name, legal in _RANGES.items():
            self._set(name, integer(name, getattr(self, name), *legal))
        self._set("logit_scale", real("logit_scale", self.logit_scale))
        if self.sink is not None:
            self._set("sink", self.sink_logit("sink", self.sink))
        if self.logit_scale <= 0:
            raise ValueError(f"logit_scale must be positive, not {self.logit_scale!r}")
        if self.max_row % self.lanes:
            below = self.max_row - self.max_row % self.lanes
            near = f"{below} or {below + self.lanes}" if below else f"{self.lanes}"
            raise ValueError(
                f"max_row must be a multiple of lanes ({self.lanes}), not {self.max_row}; "
                f"{near} would be"
            )
        if self.full_rate_row is not None:
            self._set("full_rate_row", integer("full_rate_row", self.full_rate_row))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _settle_results(self) -> None:
        if self.row_results is None:
            self._set("row_results", "table" if self.output == "codes" else "none")
        choice("row_results", self.row_results, ROW_RESULTS)
        if self.output == "codes" and self.row_results == "none":
            raise ValueError("a unit that gives codes has row_results sum or table, not none")

    def _settle_logits(self) -> None:
        width = 8 if self.float_format is None else 16
        if self.logit_width is None:
            self._set("logit_width", width)
        if self.logit_scale is None:
            self._set("logit_scale", 0.0625 if self.float_format is None else 1.0)
        if self.float_format is None:
            return
        if self.logit_width != width:
            raise ValueError(
                f"logit_width must be {width} with logit_format {self.logit_format}, "
                f"not {self.logit_width}"
            )
        if self.mask_value != "none":
            raise ValueError(
                f"mask_value must be none with logit_format {self.logit_format}, whose -inf "
                f"means masked, not {self.mask_value}"
            )

    def sink_logit(self, name: str, value: Any) -> int | float:
        """``value``, called ``name`` in messages, as the logit of a sink; its errors.

        An integer within ``live_range``, or a finite number that the floating-point format has.
        """
        if self.float_format is not None:
            return self.float_format.exact(name, value)
        return integer(name, value, *self.sink_range)

    def changed(self, changes: dict[str, Any]) -> StreamFormat:
        """A copy with ``changes``; what was left to its default is settled anew."""
        settings = {name: getattr(self, name) for name in _names() if name not in self._filled}
        return StreamFormat(**(settings | changes))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``contexts``, and the settings that came later, only where they
        differ from the defaults.
        """
        values = {name: getattr(self, name) for name in _names()}
        values["logit_scale"] = plain_real(self.logit_scale)
        for name in _PLAIN:
            if values[name] == _PLAIN[name]:
                del values[name]
        return values

    @staticmethod
    def left_out() -> dict[str, Any]:
        """Fields that ``to_dict`` leaves out where they have these defaults."""
        return dict(_PLAIN)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> StreamFormat:
        """What ``to_dict`` wrote."""
        return cls(**values | {"logit_scale": exact_real(values["logit_scale"])})

    @property
    def float_format(self) -> FloatFormat | None:
        """The floating-point format of the logits; None: they are integers."""
        return FLOAT_FORMATS.get(self.logit_format)

    @property
    def threshold_step(self) -> Fraction:
        """Real value of one step of a threshold."""
        step = Fraction(self.logit_scale)
        return step if self.float_format is None else step / (1 << FRACTION)

    @property
    def lowest_logit(self) -> int:
        """What the maximum of a row without a live element is: an integer logit, or a key."""
        return self.logit_range[0] if self.float_format is None else self.float_format.lowest

    def sink_key(self, sink: int | float) -> int:
        """A legal sink as ``Rows`` has it: the logit itself, or its key."""
        if self.float_format is None:
            return int(sink)
        return int(self.float_format.keys(np.array([sink], np.float32))[0])

    @property
    def sink_range(self) -> tuple[int, int]:
        """Smallest and largest ``sink_key`` of a legal sink: of what is a logit and not masked."""
        if self.float_format is not None:
            return self.float_format.lowest + 1, self.float_format.infinity - 1
        return self.live_range

    @property
    def partial_rows(self) -> bool:
        """Whether elements of a row can be masked, by whatever means."""
        by_value = self.mask_value != "none" or self.float_format is not None
        return self.masking or self.window or by_value

    @property
    def gives_probabilities(self) -> bool:
        """Whether probabilities leave the unit, of elements or in the row results."""
        return self.output == "probabilities" or self.row_results == "table"

    @property
    def index_bits(self) -> int:
        """Width of an index from 0 to ``max_row``, as a window has."""
        return self.max_row.bit_length()

    @property
    def beats(self) -> int:
        """Beats of the longest row."""
        return self.max_row // self.lanes

    @property
    def full_rate_beats(self) -> int:
        """Beats of the shortest row that streams without a bubble."""
        if self.full_rate_row is None:
            raise ValueError("full_rate_row is not settled: take the format of a SoftmaxConfig")
        return -(-self.full_rate_row // self.lanes)

    def rows_within(self, cycles: int) -> int:
        """Rows of full rate that can arrive while the longest row does and ``cycles`` pass."""
        return -(-(self.beats + cycles) // self.full_rate_beats) + 1

    @property
    def context_bits(self) -> int:
        """Width of a row's context number, 0 where there is nothing to choose."""
        return max(self.contexts - 1, 0).bit_length()

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
        """Smallest and largest logit that is an integer; with a mask value, that included."""
        return -(2 ** (self.logit_width - 1)), 2 ** (self.logit_width - 1) - 1

    @property
    def masked_logit(self) -> int | None:
        """The integer logit that means masked; None: there is none."""
        return self.logit_range[0] if self.mask_value == "lowest" else None

    @property
    def live_range(self) -> tuple[int, int]:
        """Smallest and largest integer logit that can take part: ``logit_range`` without a mask
        value. Real logits saturate at these, so that none becomes the mask value.
        """
        least, most = self.logit_range
        return least + (self.masked_logit is not None), most

    @property
    def longest_flat_row(self) -> int:
        """Longest row, in elements, that gives anything but zeros if all its logits are equal.

        Each probability of n equal logits is 1/n, which rounds to at least one step of
        2**-prob_bits up to n = 2**(prob_bits + 1). A unit with a greater ``max_row`` is of use
        for rows only whose probabilities differ.
        """
        return 2 ** (self.prob_bits + 1)


def _names() -> tuple[str, ...]:
    """Names of the settings."""
    return tuple(each.name for each in dataclasses.fields(StreamFormat) if each.init)
