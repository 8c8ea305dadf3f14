"""Rows that a mapped unit has to give the right bits for: corners, chance, stalls and resets.

>>> from exaq import SoftmaxConfig
>>> from exaq_asic.gates.gate_rows import gate_rows
>>> rows = gate_rows(SoftmaxConfig(max_row=64, full_rate_row=32))
>>> rows["logits"].shape == rows["mask"].shape
True
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exaq import SoftmaxConfig, round_logits

_SEED = 16
_SHORT = 40
#: Elements of the longest of the rows that chance makes.
_LONGEST = 256


def gate_rows(config: SoftmaxConfig) -> dict[str, Any]:
    """Arguments of ``exaq_cosim.simulate``, the same every time; rows of unequal length.

    Corners: rows of one element and of every tail, a longest row and one that is too long, all
    equal, the lowest and the highest logit, a lone highest one, a ramp; where elements can be
    masked, rows with one live element or with none. The others are of chance.
    """
    random = np.random.default_rng(_SEED)
    longest = config.max_row
    short = min(_SHORT, longest)
    low, high = _extremes(config)
    rows = [
        _chance(config, random, length) for length in range(1, min(2 * config.lanes, longest) + 1)
    ]
    rows += [np.full(short, value) for value in (low, high, _middle(config))]
    alone = np.full(short, low)
    alone[short // 2] = high
    rows += [alone, np.linspace(low, high, short)]
    rows += [_chance(config, random, longest), _chance(config, random, longest + config.lanes)]
    rows += [
        _chance(config, random, int(random.integers(1, min(_LONGEST, longest) + 1)))
        for _ in range(_SHORT)
    ]
    width = max(map(len, rows))
    logits = np.stack([np.pad(row, (0, width - len(row))) for row in rows])
    if config.float_format is None:
        logits = logits.round().astype(np.int32)
    else:
        logits = round_logits(logits, config)
    lengths = np.array([len(row) for row in rows])
    given: dict[str, Any] = {"logits": logits, "lengths": lengths, "overlong": True}
    if config.masking:
        mask = random.random(logits.shape) < random.choice([0.3, 0.8, 1.0], (len(rows), 1))
        mask[0], mask[-1], mask[-2] = True, False, np.arange(width) == 0
        given["mask"] = mask
    if config.window:
        starts, stops = random.integers(0, longest + 1, (2, len(rows)))
        starts[0], stops[0] = 0, longest
        given["window"] = (starts, stops)
    if config.contexts:
        given["contexts"] = random.integers(0, config.contexts, len(rows))
    return given


def _extremes(config: SoftmaxConfig) -> tuple[float, float]:
    if config.float_format is not None:
        return -60.0, 60.0
    low, high = config.logit_range
    return float(max(low, config.format.lowest_logit)), float(high)


def _middle(config: SoftmaxConfig) -> float:
    return 0.0 if config.float_format is None else 1.5


def _chance(config: SoftmaxConfig, random: np.random.Generator, length: int) -> NDArray[Any]:
    """Logits about as far apart as the clip, so that every code comes."""
    low, high = _extremes(config)
    scale = 1.0 if config.float_format is not None else float(config.logit_scale)
    spread = 2.5 / scale
    middle = random.uniform(low / 2, high / 2)
    return np.clip(random.normal(middle, spread, length), low, high)
