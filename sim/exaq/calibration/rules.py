"""What calibration knows of a part before it searches: spread, minima, and the clips that follow.

Source: EXAQ (arXiv 2410.03185) and its authors' calibration, which makes a clip of each call's
logits and averages clips and minima separately.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from exaq.calibration.source import Block, Part, read
from exaq.config import SoftmaxConfig
from exaq.masks import Doubt
from exaq.tables import PAPER_BITS, default_clip, paper_clip


@dataclass
class Spread:
    """Distances to the row's maximum of one call: number, mean, sum of squares, least."""

    elements: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = 0.0

    def add(self, block: Block) -> None:
        """Take in the block's live elements, the rows' maxima (0) among them."""
        values = block.distances[block.live]
        mean = float(values.mean())
        squares = float(((values - mean) ** 2).sum())
        total = self.elements + len(values)
        apart = mean - self.mean
        self.squares += squares + apart**2 * self.elements * len(values) / total
        self.mean += apart * len(values) / total
        self.elements = total
        self.minimum = min(self.minimum, float(values.min()))

    @property
    def sigma(self) -> float:
        """Unbiased standard deviation; 0 of a single element."""
        return math.sqrt(self.squares / (self.elements - 1)) if self.elements > 1 else 0.0


@dataclass
class Survey:
    """A part's calls, pooled as the authors' code does.

    Members
    -------
    sigma, minimum
        Means over the calls with a live element.
    lowest
        Distance of the farthest element in logit steps.
    doubt
        What is masked because of a gap alone, if anything.
    """

    rows: int = 0
    elements: int = 0
    saturated: int = 0
    lowest: int = 0
    doubt: Doubt | None = None
    calls: list[Spread] = field(default_factory=list)

    @classmethod
    def of(cls, part: Part, config: SoftmaxConfig, advance: Callable[[], None]) -> Survey:
        """Reads the part once; ValueError where nothing is live."""
        survey = cls()
        for recorded in part.calls:
            call = Spread()
            for block in read(recorded, config):
                call.add(block)
                survey.rows += len(block.live)
                survey.saturated += block.saturated
                survey.lowest = min(survey.lowest, int(block.steps.min()))
                if block.doubt is not None:
                    survey.doubt = block.doubt | survey.doubt
                advance()
            if call.elements:
                survey.calls.append(call)
                survey.elements += call.elements
        if not survey.calls:
            raise ValueError(f"{part.where}: there is no live element to calibrate on")
        return survey

    @property
    def sigma(self) -> float:
        return float(np.mean([call.sigma for call in self.calls]))

    @property
    def minimum(self) -> float:
        return float(np.mean([call.minimum for call in self.calls]))

    def clips(self, bits: int) -> dict[str, float]:
        """Clips of the rules that know ``bits``, the paper's first: real units, negative.

        "paper", where the paper has a fit: max(mean of the calls' clips, mean of their minima).
        "naive": the mean of the minima. Where every row is constant there is no interval to
        quantize, and any clip is as good: the mean of the calls' clips, or the default one.
        """
        if bits not in PAPER_BITS:
            return {"naive": self.minimum if self.minimum < 0 else default_clip(bits)}
        fit = float(np.mean([paper_clip(call.sigma, bits) for call in self.calls]))
        if self.minimum < 0:
            return {"paper": max(fit, self.minimum), "naive": self.minimum}
        return {"paper": fit, "naive": fit}
