"""Sensitivity to the clip: swept around the paper's value, the minimum marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

import exaq
from exaq import metrics, reference
from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import rounded, table
from exaq_eval.studies.panels import COLOURS, legend, panels
from exaq_eval.studies.study import Study
from exaq_eval.studies.subjects.best_clips import ERRORS
from exaq_eval.studies.subjects.random_rows import Floats, fine_config, pooled_sigma


@dataclass(frozen=True, kw_only=True)
class Clip(Study):
    """End-point tables for clips from a third to three times the paper's, on Gaussian rows.

    Parameters
    ----------
    sigmas, lengths, widths
        Deviations of the logits, elements of a row, bits of a code: all combinations.
    points
        Clips on each side of the paper's, in equal ratios.
    elements
        Of each tensor, about; 64 rows at least.
    seed
        Of the rows.
    """

    name: ClassVar[str] = "clip"
    title: ClassVar[str] = "How much does the clip matter?"
    question: ClassVar[str] = (
        "On Gaussian rows, how do divergence and squared error depend on the clip, and how far "
        "from the best one is the paper's?"
    )

    sigmas: Sequence[int] = (1, 2, 3)
    lengths: Sequence[int] = (128, 512, 2048)
    widths: Sequence[int] = (2, 3, 4)
    points: int = 20
    elements: int = 250_000
    seed: int = 2

    @classmethod
    def quick(cls) -> Self:
        return cls(sigmas=(2,), lengths=(128,), widths=(2,), points=6, elements=10_000)

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        grid = list(product(self.sigmas, self.lengths, self.widths))
        cases = []
        for done, (sigma, row, bits) in enumerate(grid):
            progress(done, len(grid), f"sigma {sigma}, rows of {row}, {bits} bits")
            random = np.random.default_rng((self.seed, sigma, row))
            logits = random.normal(0, sigma, (max(64, self.elements // row), row))
            paper = exaq.paper_clip(pooled_sigma(logits), bits)
            clips = paper * np.geomspace(1 / 3, 3, 2 * self.points + 1)
            given = {"sigma": sigma, "row": row, "bits": bits, "rows": len(logits)}
            cases.append(given | sweep(logits, [float(clip) for clip in clips], bits, paper))
        progress(len(grid), len(grid), "")
        return rounded({"seed": self.seed, "cases": cases})

    def body(self, result: dict[str, Any]) -> list[str]:
        cases = result["cases"]
        clips = cases[0]["clips"]
        return [
            f"End-point levels and thresholds for {len(clips)} clips from "
            f"{clips[0] / cases[0]['paper']:.2f} to {clips[-1] / cases[0]['paper']:.2f} times the "
            "paper's, on rows from a normal distribution. C is the paper's clip; C of the least "
            "squared error and of the least divergence are the best of the sweep; the columns "
            "behind say how much more the paper's costs.",
            table(
                (
                    "bits",
                    "sigma",
                    "row",
                    "paper's C",
                    *(
                        cell
                        for label in ERRORS.values()
                        for cell in (f"C of least {label}", f"{label}, paper / least")
                    ),
                ),
                (
                    (
                        case["bits"],
                        case["sigma"],
                        case["row"],
                        f"{case['paper']:.2f}",
                        *(
                            cell
                            for key in ERRORS
                            for cell in (
                                f"{case['best'][key]['clip']:.2f}",
                                f"{cost(case, key):.2f}",
                            )
                        ),
                    )
                    for case in sorted(cases, key=lambda c: (c["bits"], c["sigma"], c["row"]))
                ),
                left=0,
            ),
            _conclusion(cases),
        ]

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        cases = result["cases"]
        widths = sorted({case["bits"] for case in cases})
        longest = max(case["row"] for case in cases)
        with panels(path, len(ERRORS), len(widths)) as grid:
            for (key, label), line in zip(ERRORS.items(), grid, strict=True):
                for axes, bits in zip(line, widths, strict=True):
                    chosen = [c for c in cases if (c["bits"], c["row"]) == (bits, longest)]
                    for colour, case in zip(COLOURS, chosen, strict=False):
                        best, paper = case["best"][key], case["at_paper"][key]
                        axes.plot(
                            case["clips"], case[key], color=colour, label=f"sigma {case['sigma']}"
                        )
                        axes.plot(best["clip"], best["value"], "o", color=colour, markersize=5)
                        axes.plot(case["paper"], paper, "x", color=colour, markersize=6)
                    axes.set(title=f"{bits} bits, rows of {longest}", yscale="log")
                    axes.set_xlabel("clip C, logits (o: least, x: paper)")
                unit = "nats a row" if key == "kl" else "a row"
                line[0].set_ylabel(f"{label}, {unit}")
            legend(grid[0][0])
        return path


def sweep(logits: Floats, clips: Sequence[float], bits: int, paper: float) -> dict[str, Any]:
    """Both objectives at each clip and at ``paper``, and the best clip for each.

    ``best`` is the first of ``clips`` with the least value.
    """
    exact = reference.softmax(logits)
    integers = exaq.logits_to_integers(logits, fine_config(logits.shape[-1], bits))

    def at(clip: float) -> dict[str, float]:
        config = fine_config(logits.shape[-1], bits, clip=clip)
        given = exaq.probabilities_to_float(exaq.softmax(integers, config), config)
        return {
            "squared_error": metrics.row_squared_error(exact, given),
            "kl": metrics.kl_divergence(exact, given, floor=0.5 / 2**config.prob_bits),
        }

    swept = [at(clip) for clip in clips]
    values = {key: [each[key] for each in swept] for key in ERRORS}
    least = {key: int(np.argmin(values[key])) for key in ERRORS}
    return {
        "paper": paper,
        "at_paper": at(paper),
        "clips": list(clips),
        **values,
        "best": {
            key: {"clip": clips[place], "value": values[key][place]} for key, place in least.items()
        },
    }


def cost(case: dict[str, Any], objective: str) -> float:
    """What the paper's clip costs over the best one of the sweep, as a ratio."""
    return float(case["at_paper"][objective] / case["best"][objective]["value"])


def _conclusion(cases: list[dict[str, Any]]) -> str:
    ranges = {
        key: ", ".join(
            f"{min(costs):.2f} to {max(costs):.2f} at {bits} bits"
            for bits in sorted({case["bits"] for case in cases})
            for costs in [[cost(case, key) for case in cases if case["bits"] == bits]]
        )
        for key in ERRORS
    }
    short, long = (
        [
            f"{case['best']['kl']['clip']:.2f}"
            for case in cases
            if case["row"] == extreme(c["row"] for c in cases)
            and (case["sigma"], case["bits"]) == (2, 2)
        ]
        for extreme in (min, max)
    )
    growth = ""
    if short and long and short != long:
        lengths = [case["row"] for case in cases]
        growth = (
            f" The clip of least divergence depends on the row's length, which the paper's rule "
            f"does not know: at sigma 2 and 2 bits it is {short[0]} for rows of {min(lengths)} and "
            f"{long[0]} for rows of {max(lengths)}, since every element below the clip is lifted "
            "to it."
        )
    return (
        f"The paper's clip costs {ranges['squared_error']} times the least squared error, and "
        f"{ranges['kl']} times the least divergence.{growth} The two objectives want different "
        "clips; which one suits a model is what calibration decides on its logits."
    )
