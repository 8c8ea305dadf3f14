"""Task figures: how far a model with quantized softmax is from the same model in float."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def embedding_scores(exact: Floats, given: Floats, calibrated: int = 0) -> dict[str, float]:
    """Sentence embeddings against those of the float model.

    Parameters
    ----------
    exact, given
        (texts, size) embeddings of the float model and of the other, none all zeros; two texts
        or more.
    calibrated
        Texts, from the first on, that the tables were calibrated on. The rest are held out.

    Returns
    -------
    dict[str, float]
        ``cosine_mean`` and ``cosine_min``: of each text's two embeddings.
        ``nearest_kept``: share of texts whose nearest other text, by cosine, is that of the float
        model. ``spearman``: rank correlation of the cosines of all pairs of texts. The first three
        again as ``held_out_...``, of the held-out texts, where there are any; their neighbours are
        sought among all texts.
    """
    a, b = _unit(exact), _unit(given)
    cosines = (a * b).sum(axis=-1)
    kept = _nearest(a) == _nearest(b)
    pairs = np.triu_indices(len(a), 1)
    scores = {
        "cosine_mean": float(cosines.mean()),
        "cosine_min": float(cosines.min()),
        "nearest_kept": float(kept.mean()),
        "spearman": spearman((a @ a.T)[pairs], (b @ b.T)[pairs]),
    }
    if calibrated < len(a):
        scores |= {
            "held_out_cosine_mean": float(cosines[calibrated:].mean()),
            "held_out_cosine_min": float(cosines[calibrated:].min()),
            "held_out_nearest_kept": float(kept[calibrated:].mean()),
        }
    return scores


def loss_scores(exact: Floats, given: Floats) -> dict[str, float]:
    """Losses of a language model against those of the float model.

    Parameters
    ----------
    exact, given
        (windows,) mean loss a token of each window of text, in nats; all windows of one length.

    Returns
    -------
    dict[str, float]
        ``loss``, mean, and ``perplexity``, e**loss. ``increase``: loss over the float model's, and
        ``increase_error``, its standard error over the windows, each window against itself
        (0 where there is a single one).
    """
    change = np.asarray(given, dtype=np.float64) - np.asarray(exact, dtype=np.float64)
    loss = float(np.mean(given, dtype=np.float64))
    count = len(change)
    return {
        "loss": loss,
        "perplexity": float(np.exp(loss)),
        "increase": float(change.mean()),
        "increase_error": float(change.std(ddof=1) / np.sqrt(count)) if count > 1 else 0.0,
    }


def spearman(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation; equal values share the mean of their ranks.

    1 where ``a`` or ``b`` holds a single value only and they have the same ranks, else 0.
    """
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size else float((x == y).all())


def _ranks(values: Floats) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


def _nearest(unit: Floats) -> NDArray[np.intp]:
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return similarity.argmax(axis=-1)


def _unit(vectors: Floats) -> Floats:
    real = np.asarray(vectors, dtype=np.float64)
    return real / np.linalg.norm(real, axis=-1, keepdims=True)
