"""Figures of the attention: probabilities of a softmax against float softmax of the same logits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig, TableFile, metrics, reference
from exaq_eval.settings import LogitFormat

Array = NDArray[Any]

#: Floor for softmaxes that do not round: it only keeps the logarithm finite.
TINY = float(np.finfo(np.float64).tiny)

#: Rows of a head, in one call of a layer, that are compared at most.
MOST_ROWS = 512
#: Elements of a row, as many as any unit takes.
LONGEST = 65536


@dataclass
class Figures:
    """Sums over rows, from which means are taken when all blocks have been added.

    A row counts as much as any other, whatever its length and block.
    """

    rows: int = 0
    kl: float = 0.0
    squared_error: float = 0.0
    top1: float = 0.0
    total: float = 0.0
    least: float = np.inf
    most: float = -np.inf

    def add(self, exact: Array, given: Array, live: Array, *, floor: float) -> None:
        """Add a block of rows: shape (..., row), float64; ``live`` is the mask.

        ``floor`` is that of ``metrics.kl_divergence``. A row without a live element does not
        count.
        """
        rows = int(live.any(axis=-1).sum())
        if not rows:
            return
        sums = metrics.row_sums(given, live)[live.any(axis=-1)]
        self.rows += rows
        self.kl += rows * metrics.kl_divergence(exact, given, live, floor=floor)
        self.squared_error += rows * metrics.row_squared_error(exact, given, live)
        self.top1 += rows * metrics.top1(exact, given, live)
        self.total += float(sums.sum())
        self.least = min(self.least, float(sums.min()))
        self.most = max(self.most, float(sums.max()))

    def __add__(self, other: Figures) -> Figures:
        """Figures of the rows of both."""
        return Figures(
            rows=self.rows + other.rows,
            kl=self.kl + other.kl,
            squared_error=self.squared_error + other.squared_error,
            top1=self.top1 + other.top1,
            total=self.total + other.total,
            least=min(self.least, other.least),
            most=max(self.most, other.most),
        )

    def to_dict(self) -> dict[str, Any]:
        """Means over rows, and the least, mean and largest sum of a row, for JSON."""
        return {
            "rows": self.rows,
            "kl": self.kl / self.rows,
            "squared_error": self.squared_error / self.rows,
            "top1": self.top1 / self.rows,
            "row_sum": {"min": self.least, "mean": self.total / self.rows, "max": self.most},
        }


@dataclass
class Sharpness:
    """How sharp the attention of the float model is, over all rows.

    A model whose rows each look at one key is served by almost any table; what few bits cost
    shows on rows that spread.
    """

    rows: int = 0
    largest: float = 0.0
    entropy: float = 0.0

    def add(self, logits: Array) -> None:
        """Add the rows of ``logits``, shape (..., row), -inf where masked."""
        live = np.isfinite(logits)
        p = reference.softmax(np.where(live, logits, 0), live)
        self.rows += int(live.any(axis=-1).sum())
        self.largest += float(p.max(axis=-1).sum())
        self.entropy -= float((p * np.log(np.where(p > 0, p, 1))).sum())

    def to_dict(self) -> dict[str, Any]:
        """Means over rows of the largest probability and of the entropy in nats, for JSON."""
        return {
            "rows": self.rows,
            "largest_probability": self.largest / self.rows,
            "entropy": self.entropy / self.rows,
        }

    def state(self) -> dict[str, Any]:
        """Plain values from which ``Sharpness`` goes on: ``Sharpness(**state)``."""
        return asdict(self)


#: Probabilities (heads, rows, row), float64, of logits of a layer with -inf for masked ones.
Softmax = Callable[[int, Array], Array]


@dataclass
class Comparison:
    """Several softmaxes on the same logits, block after block, layer by layer.

    Members
    -------
    softmaxes
        By name; each gets the number of the layer and its logits.
    layers
        Layers of the model.
    floor
        Probabilities below it count as so much in the divergence; see ``metrics.kl_divergence``.
    """

    softmaxes: dict[str, Softmax]
    layers: int
    floor: float
    _figures: dict[str, list[Figures]] = field(init=False)

    def __post_init__(self) -> None:
        self._figures = {name: [Figures() for _ in range(self.layers)] for name in self.softmaxes}

    def add(self, layer: int, logits: Array, names: Collection[str] | None = None) -> None:
        """Compare on ``logits``, shape (heads, rows, row), -inf where masked.

        Of more than ``MOST_ROWS`` rows a head every second, third or so is compared. ``names``:
        those of the softmaxes to compare; None: all.
        """
        step = -(-logits.shape[-2] // MOST_ROWS)
        rows = logits[..., ::step, :]
        live = np.isfinite(rows)
        exact = reference.softmax(np.where(live, rows, 0), live)
        for name in self.softmaxes if names is None else names:
            given = self.softmaxes[name](layer, logits)[..., ::step, :]
            self._figures[name][layer].add(exact, given, live, floor=self.floor)

    def state(self, name: str) -> list[dict[str, Any]]:
        """Plain values of one softmax's sums, layer by layer, for ``resume``."""
        return [asdict(figures) for figures in self._figures[name]]

    def resume(self, name: str, state: list[Mapping[str, Any]]) -> None:
        """Go on with the sums of ``state``, in the place of those of the softmax."""
        self._figures[name] = [Figures(**each) for each in state]

    def to_dict(self, name: str) -> dict[str, Any]:
        """Figures of one softmax over all layers, and the divergence of each one that ran."""
        each = self._figures[name]
        return sum(each[1:], each[0]).to_dict() | {
            "kl_of_layers": [
                figures.kl / figures.rows if figures.rows else None for figures in each
            ]
        }


def unit_softmax(tables: TableFile, prob_bits: int) -> Softmax:
    """The golden model with the tables that ``tables`` holds for each layer and head."""

    def softmax(layer: int, logits: Array) -> Array:
        heads = len(logits)
        each = tuple(tables.of(layer, head).tables for head in range(heads))
        config = SoftmaxConfig(
            bits=tables.bits,
            logit_width=tables.logit_width,
            logit_scale=tables.logit_scale,
            exp_frac=tables.exp_frac,
            prob_bits=prob_bits,
            max_row=LONGEST,
            contexts=heads,
            context_tables=each,
        )
        integers, live = _integers(logits, config)
        contexts = np.arange(heads)[:, None]
        return exaq.probabilities_to_float(exaq.softmax(integers, config, live, contexts), config)

    return softmax


def half_step(prob_bits: int) -> float:
    """Half a step of the probabilities: the floor for softmaxes that round to such."""
    return 0.5 / 2**prob_bits


def rounded_softmax(logit_format: LogitFormat) -> Softmax:
    """Float softmax of the integer logits: what the format costs by itself."""
    config = logit_format.config()

    def softmax(layer: int, logits: Array) -> Array:
        integers, live = _integers(logits, config)
        return reference.softmax(integers * float(config.logit_scale), live)

    return softmax


def _integers(logits: Array, config: SoftmaxConfig) -> tuple[Array, Array]:
    live = np.isfinite(logits)
    return exaq.logits_to_integers(np.where(live, logits, 0), config), live
