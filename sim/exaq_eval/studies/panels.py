"""Small plots as PNG, all of one look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Colours of lines, in order: readable side by side, also without colour vision.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_INK, _FAINT = "#22252b", "#6b7280"


@contextmanager
def panels(path: Path, rows: int = 1, columns: int = 1, **sizes: float) -> Iterator[Any]:
    """A grid of axes, (rows, columns), written to ``path`` as PNG when the body ends.

    ``sizes``: ``width`` and ``height`` of a panel in inches.
    """
    # Only here: studies run without pictures too.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = sizes.get("width", 3.2), sizes.get("height", 2.6)
    sheet = Figure(
        figsize=(width * columns, height * rows),
        dpi=110,
        facecolor="white",
        layout="constrained",
    )
    FigureCanvasAgg(sheet)
    grid = sheet.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.grid(color="#e5e7eb", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8, colors=_INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.label.set_size(9)
        axes.yaxis.label.set_size(9)
    yield grid
    for axes in grid.flat:
        axes.title.set(fontsize=9.5, color=_INK)
    # Neither date nor version of the library: the same figures give the same picture.
    sheet.savefig(path, format="png", metadata={"Software": None})


def legend(axes: Any, **options: Any) -> None:
    """A legend in small print, without a frame."""
    axes.legend(fontsize=7.5, frameon=False, labelcolor=_FAINT, **options)
