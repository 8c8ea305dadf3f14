"""Small tensors of known distribution: float softmax against EXAQ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

import exaq
from exaq import reference
from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import number, rounded, table
from exaq_eval.studies.panels import COLOURS, legend, panels
from exaq_eval.studies.study import Study
from exaq_eval.studies.subjects.random_rows import (
    Floats,
    fine_config,
    pooled_minimum,
    pooled_sigma,
    scores,
)

RULES = ("naive", "paper")


@dataclass(frozen=True, kw_only=True)
class Distribution(Study):
    """Gaussian rows through the golden model and through the authors' float arithmetic.

    Parameters
    ----------
    sigmas, lengths, widths
        Deviations of the logits, elements of a row, bits of a code: all combinations.
    elements
        Of each tensor, about; 64 rows at least.
    seed
        Of the rows.
    """

    name: ClassVar[str] = "distribution"
    title: ClassVar[str] = "A small tensor of known distribution"
    question: ClassVar[str] = (
        "On Gaussian rows, how far is EXAQ from float softmax, and what does the paper's clip "
        "bring over none?"
    )

    sigmas: Sequence[int] = (1, 2, 3)
    lengths: Sequence[int] = (128, 512, 2048)
    widths: Sequence[int] = (2, 3, 4)
    elements: int = 400_000
    seed: int = 1

    @classmethod
    def quick(cls) -> Self:
        return cls(sigmas=(2,), lengths=(128,), elements=20_000)

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        grid = list(product(self.sigmas, self.lengths))
        cases = []
        for done, (sigma, row) in enumerate(grid):
            progress(done, len(grid), f"sigma {sigma}, rows of {row}")
            random = np.random.default_rng((self.seed, sigma, row))
            logits = random.normal(0, sigma, (max(64, self.elements // row), row))
            for bits, rule in product(self.widths, RULES):
                given = {"sigma": sigma, "row": row, "rows": len(logits)}
                cases.append(given | {"bits": bits, "rule": rule} | _case(logits, bits, rule))
        progress(len(grid), len(grid), "")
        return rounded({"seed": self.seed, "cases": cases})

    def body(self, result: dict[str, Any]) -> list[str]:
        cases = result["cases"]
        widths = sorted({case["bits"] for case in cases})
        grid = sorted({(case["sigma"], case["row"]) for case in cases})
        longest = max(case["row"] for case in cases)
        find = {(c["sigma"], c["row"], c["bits"], c["rule"]): c for c in cases}
        columns = list(product(widths, RULES))
        return [
            f"Logits drawn from a normal distribution, {min(c['rows'] for c in cases)} rows at "
            "least, through the golden model with wide logits, exponentials and probabilities, so "
            "that only the codes count. Naive: the clip is the lowest logit; paper: its linear "
            "fit. Divergence from float softmax in nats a row:",
            table(
                ("sigma", "row", *(f"{bits}-bit {rule}" for bits, rule in columns)),
                (
                    (sigma, row, *(number(find[sigma, row, *column]["kl"]) for column in columns))
                    for sigma, row in grid
                ),
                left=0,
            ),
            f"Rows of {longest}: squared error over the squared norm, cosine, and top-1, where "
            "elements of equal probability draw lots:",
            table(
                ("sigma", "bits", *(f"{what}, {rule}" for rule in RULES for what in _SHORT)),
                (
                    (
                        sigma,
                        bits,
                        *(
                            number(find[sigma, longest, bits, rule][key])
                            for rule in RULES
                            for key in _SHORT.values()
                        ),
                    )
                    for sigma in sorted({sigma for sigma, _ in grid})
                    for bits in widths
                ),
                left=0,
            ),
            _conclusion(cases),
        ]

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        cases = result["cases"]
        widths = sorted({case["bits"] for case in cases})
        with panels(path, 1, len(widths)) as (line,):
            for axes, bits in zip(line, widths, strict=True):
                for colour, sigma in zip(
                    COLOURS, sorted({c["sigma"] for c in cases}), strict=False
                ):
                    for rule, style in zip(RULES, ("o--", "o-"), strict=True):
                        chosen = [
                            case
                            for case in cases
                            if (case["bits"], case["sigma"], case["rule"]) == (bits, sigma, rule)
                        ]
                        axes.plot(
                            [case["row"] for case in chosen],
                            [case["kl"] for case in chosen],
                            style,
                            color=colour,
                            markersize=4,
                            label=f"sigma {sigma}, {rule}",
                        )
                axes.set(
                    title=f"{bits} bits", xscale="log", yscale="log", xlabel="elements of a row"
                )
                lengths = sorted({case["row"] for case in cases})
                axes.set_xticks(lengths, [str(length) for length in lengths])
                axes.minorticks_off()
            line[0].set_ylabel("divergence from float, nats a row")
            legend(line[-1], loc="center left", bbox_to_anchor=(1.0, 0.5))
        return path


_SHORT = {"relative error": "relative_error", "cosine": "cosine", "top-1": "top1"}


def _case(logits: Floats, bits: int, rule: str) -> dict[str, Any]:
    """Figures of the golden model, and of the authors' arithmetic in float64, on ``logits``."""
    lowest = pooled_minimum(logits)
    clip = max(exaq.paper_clip(pooled_sigma(logits), bits), lowest) if rule == "paper" else lowest
    config = fine_config(logits.shape[-1], bits, clip=clip)
    exact = reference.softmax(logits)
    integers = exaq.logits_to_integers(logits, config)
    unit = exaq.probabilities_to_float(exaq.softmax(integers, config), config)
    in_float = reference.quantized_softmax(logits, clip, bits)
    floor = 0.5 / 2**config.prob_bits
    return {
        "clip": clip,
        **scores(exact, unit, floor),
        "in_float": scores(exact, in_float, floor),
    }


def _conclusion(cases: list[dict[str, Any]]) -> str:
    """What the figures say; every number is computed from them."""
    naive, paper = (
        {(c["sigma"], c["row"], c["bits"]): c for c in cases if c["rule"] == rule} for rule in RULES
    )
    worse = [case for case in naive if paper[case]["kl"] > naive[case]["kl"]]
    top = {
        bits: [paper[case]["top1"] for case in paper if case[2] == bits]
        for bits in sorted({case[2] for case in paper})
    }
    spread = max(
        abs(case[key] - case["in_float"][key]) / abs(case["in_float"][key])
        for case in cases
        for key in ("kl", "relative_error")
    )
    beaten = (
        "in every case"
        if not worse
        else f"in {len(naive) - len(worse)} of {len(naive)} cases, and loses it in the others ("
        + "; ".join(f"{bits} bits, sigma {sigma}, rows of {row}" for sigma, row, bits in worse)
        + "), where the many elements below the clip are all lifted to it"
    )
    less = sum(paper[case]["relative_error"] < naive[case]["relative_error"] for case in naive)
    ties = ", ".join(
        f"{number(min(values))} to {number(max(values))} at {bits} bits"
        for bits, values in top.items()
    )
    return (
        f"The paper's clip has the lower divergence {beaten}. In squared error it is better in "
        f"{less} of {len(naive)}. With it the likeliest element is found with a chance of {ties}: "
        "it always has the highest code, but shares it. The unit's integers differ from the "
        f"authors' floating-point arithmetic by {spread:.1%} of these figures at most."
    )
