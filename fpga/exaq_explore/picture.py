"""What was found as a picture: error over size, and error over rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exaq_eval.studies.panels import COLOURS, legend, panels
from exaq_explore.logits import Logits
from exaq_explore.search import Found, Limits

_MARKS = "osD^vP*X"
_INK, _FAINT = "#22252b", "#9aa1ab"
# Where an error of 0 is drawn.
_LEAST = 1e-9


def draw(found: Found, logits: Logits, limits: Limits, path: Path) -> None:
    """Every unit that was measured to the end; full marks are those that no other one beats."""
    kernels = list(dict.fromkeys(each.unit.kernel for each in found.measured))
    shown = [each for each in found.measured if "rate" in each.figures]
    # Only here: the search itself needs no pictures.
    from matplotlib.ticker import LogLocator

    with panels(path, 1, 2, width=3.9, height=3.2) as ((size, speed),):
        for axes, figure, factor, title, limit in (
            (size, "lut4", 1.0, "LUT4", limits.max_lut),
            (speed, "rate", 1e-6, "M elements/s", limits.min_rate),
        ):
            for each in shown:
                place = kernels.index(each.unit.kernel)
                colour = COLOURS[place % len(COLOURS)] if each.complete else _FAINT
                axes.plot(
                    each.figures[figure] * factor,
                    max(each.figures["error"], _LEAST),
                    _MARKS[place % len(_MARKS)],
                    color=colour,
                    markerfacecolor=colour if each in found.best else "white",
                    markersize=9 if each is found.chosen else 5,
                )
            if limit is not None:
                axes.axvline(limit * factor, color=_FAINT, linestyle=":", linewidth=0.9)
            if limits.most_error:
                axes.axhline(limits.most_error, color=_FAINT, linestyle=":", linewidth=0.9)
            axes.set(xlabel=title, xscale="log", yscale="log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0, 7.0)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("")
        size.set_ylabel(logits.error_title)
        _explain(speed, kernels)


def _explain(axes: Any, kernels: list[str]) -> None:
    for place, kernel in enumerate(kernels):
        colour = COLOURS[place % len(COLOURS)]
        axes.plot([], [], _MARKS[place % len(_MARKS)], color=colour, markersize=5, label=kernel)
    for label, size, face, edge in (
        ("chosen", 9, _INK, _INK),
        ("not beaten", 5, _INK, _INK),
        ("beaten", 5, "white", _INK),
        ("beyond a limit", 5, "white", _FAINT),
    ):
        axes.plot([], [], "o", color=edge, markerfacecolor=face, markersize=size, label=label)
    legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
