"""Widths: how wide exponentials, logits and probabilities need to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from exaq import metrics
from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import number, rounded, table
from exaq_eval.studies.panels import COLOURS, legend, panels
from exaq_eval.studies.study import Study
from exaq_eval.studies.subjects.real_rows import (
    RealRows,
    logit_width,
    recorded_rows,
    shipped_rows,
)

#: What is swept, from narrow to wide; the others are as ``_WIDE`` meanwhile.
SWEEPS: dict[str, tuple[float, ...]] = {
    "exp_frac": tuple(range(4, 21)),
    "logit_scale": tuple(2.0**-k for k in range(9)),
    "prob_bits": tuple(range(6, 21)),
}
_WIDE: dict[str, Any] = {"exp_frac": 24, "logit_scale": 2.0**-12, "prob_bits": 24}
#: A width has stopped to matter where both errors are, from there on, so near to the widest's.
TOLERANCE = 0.01
_ERRORS = {"squared_error": "squared error", "kl": "divergence"}


@dataclass(frozen=True, kw_only=True)
class Widths(Study):
    """``exp_frac``, ``logit_scale`` and ``prob_bits`` swept one at a time on real logits.

    Parameters
    ----------
    widths
        Bits of a code.
    sweeps
        Values of each parameter, from narrow to wide.
    texts, every
        Of MiniLM's docstrings, and of their rows, every so many; no texts: shipped logits alone.
    shipped_every
        Of the shipped rows, every so many.
    """

    name: ClassVar[str] = "widths"
    title: ClassVar[str] = "Where widths stop mattering"
    question: ClassVar[str] = (
        "On real attention logits, from which width on do exponentials, logits and probabilities "
        "add nothing to the error that the codes make anyway?"
    )

    widths: Sequence[int] = (2, 3, 4)
    sweeps: Sequence[str] = tuple(SWEEPS)
    texts: int = 12
    every: int = 16
    shipped_every: int = 1

    @classmethod
    def quick(cls) -> Self:
        return cls(widths=(2,), texts=0, shipped_every=16)

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        progress(0, 1, "logits")
        sources = [shipped_rows(self.shipped_every)]
        if self.texts:
            sources.append(recorded_rows(self.texts, self.every))
        grid = list(product(sources, self.widths, self.sweeps))
        cases = []
        for done, (rows, bits, swept) in enumerate(grid):
            progress(done, len(grid), f"{rows.name}, {bits} bits, {swept}")
            cases.append({"logits": rows.name, "bits": bits} | sweep(rows, bits, swept))
        progress(len(grid), len(grid), "")
        described = [
            {
                "name": rows.name,
                "rows": len(rows.logits),
                "elements": int(rows.live.sum()),
                "longest": int(rows.live.sum(axis=-1).max()),
                "heads": int(rows.heads.max()) + 1,
            }
            for rows in sources
        ]
        return rounded({"logits": described, "cases": cases})

    def body(self, result: dict[str, Any]) -> list[str]:
        names = [logits["name"] for logits in result["logits"]]
        widths = sorted({case["bits"] for case in result["cases"]})
        find = {(c["swept"], c["bits"], c["logits"]): c for c in result["cases"]}
        swept = list(dict.fromkeys(case["swept"] for case in result["cases"]))
        described = "; ".join(
            f"{each['name']}: {each['rows']} rows of up to {each['longest']} elements, "
            f"{each['heads']} heads"
            for each in result["logits"]
        )
        parts = [
            f"The golden model with the paper's clip for each head; {described}. One parameter is "
            f"swept while the others are as wide as they go (exp_frac {_WIDE['exp_frac']}, "
            f"prob_bits {_WIDE['prob_bits']}, steps of 1/{1 / _WIDE['logit_scale']:.0f}); "
            "logit_width follows logit_scale, so that logits reach from -128 to 128. The knee is "
            "the narrowest value from which on squared error and divergence stay within "
            f"{TOLERANCE:.0%} of those at full width:",
            table(
                ("parameter", "bits of a code", *names),
                (
                    (name, bits, *(_value(name, find[name, bits, n]["knee"]) for n in names))
                    for name in swept
                    for bits in widths
                ),
            ),
            f"Error at a width over the error at full width, {names[-1]}: squared error, "
            "divergence",
        ]
        for name in swept:
            cases = [find[name, bits, names[-1]] for bits in widths]
            header = (name, *(f"{bits}-bit" for bits in widths))
            rows = (
                (
                    _value(name, value),
                    *(
                        ", ".join(number(case[key][place] / case["wide"][key]) for key in _ERRORS)
                        for case in cases
                    ),
                )
                for place, value in enumerate(cases[0]["values"])
            )
            parts.append(table(header, rows))
        return [*parts, _conclusion(result["cases"])]

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        swept = list(dict.fromkeys(case["swept"] for case in result["cases"]))
        last = result["logits"][-1]["name"]
        widths = sorted({case["bits"] for case in result["cases"]})
        with panels(path, 1, len(swept)) as (line,):
            for axes, name in zip(line, swept, strict=True):
                cases = [
                    case
                    for case in result["cases"]
                    if (case["swept"], case["logits"]) == (name, last)
                ]
                for colour, case in zip(COLOURS, cases, strict=False):
                    fraction = name == "logit_scale"
                    places = -np.log2(case["values"]) if fraction else np.array(case["values"])
                    for key, style in zip(_ERRORS, ("-", "--"), strict=True):
                        ratios = [value / case["wide"][key] for value in case[key]]
                        axes.plot(
                            places,
                            ratios,
                            style,
                            color=colour,
                            label=f"{case['bits']} bits, {_ERRORS[key]}",
                        )
                    if case["knee"] is not None:
                        axes.plot(places[case["values"].index(case["knee"])], 1, "o", color=colour)
                label = "fraction bits of a logit" if name == "logit_scale" else f"{name}, bits"
                axes.set(yscale="log", xlabel=label)
                most = max(max(case[key]) / case["wide"][key] for case in cases for key in _ERRORS)
                ticks = [tick for tick in (1, 1.5, 2, 3, 5, 10, 20, 50, 100) if tick < most]
                axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
                axes.minorticks_off()
            line[0].set_ylabel("error / error at full width (o: knee)")
            legend(line[0], ncols=1 if len(widths) > 1 else 2)
        return path


def sweep(rows: RealRows, bits: int, name: str) -> dict[str, Any]:
    """Errors against float softmax for each value of parameter ``name``, and the knee."""
    clips = rows.paper_clips(bits)
    exact = rows.exact

    def at(value: float) -> dict[str, float]:
        given_at = _WIDE | {name: value}
        given = rows.probabilities(clips, bits, **given_at)
        floor = 0.5 / 2 ** given_at["prob_bits"]
        sums = metrics.row_sums(given, rows.live)
        return {
            "squared_error": metrics.row_squared_error(exact, given, rows.live),
            "kl": metrics.kl_divergence(exact, given, rows.live, floor=floor),
            "sum_error": float(np.abs(sums - 1).mean()),
        }

    each = [at(value) for value in SWEEPS[name]]
    wide = at(_WIDE[name])
    values = {key: [errors[key] for errors in each] for key in wide}
    return {
        "swept": name,
        "values": list(SWEEPS[name]),
        **values,
        "wide": wide,
        "knee": knee(
            SWEEPS[name], [values[key] for key in _ERRORS], [wide[key] for key in _ERRORS]
        ),
    }


def knee(
    values: Sequence[float], errors: Sequence[Sequence[float]], wide: Sequence[float]
) -> float | None:
    """The first of ``values`` from which on every error is within ``TOLERANCE`` of its ``wide``.

    None where even the last is not.
    """
    found = None
    for place in reversed(range(len(values))):
        near = all(
            abs(error[place] / limit - 1) <= TOLERANCE
            for error, limit in zip(errors, wide, strict=True)
        )
        if not near:
            break
        found = values[place]
    return found


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "beyond the sweep"
    if name != "logit_scale":
        return f"{value:g}"
    return f"1/{1 / value:g} ({logit_width(value)} bits)"


def _conclusion(cases: list[dict[str, Any]]) -> str:
    said = []
    for name in dict.fromkeys(case["swept"] for case in cases):
        chosen = [case for case in cases if case["swept"] == name]
        found = [case["knee"] for case in chosen if case["knee"] is not None]
        wide = max(
            found, key=lambda value: value if name != "logit_scale" else -value, default=None
        )
        open_ends = len(chosen) - len(found)
        rest = f", and {open_ends} of {len(chosen)} cases need more" if open_ends else ""
        said.append(f"{name} {_value(name, wide)}{rest}" if found else f"{name}: more than swept")
    eight = [
        case["sum_error"][case["values"].index(8)] for case in cases if case["swept"] == "prob_bits"
    ]
    sums = ""
    if eight:
        sums = (
            f" With probabilities of 8 bits the sum of a row is off by {number(max(eight))} on "
            "average in the worst case, since small ones are rounded to 0 or up to a step."
        )
    return f"Enough in every case: {'; '.join(said)}.{sums}"
