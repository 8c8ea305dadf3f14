"""Random rows of logits of known distribution, a unit wide enough for them, and its figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from exaq import SoftmaxConfig, StreamFormat, metrics

Floats = NDArray[np.float64]

#: The unit of studies about codes alone: logits, exponentials and probabilities so fine that
#: they cost nothing beside 2 to 4 bits of code. The study ``widths`` is about the rest.
FINE: dict[str, Any] = {
    "logit_width": 16,
    "logit_scale": 2.0**-8,
    "exp_frac": 20,
    "prob_bits": 24,
}


def fine_config(row: int, bits: int, **tables: Any) -> SoftmaxConfig:
    """A configuration as fine as ``FINE`` for rows of ``row`` elements; ``clip`` or ``tables``."""
    lanes = StreamFormat.lanes
    return SoftmaxConfig(bits=bits, max_row=-(-row // lanes) * lanes, **FINE, **tables)


def gaussian(random: Generator, shape: tuple[int, int]) -> Floats:
    """Normal: what the paper's clip is made for."""
    return random.normal(size=shape)


def uniform(random: Generator, shape: tuple[int, int]) -> Floats:
    """Uniform: no tail on either side, many elements close to the maximum."""
    return random.uniform(-np.sqrt(3), np.sqrt(3), shape)


def exponential(random: Generator, shape: tuple[int, int]) -> Floats:
    """Exponential with its tail above: few large logits, and all others within one deviation."""
    return random.exponential(size=shape) - 1


def bimodal(random: Generator, shape: tuple[int, int]) -> Floats:
    """Two normal humps of equal weight, four of their deviations to each side of the mean."""
    side = random.choice([-4.0, 4.0], shape)
    return (side + random.normal(size=shape)) / np.sqrt(17)


def laplace(random: Generator, shape: tuple[int, int]) -> Floats:
    """Laplace: exponential tails on both sides."""
    return random.laplace(scale=np.sqrt(0.5), size=shape)


def student(random: Generator, shape: tuple[int, int]) -> Floats:
    """Student's t with 5 degrees of freedom: heavy tails on both sides."""
    return random.standard_t(5, shape) * np.sqrt(3 / 5)


def sink(random: Generator, shape: tuple[int, int]) -> Floats:
    """Normal, but the first key of each row six deviations higher, as attention sinks are."""
    logits = random.normal(size=shape)
    logits[:, 0] += 6
    return logits


#: Distributions of mean 0 and deviation 1 (``sink``: without its first key) by name; each is
#: called with a generator and (rows, row).
SHAPES: dict[str, Callable[[Generator, tuple[int, int]], Floats]] = {
    "Gaussian": gaussian,
    "uniform": uniform,
    "exponential": exponential,
    "bimodal": bimodal,
    "Laplace": laplace,
    "Student t": student,
    "attention sink": sink,
}


def pooled_sigma(logits: Floats) -> float:
    """Unbiased deviation of all logits below their row's maximum: the sigma of the paper's rule."""
    return float((logits - logits.max(axis=-1, keepdims=True)).std(ddof=1))


def pooled_minimum(logits: Floats) -> float:
    """Lowest logit below its row's maximum: the clip of the naive rule."""
    return float((logits - logits.max(axis=-1, keepdims=True)).min())


def relative_error(exact: Floats, given: Floats) -> float:
    """Mean over rows of sum (p - q)**2 / sum p**2; rows of zeros are none of the reference's."""
    error = np.square(exact - given).sum(axis=-1)
    return float((error / np.square(exact).sum(axis=-1)).mean())


def scores(exact: Floats, given: Floats, floor: float = 0.0) -> dict[str, float]:
    """All figures of rows without masks; ``floor`` as in ``metrics.kl_divergence``."""
    return {
        "kl": metrics.kl_divergence(exact, given, floor=floor),
        "squared_error": metrics.row_squared_error(exact, given),
        "relative_error": relative_error(exact, given),
        "cosine": metrics.cosine(exact, given),
        "top1": metrics.top1(exact, given),
    }
