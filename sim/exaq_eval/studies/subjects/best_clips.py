"""The best clip of real logits, layer by layer, and how peaked their softmax is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exaq import metrics
from exaq_eval.studies.subjects.random_rows import FINE
from exaq_eval.studies.subjects.real_rows import RealRows

#: Figures that a clip can make least, and their names for people.
ERRORS = {"squared_error": "squared error", "kl": "divergence"}
#: Clips that are tried, in equal ratios.
CLIPS = tuple(-float(clip) for clip in np.geomspace(1, 24, 41))
#: A row whose largest probability is above it is next to a hard maximum.
NEARLY_ONE = 0.99


def best_clips(layers: Sequence[RealRows], bits: int) -> dict[str, list[float]]:
    """For each objective the clip of ``CLIPS`` with the least error, layer by layer.

    End-point tables of a unit as wide as ``rows.FINE``, one clip for all heads of a layer.
    """
    best: dict[str, list[float]] = {key: [] for key in ERRORS}
    wide = {name: FINE[name] for name in ("logit_scale", "exp_frac", "prob_bits")}
    for rows in layers:
        exact = rows.exact
        errors: dict[str, list[float]] = {key: [] for key in ERRORS}
        heads = int(rows.heads.max()) + 1
        for clip in CLIPS:
            given = rows.probabilities([clip] * heads, bits, **wide)
            floor = 0.5 / 2 ** FINE["prob_bits"]
            errors["squared_error"].append(metrics.row_squared_error(exact, given, rows.live))
            errors["kl"].append(metrics.kl_divergence(exact, given, rows.live, floor=floor))
        for key, values in errors.items():
            best[key].append(CLIPS[int(np.argmin(values))])
    return best


def peaks(layers: Sequence[RealRows]) -> dict[str, Any]:
    """How peaked the float softmax of the rows is, over all layers.

    ``largest``: mean of a row's largest probability. ``nearly_one``: share of rows where it is
    above ``NEARLY_ONE``.
    """
    largest = np.concatenate([rows.exact.max(axis=-1) for rows in layers])
    return {
        "largest": float(largest.mean()),
        "nearly_one": float((largest > NEARLY_ONE).mean()),
    }
