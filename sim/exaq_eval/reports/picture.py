"""A picture of an evaluation: what each setting costs, in the task and in the attention."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from exaq_eval.reports.report import Report, title

_DPI = 100
_ROW = 0.24
# Cost below which a scale that has room for 0 is linear.
_SMALL = 1e-3
_INK, _FAINT = "#22252b", "#6b7280"
_COLOURS = {
    ("dynamic", None): "#dc2626",
    ("naive", None): "#9ca3af",
    ("paper", None): "#d97706",
    ("optimal", "mse"): "#2563eb",
    ("optimal", "mse-levels"): "#0891b2",
    ("optimal", "kl"): "#7c3aed",
    ("optimal", "output"): "#65a30d",
    ("optimal", "block"): "#0d9488",
    ("optimal", "loss"): "#db2777",
    ("optimal", "mse-sequential"): "#1e3a8a",
    ("optimal", "kl-sequential"): "#4c1d95",
    ("optimal", "output-sequential"): "#3f6212",
    ("optimal", "block-sequential"): "#134e4a",
    ("optimal", "loss-sequential"): "#831843",
    ("optimal", "tuned"): "#dc2626",
    ("file", None): "#059669",
}


def draw(report: Report, path: Path) -> None:
    """Draw all settings but float as a PNG: the lower a point stands to the right, the worse.

    Left: the task's loss; for embeddings 1 - cosine, mean and worst text, for language models the
    increase of the loss in nats. Right: divergence of the attention, in nats a row. Scales are
    logarithmic, but linear near 0 where a point is there or below.
    """
    settings = [setting for setting in report["settings"] if setting["rule"] != "float"]
    height = 1.35 + _ROW * max(len(settings), 3)
    figure = Figure(figsize=(9.2, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    encoder = report["model"]["kind"] == "encoder"
    for place, setting in enumerate(settings):
        style = _style(setting)
        if encoder:
            worst, mean = (1 - setting["task"][f"cosine_{name}"] for name in ("min", "mean"))
            left.plot([mean, worst], [place, place], color=style["color"], linewidth=1)
            left.plot(worst, place, **style | {"marker": "|"})
            left.plot(mean, place, **style)
        else:
            left.plot(setting["task"]["increase"], place, **style)
        right.plot(setting["attention"]["kl"], place, **style)
    left.set_yticks(range(len(settings)), [setting["name"] for setting in settings])
    left.invert_yaxis()
    left.set_xlabel(
        "1 - cosine: mean (dot) and worst text" if encoder else "increase of loss, nats"
    )
    right.set_xlabel("KL divergence of attention rows, nats")
    # Four bits may come out as good as float, or by chance better.
    _scale(left, log=encoder)
    _scale(right, log=True)
    for axes in (left, right):
        _finish(axes)
        for place, (above, below) in enumerate(pairwise(settings)):
            if above["bits"] != below["bits"]:
                axes.axhline(place + 0.5, color="#9ca3af", linewidth=0.8)
    figure.suptitle(title(report), x=0.01, ha="left", fontsize=11, color=_INK, weight="bold")
    _key(figure, settings)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.1 / height))
    figure.savefig(path, format="png", metadata={"Title": title(report), "Software": None})


def _style(setting: dict[str, Any]) -> dict[str, Any]:
    colour = _COLOURS[setting["rule"], setting["minimise"]]
    hollow = setting["per"] == "layer"
    return {
        "marker": "o",
        "markersize": 5,
        "color": colour,
        "markerfacecolor": "white" if hollow else colour,
        "linestyle": "none",
    }


def _scale(axes: Axes, *, log: bool) -> None:
    """A scale of ``log`` where no point is at 0 or below, which it has no place for."""
    if log and all(np.greater(line.get_xdata(), 0).all() for line in axes.get_lines()):
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=_SMALL)


def _finish(axes: Axes) -> None:
    axes.grid(axis="both", color="#e5e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, length=2, color=_FAINT, labelcolor=_INK)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.label.set(fontsize=9, color=_FAINT)
    for spine in axes.spines.values():
        spine.set_color("#d1d5db")


def _key(figure: Figure, settings: list[dict[str, Any]]) -> None:
    parts = {setting["per"] for setting in settings}
    handles = [
        Line2D(
            [], [], linestyle="none", marker="o", color=_FAINT, markerfacecolor=face, label=label
        )
        for part, label, face in (("layer", "per layer", "white"), ("head", "per head", _FAINT))
        if part in parts
    ]
    if len(handles) > 1:
        figure.legend(handles=handles, loc="upper right", ncols=2, fontsize=8, frameon=False)
