"""The configuration of an attention head: operands, and the softmax between its two products.

>>> from exaq.attention import AttentionConfig
>>> config = AttentionConfig(head_size=64, keys="dint4", bits=2, max_row=256)
>>> config.softmax.logit_width, config.level_width, config.output_frac
(18, 16, 8)
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from exaq.attention.key_formats import KEY_FORMATS, KeyFormat
from exaq.config import SoftmaxConfig, crc_of
from exaq.kernels import Exaq, Multiply
from exaq.kernels.multiply import MAX_LOGIT_WIDTH
from exaq.scalars import choice, flag, integer
from exaq.stream_format import StreamFormat

#: Legal sizes of a head, both ends included.
HEAD_SIZES = (16, 256)
#: Width of an element of q.
QUERY_WIDTH = 8
#: Legal widths of a value's and of an output's element.
VALUE_WIDTHS, OUTPUT_WIDTHS = (4, 8), (8, 16)

# What the head settles of its softmax, by kernel.
_SETTLED: dict[str, dict[str, Any]] = {
    Exaq.name: {"output": "codes", "row_results": "sum", "masking": False},
    Multiply.name: {"output": "probabilities", "row_results": "none", "masking": False},
}
# Settings that a head does not take for its softmax, beside those.
_FOLLOW = ("logit_width", "logit_format", "mask_value", "window")
# Integers that operands of a trained model usually have as standard deviation, where their largest
# ones fill the range: of q and INT8 keys, and of the formats of 4 bits in their own steps.
_USUAL_8BIT, _USUAL_4BIT = 32, 2.5
_USUAL_SIGMA = 2.0


@dataclass(frozen=True, init=False)
class AttentionConfig:
    """Parameters of an attention head.

    Parameters
    ----------
    head_size
        Elements of a row of q, of a key and of a value: 16 to 256.
    keys
        Format of a key's elements: ``"dint4"``, ``"int4"`` or ``"int8"``.
    value_width
        Width of a value's element, a signed integer: 8 or 4.
    output_width
        Width of an output's element, a signed integer: 16 or 8, with ``output_frac`` fraction
        bits more than a value has.
    causal
        Whether a row of q meets the keys up to its own number alone, counted from a head's first
        row; else it meets all.
    settings
        Those of ``SoftmaxConfig`` of the kernel EXAQ: ``lanes`` keys a cycle, ``max_row`` keys at
        most, ``bits``, ``clip`` or ``tables``, ``sink``, ... ``logit_scale`` is what a dot product
        of 1 is worth, by default what suits operands that fill their ranges. The logits are the
        dot products, so ``logit_width`` follows, and so do ``output`` and ``row_results``; the
        unit leaves keys out by the lengths of rows, not by masks or windows.

        With ``kernel="multiply"`` it is a head to compare with: each value is multiplied by a
        probability of ``prob_bits``. That kernel's logits have 16 bits, so they are the dot
        products without their lowest ``score_shift`` bits.

    Members
    -------
    softmax
        The configuration of the softmax unit within: codes and row sums out, or probabilities. Its
        ``logit_scale`` is that of its logits.
    by_level
        Whether values are added up by code, as with EXAQ; else each is multiplied.

    Raises
    ------
    TypeError, ValueError
        A setting is unknown or not legal, or is one that follows from others.
    """

    head_size: int
    keys: str
    value_width: int
    output_width: int
    causal: bool
    by_level: bool
    softmax: SoftmaxConfig
    # Settings of the softmax as they were given, for `replace`.
    _given: dict[str, Any] = field(repr=False, compare=False)

    def __init__(
        self,
        *,
        head_size: int = 64,
        keys: str = "dint4",
        value_width: int = 8,
        output_width: int = 16,
        causal: bool = False,
        **settings: Any,
    ) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("head_size", integer("head_size", head_size, *HEAD_SIZES))
        put("keys", choice("keys", keys, tuple(KEY_FORMATS)))
        for name, value, legal in (
            ("value_width", value_width, VALUE_WIDTHS),
            ("output_width", output_width, OUTPUT_WIDTHS),
        ):
            if integer(name, value) not in legal:
                raise ValueError(f"{name} must be {legal[0]} or {legal[1]}, not {value}")
            put(name, int(value))
        put("causal", flag("causal", causal))
        kernel = settings.get("kernel", Exaq.name)
        if kernel not in _SETTLED:
            raise ValueError(f"an attention head has the kernel exaq or multiply, not {kernel}")
        settled = _SETTLED[kernel]
        for name in (*_FOLLOW, "format", *settled):
            if name in settings:
                raise TypeError(f"{name} of the softmax follows from the attention head")
        if settings.get("contexts", 0):
            raise ValueError("an attention head has its tables as constants, and no contexts")
        put("_given", settings)
        put("by_level", kernel == Exaq.name)
        scale = settings.get("logit_scale", self._usual_scale())
        settled = settled | {
            "logit_width": self.score_width - self.score_shift,
            "logit_scale": scale * 2**self.score_shift,
        }
        put("softmax", SoftmaxConfig(**settings | settled))

    def _usual_scale(self) -> float:
        key = _USUAL_8BIT if self.key_format.width == 8 else _USUAL_4BIT / self.key_format.unit
        sigma = _USUAL_8BIT * key * math.sqrt(self.head_size)
        return 2.0 ** round(math.log2(_USUAL_SIGMA / sigma))

    @property
    def key_format(self) -> KeyFormat:
        """The format of a key's elements."""
        return KEY_FORMATS[self.keys]

    @property
    def lanes(self) -> int:
        """Keys, and values, of a beat."""
        return self.softmax.format.lanes

    @property
    def score_width(self) -> int:
        """Width of a dot product: what ``head_size`` products of the largest operands need."""
        most = 2 ** (QUERY_WIDTH - 1) * self.key_format.most * self.head_size
        return most.bit_length() + 1

    @property
    def score_shift(self) -> int:
        """Bits of a dot product below those of a logit."""
        return 0 if self.by_level else max(self.score_width - MAX_LOGIT_WIDTH, 0)

    @property
    def level_width(self) -> int:
        """Width of a level's sum of values: ``max_row`` values of the largest size add up."""
        most: int = 2 ** (self.value_width - 1) * self.softmax.format.max_row
        return (most - 1).bit_length() + 1

    @property
    def weighted_width(self) -> int:
        """Width of a sum of values times probabilities, with what rounds it.

        Each probability is half a step too high at most, so a row's add up to little more than 1.
        """
        format = self.softmax.format
        sums = (2**format.prob_bits + format.max_row // 2) << self.value_width - 1
        return (sums + self.rounding).bit_length() + 1

    @property
    def output_shift(self) -> int:
        """Bits that such a sum has below an output's lowest one; negative: as many are missing."""
        return self.softmax.format.prob_bits - self.output_frac

    @property
    def rounding(self) -> int:
        """Half of an output's lowest bit in such a sum."""
        return 1 << self.output_shift - 1 if self.output_shift > 0 else 0

    @property
    def output_frac(self) -> int:
        """Fraction bits of an output: an output of 2**output_frac is a value of 1."""
        return self.output_width - self.value_width

    def replace(self, **changes: Any) -> AttentionConfig:
        """A copy with ``changes``; what was left to its default is settled anew."""
        own = ("head_size", "keys", "value_width", "output_width", "causal")
        mine = {name: getattr(self, name) for name in own}
        return AttentionConfig(**mine | self._given | changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``softmax`` as of ``SoftmaxConfig.to_dict``."""
        return {
            "head_size": self.head_size,
            "keys": self.keys,
            "value_width": self.value_width,
            "output_width": self.output_width,
            "causal": self.causal,
            "softmax": self.softmax.to_dict(),
        }

    @property
    def build_crc(self) -> int:
        """What tells builds apart, as of ``SoftmaxConfig``."""
        return crc_of(self.to_dict())

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AttentionConfig:
        """The head that ``to_dict`` wrote; ValueError or TypeError where it could not have."""
        own = dict(values)
        softmax = SoftmaxConfig.from_dict(own.pop("softmax"))
        names = [each.name for each in dataclasses.fields(StreamFormat) if each.init]
        settings = {name: getattr(softmax, name) for name in names} | softmax.kernel.settings()
        kernel = softmax.kernel.name
        for name in (*_FOLLOW, *_SETTLED.get(kernel, {}), "contexts"):
            del settings[name]
        shift = cls(**own, kernel=kernel).score_shift
        settings["logit_scale"] = softmax.logit_scale / 2**shift
        config = cls(**own, **settings | {"kernel": kernel})
        if config.to_dict() != values:
            raise ValueError("the softmax does not follow from the attention head")
        return config
