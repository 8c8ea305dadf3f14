"""Pictures for people: attention maps side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Inches a token takes on an axis, and dots an inch.
_TOKEN = 0.23
_DPI = 130

_INK = "#22252b"
_FAINT = "#6b7280"


def attention_maps(
    path: Path,
    maps: Sequence[tuple[str, NDArray[np.float64]]],
    tokens: Sequence[str],
    *,
    title: str,
    subtitle: str,
) -> None:
    """Draw attention maps of one head side by side, on one colour scale, as a PNG.

    Parameters
    ----------
    path
        The PNG to write; replaced where it exists.
    maps
        Caption and probabilities (queries, keys) of each, left to right. Captions of two lines
        have the second in small print.
    tokens
        Labels of queries and keys.
    title, subtitle
        Lines above the maps.
    """
    side = _TOKEN * len(tokens)
    label, gap, head, foot, bar = 0.95, 0.28, 1.3, 1.05, 0.9
    width = label + len(maps) * side + (len(maps) - 1) * gap + bar
    height = head + side + foot
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    # The square root spreads the small probabilities, where quantization shows.
    norm = PowerNorm(0.5, vmin=0, vmax=max(float(values.max()) for _, values in maps))

    for place, (caption, values) in enumerate(maps):
        left = label + place * (side + gap)
        axes = figure.add_axes((left / width, foot / height, side / width, side / height))
        image = axes.imshow(values, cmap="magma_r", norm=norm, interpolation="nearest")
        ticks = range(len(tokens))
        axes.set_xticks(ticks, tokens, rotation=90, fontsize=8, color=_INK)
        axes.set_yticks(ticks, tokens if place == 0 else [], fontsize=8, color=_INK)
        axes.set_xticks(np.arange(len(tokens)) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(tokens)) - 0.5, minor=True)
        axes.grid(which="minor", color="#0000000c", linewidth=0.6)
        axes.tick_params(which="both", length=0, pad=3)
        for spine in axes.spines.values():
            spine.set_color("#d1d5db")
        name, _, small = caption.partition("\n")
        top = (foot + side) / height
        figure.text(left / width, top + 0.27 / height, name, fontsize=11, color=_INK, weight="bold")
        figure.text(left / width, top + 0.09 / height, small, fontsize=8.5, color=_FAINT)
        if place == 0:
            axes.set_ylabel("query", fontsize=9, color=_FAINT, labelpad=4)
        axes.set_xlabel("key", fontsize=9, color=_FAINT, labelpad=4)

    scale = figure.add_axes(
        ((width - bar + 0.2) / width, foot / height, 0.13 / width, side / height)
    )
    colours = figure.colorbar(image, cax=scale)
    colours.outline.set_visible(False)
    scale.tick_params(length=2, labelsize=8, color=_FAINT, labelcolor=_INK)
    scale.set_title("p", fontsize=9, color=_FAINT, loc="left")

    figure.text(
        label / width, (height - 0.42) / height, title, fontsize=14, color=_INK, weight="bold"
    )
    figure.text(label / width, (height - 0.7) / height, subtitle, fontsize=9, color=_FAINT)
    figure.savefig(path, format="png", metadata={"Title": title})
