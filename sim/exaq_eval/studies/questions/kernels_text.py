"""What the study of the kernels says: tables, what follows from them, and its picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exaq_eval.reports.figures import number, table
from exaq_eval.reports.peers import PEERS, ROW, SIGMAS
from exaq_eval.reports.sizes import Measured
from exaq_eval.studies.panels import COLOURS, legend, panels
from exaq_eval.studies.subjects.kernel_variants import EXACT, VARIANTS

Result = dict[str, Any]
#: What stands for a figure that was not measured.
DASH = "-"
#: Elements of a row that the short table is of.
USUAL_ROW = 512

_KERNELS = ("exaq", "baps", "multiply", "softermax", "shift", "lut")
_MARKS = ("o", "s", "^", "P", "D", "v")
_PEER_COLOUR = "#6b7280"


def body(result: Result) -> list[str]:
    """Method, tables and what follows, of what ``run`` or ``joined`` returned."""
    parts = [
        _method(result),
        _accuracy(result),
        "Divergence of every case, in nats a row:",
        _grid(result),
        _rounding(result),
    ]
    if "units" in result:
        parts += [_UNITS, _sizes(result)]
    return parts


_UNITS = (
    "These are the presets, with logits of 8 bits and rows of up to 1024 elements, on ECP5 "
    "LFE5UM-85F-6, from the reports of [the bench](performance.md); a dash stands for what was not "
    "measured. Units of BAPS that give codes leave the division to whoever takes the codes. A "
    "multiplier is one of the FPGA's, of 18 bits, and is not among the LUT4."
)


def _method(result: Result) -> str:
    steps = ", ".join(f"1/{1 / each['step']:g} at {each['sigma']}" for each in result["steps"])
    fewest = min(case["rows"] for case in result["gaussian"])
    shipped = result["shipped"]
    words = (
        f"*Gaussian* are rows of normally distributed logits, {fewest} rows at least, the same for "
        "all kernels. Logits are rounded to 8 bits, in the least power of two as a step with which "
        f"they reach to five deviations (sigma) on both sides: {steps}. EXAQ has the paper's clip "
        "of that sigma; all else is as in the presets, so probabilities have 16 bits, those of "
        "floating point and codes 8. The figure is the Kullback-Leibler divergence from a float64 "
        "softmax of the logits before they were rounded, in nats a row, both rows brought to the "
        "sum 1. A probability of 0 counts as half of the least number beside 0 that the unit can "
        "give, and codes are put together with their references and sums exactly. "
        f"*Shipped* are {shipped['rows']} rows of the attention logits that come with the package, "
        "which have 8 bits of themselves; there EXAQ has the paper's clip of each head. The error "
        "is the largest one of a probability."
    )
    if "model" in result:
        model = result["model"]
        words = (
            f"{words} *MiniLM* is the cosine of the embeddings of {model['task']['texts']} "
            f"{model['task']['what']} with those of the float model, with logits of 16 bits in "
            "steps of 1/256; there EXAQ has a clip for each head, calibrated on "
            f"{model['calibration_texts']} texts, and probabilities of 24 bits stand for codes."
        )
    if "decoder" in result:
        decoder = result["decoder"]
        words = (
            f"{words} *Decoder* is what the small decoder of `scripts/train_tiny_decoder.py` loses "
            f"in predicting {decoder['task']['tokens']} characters, {decoder['task']['texts']} "
            f"{decoder['task']['what']}: the rise of the mean loss over the float model's, in "
            "nats, with its standard error over the windows; with logits of 16 bits in steps of "
            "1/256, and of EXAQ a clip for each head, calibrated on "
            f"{decoder['calibration_texts']} windows."
        )
    return words


def _names(result: Result) -> list[str]:
    """Softmaxes of the result, in the order of tables."""
    found = {case["softmax"] for case in result["gaussian"]}
    return [name for name in (EXACT, *(v.name for v in VARIANTS)) if name in found]


def kl(result: Result, softmax: str, row: int, sigmas: Sequence[int] | None = None) -> float:
    """Mean divergence of rows of so many elements, over all sigmas or those given."""
    return float(
        np.mean(
            [
                case["kl"]
                for case in result["gaussian"]
                if (case["softmax"], case["row"]) == (softmax, row)
                and (sigmas is None or case["sigma"] in sigmas)
            ]
        )
    )


def _lengths(result: Result) -> list[int]:
    return sorted({case["row"] for case in result["gaussian"]})


def _usual(result: Result) -> int:
    """``USUAL_ROW``, or what comes nearest to it."""
    return min(_lengths(result), key=lambda row: abs(row - USUAL_ROW))


def _accuracy(result: Result) -> str:
    row, model, decoder = _usual(result), result.get("model"), result.get("decoder")
    heads = ["softmax", f"Gaussian, rows of {row}: KL, mean of all sigma", "worst of all cases"]
    heads += ["shipped: KL", "largest error"]
    shipped = {case["softmax"]: case for case in result["shipped"]["cases"]}
    outputs = {}
    if model is not None:
        heads += ["MiniLM: cosine, mean", "worst"]
        outputs = {case["softmax"]: case for case in model["rows"]}
    losses = {}
    if decoder is not None:
        heads.append("decoder: increase of the loss, nats")
        losses = {case["softmax"]: case for case in decoder["rows"]}
    rows = []
    for name in _names(result):
        worst = max(case["kl"] for case in result["gaussian"] if case["softmax"] == name)
        cells = [name, number(kl(result, name, row)), number(worst)]
        real, output = shipped.get(name), outputs.get(name)
        cells += [DASH] * 2 if real is None else [number(real[key]) for key in _SHIPPED]
        if model is not None:
            cells += [DASH] * 2 if output is None else [f"{output[key]:.5f}" for key in _OUTPUT]
        if decoder is not None:
            cells.append(_increase(losses[name]) if name in losses else DASH)
        rows.append(cells)
    return table(heads, rows)


def _increase(case: Result) -> str:
    return f"{case['increase']:+.4f} ± {case['increase_error']:.4f}"


_SHIPPED, _OUTPUT = ("kl", "largest_error"), ("cosine_mean", "cosine_min")


def _grid(result: Result) -> str:
    lengths = _lengths(result)
    sigmas = sorted({case["sigma"] for case in result["gaussian"]})
    find = {(c["softmax"], c["row"], c["sigma"]): c["kl"] for c in result["gaussian"]}
    heads = ["softmax", *(f"{row}, sigma {sigma}" for row in lengths for sigma in sigmas)]
    return table(
        heads,
        (
            [name, *(number(find[name, row, sigma]) for row in lengths for sigma in sigmas)]
            for name in _names(result)
        ),
    )


def _rounding(result: Result) -> str:
    row = _usual(result)
    alone = kl(result, EXACT, row)
    near = [name for name in _names(result) if name != EXACT and kl(result, name, row) < 2 * alone]
    what = f"made of the integers is {number(alone)} away on average at rows of {row}"
    if not near:
        return f"The rounding of the logits is part of all of it: a float softmax {what}."
    return (
        f"The rounding of the logits is part of all of it: a float softmax {what}. Less than twice "
        f"as far are {', '.join(near)}: what still tells these apart is small beside the rounding "
        "of logits to 8 bits, and shows with finer logits."
    )


def _sizes(result: Result) -> str:
    heads = (
        "softmax",
        "preset",
        "LUT4",
        "block RAM",
        "multipliers",
        "MHz",
        "M elements/s",
        "k elements/s per LUT4",
        "row of 128, first in to last out",
        f"KL, rows of {_usual(result)}",
    )
    rows = []
    for unit in result["units"]:
        found: Measured | None = unit["measured"]
        if found is None:
            cells = [DASH] * 7
        else:
            cells = [
                str(found.lut4),
                str(found.memories),
                str(found.multipliers),
                f"{found.mhz:.0f}",
                f"{found.elements_per_second / 1e6:.0f}",
                f"{found.elements_per_second_per_lut4 / 1e3:.0f}",
                f"{found.latency} cycles",
            ]
        divergence = number(kl(result, unit["softmax"], _usual(result)))
        rows.append([unit["softmax"], f"`{unit['preset']}`", *cells, divergence])
    return table(heads, rows, left=2)


def caption(result: Result) -> str:
    """What the picture of a joined result shows."""
    return (
        "Each point is a unit of the table above that was measured: hollow with 4 lanes, filled "
        f"with 16. Above are rows of {ROW} elements, with sigma {_listed(SIGMAS)}. The grey "
        "crosses there are [units of others](performance.md#beside-other-open-softmax-units), "
        f"which were measured on such rows alone. Below are rows of {_usual(result)} elements, "
        "with all sigma. Lower is nearer to float softmax. The dotted line is the rounding of the "
        "logits alone; the logits of the units of others are as wide as these units take them."
    )


def _listed(values: Sequence[int]) -> str:
    return f"{', '.join(map(str, values[:-1]))} and {values[-1]}"


def _points(result: Result) -> Iterator[tuple[str, int, Measured]]:
    """Softmax, lanes and figures of what was measured."""
    for unit in result["units"]:
        if unit["measured"] is not None:
            yield unit["softmax"], unit["lanes"], unit["measured"]


def _costs(found: Measured) -> tuple[float, float, float]:
    return found.lut4, found.elements_per_second_per_lut4 / 1e3, found.latency


_AXES = (
    ("LUT4", "log"),
    ("k elements/s per LUT4", "log"),
    (f"cycles, row of {ROW}, first in to last out", "linear"),
)


def draw(result: Result, path: Path) -> None:
    """Divergence over each cost, where units are joined; else over sigma."""
    if "units" not in result:
        _draw_sigmas(result, path)
        return
    usual = _usual(result)
    shown = [(row, SIGMAS if row == ROW else None) for row in dict.fromkeys((ROW, usual))]
    shown = [(row, sigmas) for row, sigmas in shown if row in _lengths(result)]
    with panels(path, len(shown), len(_AXES)) as grid:
        for line, (row, sigmas) in zip(grid, shown, strict=True):
            for place, (axes, (title, scale)) in enumerate(zip(line, _AXES, strict=True)):
                for softmax, lanes, found in _points(result):
                    kernel = _KERNELS.index(softmax.partition(",")[0])
                    axes.plot(
                        _costs(found)[place],
                        kl(result, softmax, row, sigmas),
                        _MARKS[kernel],
                        color=COLOURS[kernel],
                        markerfacecolor="white" if lanes == 4 else COLOURS[kernel],
                        markersize=5,
                    )
                if row == ROW:
                    _draw_peers(axes, place)
                alone = kl(result, EXACT, row, sigmas)
                axes.axhline(alone, linestyle=":", color=_PEER_COLOUR, linewidth=0.9)
                axes.set(xscale=scale, yscale="log", xlabel=title)
                axes.xaxis.set_minor_formatter("")
                axes.margins(x=0.14, y=0.1)
                # The same costs are below each other.
                axes.set_xlim(grid[0][place].get_xlim())
            line[0].set_ylabel(f"KL in nats, rows of {row}")
        for name, mark, colour in zip(_KERNELS, _MARKS, COLOURS, strict=False):
            grid[0][-1].plot([], [], mark, color=colour, markersize=5, label=name)
        grid[0][-1].plot([], [], "x", color=_PEER_COLOUR, markersize=5, label="others")
        legend(grid[0][-1], loc="center left", bbox_to_anchor=(1.0, 0.5))


def _draw_peers(axes: Any, place: int) -> None:
    for peer in PEERS:
        cost = (peer.lut4, peer.thousands, peer.latency)[place]
        if cost is None:
            continue
        axes.plot(cost, peer.mean_kl, "x", color=_PEER_COLOUR, markersize=5)
        axes.annotate(
            peer.short,
            (cost, peer.mean_kl),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=6,
            color=_PEER_COLOUR,
        )


def _draw_sigmas(result: Result, path: Path) -> None:
    usual = _usual(result)
    sigmas = sorted({case["sigma"] for case in result["gaussian"]})
    with panels(path, width=4.2, height=3.4) as ((axes,),):
        for name in _names(result)[1:]:
            kernel = _KERNELS.index(name.partition(",")[0])
            heights = [kl(result, name, usual, (sigma,)) for sigma in sigmas]
            axes.plot(sigmas, heights, _MARKS[kernel] + "-", color=COLOURS[kernel], linewidth=0.8)
        axes.set(yscale="log", xlabel="sigma", ylabel=f"KL in nats, rows of {usual}")
        axes.set_xticks(sigmas)
