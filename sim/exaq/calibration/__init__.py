"""Calibration: tables for a model's own attention logits.

``calibrate`` is all there is to use. source.py reads the logits, rules.py has the paper's clips,
summary.py the exact sums that a search needs, objective.py the error, exponentials.py and
search.py find where it is least. docs/calibration.md explains.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from fractions import Fraction
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from exaq.calibration.objective import OBJECTIVES
from exaq.calibration.rules import Survey
from exaq.calibration.search import Search
from exaq.calibration.shared_bits import share_bits
from exaq.calibration.source import Part, collect, digest, numbered, read
from exaq.calibration.summary import Builder, Summary
from exaq.concurrency import WorkerError, in_order
from exaq.config import SoftmaxConfig
from exaq.masks import Doubt
from exaq.scalars import integer
from exaq.table_file import TableFile, TableSet
from exaq.tables import PAPER_BITS, Tables

__all__ = ["OBJECTIVES", "PARTS", "RULES", "STAGES", "calibrate", "share_bits"]

RULES = ("paper", "naive", "optimal")
PARTS = ("all", "layer", "head")
STAGES = ("clip", "levels", "thresholds")
#: Bytes of sums that are kept in memory by default.
MEMORY = 2**30
# Borders that free thresholds may take, beside those of the two clips.
_BORDERS = 1024

_Layer = ArrayLike | Sequence[ArrayLike]


def calibrate(
    layers: Sequence[_Layer] | Mapping[int, _Layer],
    *,
    masks: Sequence[Any] | Mapping[int, Any] | None = None,
    values: Sequence[Any] | Mapping[int, Any] | None = None,
    bits: int = 2,
    logit_width: int = 8,
    logit_scale: float | Fraction = 0.0625,
    exp_frac: int = 13,
    mask_value: str = "none",
    rule: str = "optimal",
    minimise: str = "mse",
    stage: str = "thresholds",
    per: str = "layer",
    head_axis: int = -3,
    progress: Callable[[int, int], None] | None = None,
    memory: int = MEMORY,
    executor: Executor | None = None,
    in_flight: int | None = None,
) -> TableFile:
    """Tables that suit calibration logits.

    Real logits are made integers as ``logits_to_integers`` does, with saturation; the softmax that
    counts as exact is float64's of the logits as given. All rows with a live element weigh alike.

    Parameters
    ----------
    layers
        One entry a layer, whose number is its place, from 0, or its key in a mapping: an array, or
        a list of arrays, one a call. An empty list is a layer that did not run: it keeps its
        number and gets no set. Shape (..., row), by default (..., heads, queries, keys) where a
        head counts. Real logits: what is masked among them is found as by ``live_scores``, all
        others are finite. Or integers of ``logit_width`` bits. Arrays may be memory-mapped: they
        are read in blocks. Masked elements of ``numpy.ma`` arrays take no part.
    masks
        For the same layers, nested alike: booleans that broadcast to each array, True = live;
        None: all are, but for what the logits themselves say.
    values
        For the same layers, nested alike: floating-point arrays (values, ...), the rest of whose
        shape broadcasts to that of the logits: what the probabilities weigh, such as a few
        components of each key's value vector. For the objective "values" alone.
    bits, logit_width, logit_scale, exp_frac, mask_value
        Format of the unit; see ``SoftmaxConfig``. Integers that are the mask value are masked.
    rule
        "paper": end-point levels, clip max(mean of the calls' linear fits, mean of their minima),
        for 2 to 4 bits. "naive": end-point levels, clip the mean of the minima. "optimal":
        thresholds and exponentials that minimise the error of the softmax output; never worse on
        these logits than "paper", or than "naive" at 5 and 6 bits.
    minimise
        "mse": the mean over rows of sum (p - q)**2; "kl": of sum p ln(p / q), nats; "values": of
        (sum (p - q) z)**2, added up over the values z. q is E / S with the integer exponentials,
        before the unit's last rounding.
    stage
        How far "optimal" goes: "clip", a searched clip with end-point levels; "levels", its
        thresholds with the best exponentials; "thresholds", both free.
    per
        What gets tables of its own: "all" the logits together, each "layer", or each "head".
    head_axis
        Axis of the heads in each array, where ``per`` is "head".
    progress
        Called with (done, total), in no particular unit, at times.
    memory
        Bytes of the rows' sums to keep in memory; the rest goes to a temporary file. It does not
        change the result.
    executor
        Calibrates the parts that get tables of their own at the same time, each as a call of its
        own, for example in other processes. It does not change the result. A part goes there as
        data, even where its arrays are memory-mapped, and its logits and ``memory`` bytes of sums
        are in that worker's memory until it is done. Workers have the same versions of exaq and
        NumPy as this process. None: all runs here, part by part; so does a single part.
    in_flight
        Parts at most that the executor has at a time, those that wait there included: a few for
        each of its workers. None: twice the number of this machine's cores.

    Returns
    -------
    TableFile
        Sets "all", "layer0" ... or "layer0.head0" ..., by the layers' numbers, ascending, gaps
        kept; the same for the same arguments. A set's
        ``clip`` is that of its end-point tables, None where thresholds or exponentials are free.

    Raises
    ------
    TypeError, ValueError
        Something is no logit, nothing is live, or an option is not legal.
    WorkerError
        A RuntimeError: a worker of the executor has another version of exaq or NumPy.

    Warns
    -----
    MaskWarning
        A gap alone masks logits for which there is no mask; see ``live_scores``.
    """
    for name, value, legal in (
        ("rule", rule, RULES),
        ("minimise", minimise, tuple(OBJECTIVES)),
        ("stage", stage, STAGES),
        ("per", per, PARTS),
    ):
        if value not in legal:
            raise ValueError(
                f"{name} must be {', '.join(legal[:-1])} or {legal[-1]}, not {value!r}"
            )
    if (minimise == "values") != (values is not None):
        raise ValueError(
            "the objective values needs values"
            if values is None
            else f"values are for the objective values, not {minimise}"
        )
    config = SoftmaxConfig(
        bits=bits,
        logit_width=logit_width,
        logit_scale=logit_scale,
        exp_frac=exp_frac,
        mask_value=mask_value,
    )
    if rule == "paper" and config.bits not in PAPER_BITS:
        raise ValueError(
            f"the rule paper is for 2 to 4 bits, not for {config.bits}; naive and optimal take all"
        )
    head_axis, memory = integer("head_axis", head_axis), integer("memory", memory)
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(
            f"executor must be a concurrent.futures.Executor, not {type(executor).__name__}"
        )
    if in_flight is None:
        in_flight = 2 * (os.cpu_count() or 1)
    in_flight = integer("in_flight", in_flight, 1)
    given = numbered(layers, masks, values)
    parts = collect(given, per, head_axis)
    total = sum(map(_steps, parts))
    done = 0

    def advance(steps: int = 1) -> None:
        nonlocal done
        done += steps
        if progress is not None:
            progress(done, total)

    sets = []
    if executor is None or len(parts) == 1:
        for part in parts:
            sets.append(
                _calibrate(part, config, rule, minimise, stage, memory, advance, _warner(part))
            )
    else:
        calls = ((part, config, rule, minimise, stage, memory, _versions()) for part in parts)
        with closing(in_order(executor, _calibrate_elsewhere, calls, in_flight)) as results:
            for part, (made, doubt) in zip(parts, results, strict=True):
                if doubt is not None:
                    _warner(part)(doubt)
                advance(_steps(part))
                sets.append(made)
    if progress is not None:
        progress(total, total)
    return TableFile(
        bits=bits,
        logit_width=logit_width,
        logit_scale=logit_scale,
        exp_frac=exp_frac,
        sets=tuple(sets),
        provenance={
            "exaq": _versions()["exaq-softmax"],
            "rule": rule,
            **({"minimise": minimise, "stage": stage} if rule == "optimal" else {}),
            **({"mask_value": mask_value} if mask_value != "none" else {}),
            "per": per,
            **({"head_axis": head_axis} if per == "head" else {}),
            "layers": [{"layer": number} | digest(*layer) for number, layer in given.items()],
        },
    )


def _versions() -> dict[str, str]:
    """What a result depends on beside the data."""
    return {name: metadata.version(name) for name in ("exaq-softmax", "numpy")}


def _steps(part: Part) -> int:
    """Calls of ``advance`` that a part takes at most."""
    return 2 * part.blocks + 1 + len(STAGES)


def _warner(part: Part) -> Callable[[Doubt], None]:
    return lambda doubt: doubt.warn(part.where)


def _calibrate_elsewhere(
    part: Part,
    config: SoftmaxConfig,
    rule: str,
    minimise: str,
    stage: str,
    memory: int,
    versions: dict[str, str],
) -> tuple[TableSet, Doubt | None]:
    """As ``_calibrate`` in another process: with the doubt, of which only the caller's can warn."""
    for name, version in _versions().items():
        if version != versions[name]:
            raise WorkerError(
                f"a worker has {name} {version}, where {versions[name]} is wanted: "
                "install the same version everywhere"
            )
    doubts: list[Doubt] = []
    made = _calibrate(part, config, rule, minimise, stage, memory, lambda: None, doubts.append)
    return made, doubts[0] if doubts else None


def _calibrate(
    part: Part,
    config: SoftmaxConfig,
    rule: str,
    minimise: str,
    stage: str,
    memory: int,
    advance: Callable[[], None],
    warn: Callable[[Doubt], None],
) -> TableSet:
    survey = Survey.of(part, config, advance)
    if survey.doubt is not None:
        warn(survey.doubt)
    clips = survey.clips(config.bits)
    given = {name: _end_points(clip, config) for name, clip in clips.items()}
    # No distance is as low as -2**logit_width: thresholds below are as good as that.
    lowest = -(2**config.logit_width)
    borders = {-1, 0, *(max(t, lowest) for tables in given.values() for t in tables.thresholds)}
    if rule == "optimal":
        borders.update(_grid(survey.lowest, float(config.logit_scale), config.exp_frac))
    builder = Builder(sorted(borders), memory)
    for call in part.calls:
        for block in read(call, config):
            builder.add(block)
            advance()
    summary = builder.finish()
    first = next(iter(clips))
    stages = {first: given[first]}
    clip: float | None = clips.get(rule)
    if rule == "naive":
        stages["naive"] = given["naive"]
    if rule == "optimal":
        search = Search(
            summary,
            summary.sketch(),
            OBJECTIVES[minimise],
            config.bits,
            config.logit_scale,
            config.exp_frac,
        )
        advance()
        searched, stages["clip"], _ = search.clip(tuple(clips.values()))
        advance()
        if stage != "clip":
            stages["levels"], _ = search.exponentials(stages["clip"])
            advance()
        if stage == "thresholds":
            stages["thresholds"], _ = search.thresholds(stages["levels"])
            advance()
        if stages[stage] == _end_points(searched, config):
            clip = searched
    tables = stages[list(stages)[-1]]
    errors = {name: _errors(summary, stage) for name, stage in stages.items()}
    return TableSet(
        name=part.name,
        tables=tables,
        layer=part.layer,
        head=part.head,
        clip=clip,
        statistics={
            "calls": len(survey.calls),
            "rows": survey.rows,
            "elements": survey.elements,
            "saturated": _figure(survey.saturated / survey.elements),
            "sigma": _figure(survey.sigma),
            "minimum": _figure(survey.minimum),
            **({"paper_clip": _figure(clips["paper"])} if "paper" in clips else {}),
            **({"searched_clip": _figure(searched)} if rule == "optimal" else {}),
            **errors[list(stages)[-1]],
            "stages": errors,
        },
    )


def _end_points(clip: float, config: SoftmaxConfig) -> Tables:
    return Tables.from_clip(
        clip, bits=config.bits, logit_scale=config.logit_scale, exp_frac=config.exp_frac
    )


def _grid(lowest: int, scale: float, exp_frac: int) -> range:
    """Borders for free thresholds: every step where there are few, else evenly spaced.

    Below (exp_frac + 2) ln 2 an exponential is less than half of the least that the table can
    hold beside the largest: those elements share the last bin, and so does what lies below the
    farthest element.
    """
    deepest = max(lowest, -math.ceil((exp_frac + 2) * math.log(2) / scale))
    stride = -(-deepest // -_BORDERS) if deepest < -_BORDERS else 1
    return range(0, deepest - 1, -stride)


def _errors(summary: Summary, tables: Tables) -> dict[str, float | None]:
    cut = summary.cut(tables.thresholds)
    exponentials = np.array(tables.exp_rom, float)
    return {
        name: _figure(summary.error(objective, cut, exponentials))
        for name, objective in OBJECTIVES.items()
        if name != "values" or summary.values
    }


def _figure(value: float) -> float | None:
    """To six digits; None (JSON has no infinity) where probability 0 meets a live element."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
