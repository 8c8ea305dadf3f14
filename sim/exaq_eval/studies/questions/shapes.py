"""Logits that are not Gaussian: where the paper's clip breaks, and what calibration recovers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

import exaq
from exaq import TableFile, reference
from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import number, rounded, table
from exaq_eval.studies.panels import COLOURS, legend, panels
from exaq_eval.studies.study import Study
from exaq_eval.studies.subjects.random_rows import SHAPES, Floats, scores

#: What tables come from: for people the name, for ``exaq.calibrate`` the options.
CALIBRATIONS: dict[str, dict[str, Any]] = {
    "naive": {"rule": "naive"},
    "paper": {"rule": "paper"},
    "optimal, mse": {"rule": "optimal", "minimise": "mse"},
    "optimal, kl": {"rule": "optimal", "minimise": "kl"},
}
#: Fine logits, all else as the unit has it by default.
FORMAT: dict[str, Any] = {"logit_width": 16, "logit_scale": 2.0**-8}


@dataclass(frozen=True, kw_only=True)
class Shapes(Study):
    """Every distribution of ``rows.SHAPES``, calibrated on some rows and measured on others.

    Parameters
    ----------
    shapes
        Names of distributions.
    widths
        Bits of a code.
    sigma
        Deviation of the logits.
    row
        Elements of a row.
    calibrated, measured
        Rows for calibration, and rows for the figures.
    seed
        Of the rows.
    """

    name: ClassVar[str] = "shapes"
    title: ClassVar[str] = "Logits that are not Gaussian"
    question: ClassVar[str] = (
        "On which distributions of logits does the paper's clip break, and what does calibration "
        "recover?"
    )

    shapes: Sequence[str] = tuple(SHAPES)
    widths: Sequence[int] = (2, 3)
    sigma: float = 2.0
    row: int = 1024
    calibrated: int = 128
    measured: int = 512
    seed: int = 3

    @classmethod
    def quick(cls) -> Self:
        return cls(
            shapes=("Gaussian", "attention sink"), widths=(2,), row=64, calibrated=16, measured=64
        )

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        grid = list(product(self.shapes, self.widths, CALIBRATIONS))
        cases = []
        for done, (shape, bits, rule) in enumerate(grid):
            progress(done, len(grid), f"{shape}, {bits} bits, {rule}")
            number = list(SHAPES).index(shape)
            given, held_out = (
                self.sigma
                * SHAPES[shape](np.random.default_rng((self.seed, number, part)), (rows, self.row))
                for part, rows in enumerate((self.calibrated, self.measured))
            )
            tables = exaq.calibrate([given], bits=bits, per="all", **FORMAT, **CALIBRATIONS[rule])
            case = {"shape": shape, "bits": bits, "rule": rule}
            cases.append(case | measured(held_out, tables) | {"tables": _tables(tables)})
        progress(len(grid), len(grid), "")
        sizes = {name: getattr(self, name) for name in ("sigma", "row", "calibrated", "measured")}
        return rounded({"seed": self.seed, **sizes, "cases": cases})

    def body(self, result: dict[str, Any]) -> list[str]:
        cases = result["cases"]
        find = {(c["shape"], c["bits"], c["rule"]): c for c in cases}
        shapes = list(dict.fromkeys(case["shape"] for case in cases))
        widths = sorted({case["bits"] for case in cases})
        columns = list(product(widths, CALIBRATIONS))
        parts = [
            f"Rows of {result['row']} logits of standard deviation {result['sigma']:g} (attention "
            "sink: Gaussian, and the first key six deviations higher; Student t: 5 degrees of "
            f"freedom). Calibrated on {result['calibrated']} rows, measured on "
            f"{result['measured']} others, by the golden model with 16-bit logits and all else by "
            "default.",
        ]
        for key, title in (
            ("kl", "Divergence from float softmax, nats a row:"),
            ("relative_error", "Squared error over the squared norm, mean over rows:"),
            ("top1", "Chance that the likeliest element is found, where equal ones draw lots:"),
        ):
            rows = (
                (shape, *(number(find[shape, *column][key]) for column in columns))
                for shape in shapes
            )
            header = ("logits", *(f"{bits}-bit {rule}" for bits, rule in columns))
            parts += [title, table(header, rows)]
        return [*parts, _conclusion(find, shapes, widths)]

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        cases = result["cases"]
        shapes = list(dict.fromkeys(case["shape"] for case in cases))
        widths = sorted({case["bits"] for case in cases})
        keys = {"kl": "divergence, nats a row", "relative_error": "relative squared error"}
        with panels(path, len(keys), len(widths), width=4.2) as grid:
            for (key, label), line in zip(keys.items(), grid, strict=True):
                for axes, bits in zip(line, widths, strict=True):
                    for place, (colour, rule) in enumerate(
                        zip(COLOURS, CALIBRATIONS, strict=False)
                    ):
                        chosen = [c for c in cases if (c["bits"], c["rule"]) == (bits, rule)]
                        axes.bar(
                            [x + 0.2 * (place - 1.5) for x in range(len(chosen))],
                            [case[key] for case in chosen],
                            0.2,
                            color=colour,
                            label=rule,
                        )
                    axes.set(yscale="log", title=f"{bits} bits")
                    axes.set_xticks(range(len(shapes)), shapes, rotation=30, ha="right")
                line[0].set_ylabel(label)
            legend(grid[0][0], ncols=2)
        return path


def measured(logits: Floats, tables: TableFile) -> dict[str, float]:
    """Figures of the unit with ``tables``, of one set, on real logits."""
    config = tables.config(max_row=-(-logits.shape[-1] // 4) * 4)
    integers = exaq.logits_to_integers(logits, config)
    given = exaq.probabilities_to_float(exaq.softmax(integers, config), config)
    return scores(reference.softmax(logits), given, 0.5 / 2**config.prob_bits)


def _tables(tables: TableFile) -> dict[str, Any]:
    (only,) = tables.sets
    return only.tables.to_dict()


def _conclusion(
    find: dict[tuple[str, int, str], dict[str, Any]], shapes: list[str], widths: list[int]
) -> str:
    said = []
    for bits in widths:
        gained = []
        for key, rule in (("relative_error", "optimal, mse"), ("kl", "optimal, kl")):
            gains = {
                shape: find[shape, bits, "paper"][key] / find[shape, bits, rule][key]
                for shape in shapes
            }
            least, most = (pick(gains, key=gains.__getitem__) for pick in (min, max))
            gained.append(f"{number(gains[least])} ({least}) to {number(gains[most])} ({most})")
        said.append(
            f"At {bits} bits, on rows that the calibration has not seen, the paper's relative "
            f"error is {gained[0]} times that of tables that minimise squared error, and its "
            f"divergence {gained[1]} times that of tables that minimise divergence."
        )
    worse = [
        f"{shape}, {bits} bits"
        for shape, bits in product(shapes, widths)
        if find[shape, bits, "optimal, mse"]["kl"] > find[shape, bits, "paper"]["kl"]
    ]
    if worse:
        said.append(
            "What is not minimised may suffer: with squared error minimised, the divergence is "
            f"above that of the paper's clip for {'; '.join(worse)}."
        )
    zeros = [
        f"{shape}, {bits} bits"
        for shape, bits in product(shapes, widths)
        if find[shape, bits, "optimal, kl"]["kl"] > find[shape, bits, "optimal, mse"]["kl"]
    ]
    if zeros:
        said.append(
            "Tables that minimise squared error may have the lower divergence even so "
            f"({'; '.join(zeros)}): they give probability 0 to what hardly counts, which a "
            "calibration on divergence must avoid, since it takes 0 to be infinitely wrong, while "
            "the figures here count a 0 as half a step of the unit's probabilities."
        )
    return (
        " ".join(said) + " The paper's clip follows sigma alone. It breaks most where few keys "
        "stand far above the many: these lie below the clip, are all lifted to it and take "
        "probability from the keys that matter. Free thresholds and exponentials take that back."
    )
