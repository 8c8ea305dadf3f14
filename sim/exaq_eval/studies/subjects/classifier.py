"""A classifier whose output softmax the unit computes: from which file are these characters?

A small convolutional network over characters of Python's standard library, trained here; a class is
a file. Its probabilities matter as such, so their calibration is measured beside the accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exaq_eval.models import corpus
from exaq_eval.models.character_decoder import UNKNOWN, encode
from exaq_eval.studies.subjects.random_rows import Floats

#: Characters of an input.
WINDOW = 64
#: Bins of the calibration error, of equal width.
BINS = 15

_BATCH = 128
_RATE = 3e-3
# Of each file, from its beginning: trained on, calibrated on, and the rest measured.
_TRAINED, _CALIBRATED = 0.7, 0.85


@dataclass(frozen=True, kw_only=True)
class Classified:
    """Logits of a trained classifier.

    Members
    -------
    calibration
        (windows, classes), of windows that neither training nor ``logits`` saw.
    logits
        (windows, classes), of the windows to measure.
    labels
        (windows,): the class of each of these.
    files
        Name of the file of each class.
    """

    calibration: Floats
    logits: Floats
    labels: NDArray[np.intp]
    files: tuple[str, ...]


class Network(nn.Sequential):
    """Character numbers (windows, WINDOW) to logits (windows, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__(
            nn.Embedding(UNKNOWN + 1, 32),
            _ToChannels(),
            nn.Conv1d(32, 128, 5),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(128, 128, 5),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(1),
            nn.Flatten(),
            nn.Linear(128, classes),
        )


class _ToChannels(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


def classify(
    classes: int, steps: int, measured: int, seed: int, progress: Callable[[int, int], None]
) -> Classified:
    """Train a classifier and give its logits.

    Parameters
    ----------
    classes
        The longest files of the library, so many.
    steps
        Optimizer steps.
    measured
        Windows to measure, and half as many for calibration, spread evenly over the files.
    seed
        Of weights and batches.
    progress
        Called with (steps done, steps).
    """
    longest = sorted(corpus.sources(), key=lambda source: (-len(source[1]), source[0]))[:classes]
    files = [encode(text) for _, text in longest]
    parts = [[0, int(_TRAINED * len(f)), int(_CALIBRATED * len(f)), len(f)] for f in files]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(classes)
        optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for step in range(steps):
            progress(step, steps)
            labels = torch.randint(classes, (_BATCH,))
            shares = torch.rand(_BATCH)
            windows = torch.stack(
                [
                    _window(files[label], int(share * (parts[label][1] - WINDOW)))
                    for label, share in zip(labels.tolist(), shares.tolist(), strict=True)
                ]
            )
            loss = nn.functional.cross_entropy(network(windows), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        network.eval()

    def logits(part: int, count: int) -> Floats:
        each = count // classes
        windows = [
            _window(file, start + k * (end - start - WINDOW) // each)
            for file, (start, end) in zip(
                files, ((p[part], p[part + 1]) for p in parts), strict=True
            )
            for k in range(each)
        ]
        with torch.inference_mode():
            blocks = [network(block) for block in torch.stack(windows).split(512)]
        return np.concatenate([block.double().numpy() for block in blocks])

    return Classified(
        calibration=logits(1, measured // 2),
        logits=logits(2, measured),
        labels=np.repeat(np.arange(classes), measured // classes),
        files=tuple(name for name, _ in longest),
    )


def class_scores(probabilities: Floats, labels: NDArray[np.intp], floor: float) -> dict[str, Any]:
    """Figures of a classifier's probabilities (windows, classes).

    Parameters
    ----------
    probabilities
        Each row is brought to the sum 1 first.
    labels
        The right classes.
    floor
        Probabilities below it count as it in the log loss.

    Returns
    -------
    dict[str, Any]
        ``accuracy``: chance that the likeliest class is the right one, where equal ones draw lots.
        ``log_loss``: mean of -ln p of the right class, nats. ``calibration_error``: expected
        difference between the likeliest class's probability and its chance to be right, over
        ``BINS`` bins of that probability.
    """
    p = probabilities / probabilities.sum(axis=-1, keepdims=True)
    best = p == p.max(axis=-1, keepdims=True)
    right = best[np.arange(len(p)), labels] / best.sum(axis=-1)
    confidence = p.max(axis=-1)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.abs(np.bincount(bins, right - confidence, BINS))
    return {
        "accuracy": float(right.mean()),
        "log_loss": float(-np.log(np.maximum(p[np.arange(len(p)), labels], floor)).mean()),
        "calibration_error": float(gaps.sum() / len(p)),
    }


def _window(file: Tensor, start: int) -> Tensor:
    return file[start : start + WINDOW]
