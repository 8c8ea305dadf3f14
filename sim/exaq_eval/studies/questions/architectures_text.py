"""Text of the study on architectures: tables, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exaq_eval.reports.figures import number, table
from exaq_eval.studies.subjects.best_clips import NEARLY_ONE

#: Figures of each kind of model, and their names for people; the first is the one that counts.
SCORES = {
    "encoder": (("cosine_mean", "mean cosine of embeddings"), ("cosine_min", "least cosine")),
    "decoder": (("increase", "increase of the loss, nats"), ("increase_error", "its error")),
    "classifier": (
        ("accuracy", "accuracy"),
        ("log_loss", "log loss, nats"),
        ("calibration_error", "calibration error"),
    ),
}


def name(setting: dict[str, Any]) -> str:
    """A setting's name; tables are those of a layer in all of them."""
    if setting["rule"] == "file":
        return str(setting["name"].partition(", ")[2])
    return str(setting["name"].replace(", per layer", ""))


def body(models: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown paragraphs of the figures of ``Architectures.run``."""
    parts = [
        "; ".join(f"{model['name'].capitalize()}: {model['what']}" for model in models)
        + ". Tables for each layer, 16-bit logits; calibrated on data that the classifier and the "
        "decoders are not measured on, while the encoder's calibration texts are among those "
        "measured. Softmax of these models' own logits, the paper's clip, and the best ones of "
        "end-point tables; mean over layers, and range:",
        _clips(models),
    ]
    for model in models:
        parts += [f"{model['name'].capitalize()}:", _scores(model)]
    parts.append(" ".join(_said(model) for model in models))
    return [*parts, _warning(models)]


def _clips(models: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            model["name"],
            f"{model['peaks']['largest']:.2f}",
            clips["bits"],
            *(
                _spread(each)
                for each in (
                    clips["sigma"],
                    clips["paper"],
                    clips["best"]["squared_error"],
                    clips["best"]["kl"],
                )
            ),
        )
        for model in models
        for clips in model["clips"]
    ]
    header = (
        "model",
        "largest probability, mean",
        "bits",
        "sigma",
        "paper's C",
        "C of least squared error",
        "C of least divergence",
    )
    return table(header, rows)


def _spread(values: list[float]) -> str:
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def _scores(model: dict[str, Any]) -> str:
    shown = SCORES[model["kind"]]
    rows = []
    for setting in model["settings"]:
        attention = setting["attention"]
        figures = [number(attention[key]) for key in ("kl", "top1")] if attention else ["", ""]
        scores = (f"{setting['task'][key]:.4f}" for key, _ in shown)
        rows.append((name(setting), *scores, *figures))
    header = ("softmax", *(label for _, label in shown), "divergence, nats a row", "top-1 kept")
    return table(header, rows)


def _said(model: dict[str, Any]) -> str:
    key, label = SCORES[model["kind"]][0]
    cells = []
    for bits in sorted({clips["bits"] for clips in model["clips"]}):
        by_rule = {
            (setting["rule"], setting["minimise"]): f"{setting['task'][key]:.4f}"
            for setting in model["settings"]
            if setting["bits"] == bits
        }
        cells.append(
            f"at {bits} bits {by_rule['paper', None]} with the paper's clip, "
            f"{by_rule['optimal', 'mse']} with squared error minimised and "
            f"{by_rule['optimal', 'kl']} with divergence minimised"
        )
    return f"{model['name'].capitalize()}, {label}: {'; '.join(cells)}."


def _warning(models: Sequence[dict[str, Any]]) -> str:
    """Beside which figures those of the models are to be read."""
    said = []
    for model in models:
        key, label = SCORES[model["kind"]][0]
        hard = next(setting for setting in model["settings"] if setting["rule"] == "file")
        share = model["peaks"]["nearly_one"]
        said.append(
            f"{model['name']}, {share:.0%} of rows have a probability above {NEARLY_ONE:g}, and a "
            f"hard maximum gives {label} {hard['task'][key]:.4f}"
        )
    return (
        "How much is left to lose depends on how peaked a model's softmax is: "
        + "; ".join(said)
        + ". Where a hard maximum costs little, low figures of quantized softmax are the model's "
        "doing, and say nothing about other models of its kind."
    )
