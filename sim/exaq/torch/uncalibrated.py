"""EXAQ without calibration: every call of a layer has a clip of its own logits.

Hardware cannot do so, because a call's clip is known only when all its logits are. Figures of it
are published, though, as if they were EXAQ's: those that IntAttention (arXiv 2511.21513) quotes
come from a fresh quantizer at each call.

    >>> import exaq.torch
    >>> exaq.torch.Uncalibrated(bits=2)
    Uncalibrated(bits=2, changes={})
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from exaq.config import SoftmaxConfig
from exaq.tables import PAPER_BITS, paper_clip


@dataclass(frozen=True, kw_only=True)
class Uncalibrated:
    """What ``set_tables`` takes for EXAQ's paper rule on each call by itself.

    The clip of a call is the greater of its lowest distance from a row's maximum and of the
    paper's linear fit for the standard deviation (unbiased) of all its distances, of all heads,
    masked elements apart, as in the authors' code without ``--calibrate``.

    Members
    -------
    bits
        Width of a code, 2 to 4.
    changes
        Further fields of ``SoftmaxConfig``, such as ``logit_width`` and ``logit_scale``.
    """

    bits: int
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.bits not in PAPER_BITS:
            raise ValueError(f"the paper's clip is for 2 to 4 bits, not for {self.bits}")
        self.config(clip=-1.0)

    def config(self, **changes: Any) -> SoftmaxConfig:
        """A configuration of this format."""
        return SoftmaxConfig(bits=self.bits, **(dict(self.changes) | changes))

    def of(self, scores: Tensor, live: Tensor, **changes: Any) -> SoftmaxConfig:
        """The configuration for a call's scores (..., row); ``live`` flags broadcast to them."""
        alive = live.expand(scores.shape)
        lowest = torch.finfo(scores.dtype).min
        peak = scores.masked_fill(~alive, lowest).amax(dim=-1, keepdim=True)
        # The masked ones are 0, which changes no sum and, beside the maxima, not the minimum.
        distances = (scores - peak).masked_fill_(~alive, 0)
        count = int(alive.sum())
        least = float(distances.min()) if count else 0.0
        # Two distances at least, else there is no deviation; a clip of a step, if all are 0.
        sigma = 0.0
        if count > 1:
            mean = float(distances.sum(dtype=torch.float64)) / count
            square = float(torch.linalg.vector_norm(distances, dtype=torch.float64)) ** 2
            sigma = math.sqrt(max(square - count * mean**2, 0.0) / (count - 1))
        config = self.config(**changes)
        clip = max(least, paper_clip(sigma, self.bits))
        return config.replace(clip=min(clip, -float(config.logit_scale)))
