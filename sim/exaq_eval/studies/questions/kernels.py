"""What to take: every kernel's distance from float softmax, beside what its units cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig, metrics, reference
from exaq.data import load_attention_sample
from exaq_eval.progress import Progress, silent
from exaq_eval.reports.figures import rounded
from exaq_eval.reports.sizes import measured
from exaq_eval.settings import LogitFormat
from exaq_eval.studies.questions import kernels_text
from exaq_eval.studies.study import Study, StudyError
from exaq_eval.studies.subjects.kernel_variants import (
    EXACT,
    VARIANTS,
    Variant,
    clip_of,
    fitting_step,
    given,
)
from exaq_eval.studies.subjects.real_rows import RealRows, shipped_rows

#: Lanes of the units whose sizes are shown, and of those that compute here.
LANES = (4, 16)


@dataclass(frozen=True, kw_only=True)
class Kernels(Study):
    """Gaussian rows, the rows that ship, and two models through every kernel.

    Parameters
    ----------
    sigmas, lengths
        Deviations of the logits and elements of a row: all combinations.
    elements
        Of each tensor, about; 64 rows at least.
    shipped_every
        Of the shipped rows, every so many.
    texts, calibrated
        Texts that MiniLM runs, none for not at all, and those of calibration for EXAQ.
    windows, calibrated_windows
        The same of the built-in decoder.
    seed
        Of the rows.
    """

    name: ClassVar[str] = "kernels"
    title: ClassVar[str] = "Measured"
    question: ClassVar[str] = "How far is each kernel from float softmax, and what does it cost?"
    page: ClassVar[str] = "kernels"

    sigmas: Sequence[int] = (1, 2, 3, 4)
    lengths: Sequence[int] = (128, 512, 2048)
    elements: int = 200_000
    shipped_every: int = 1
    texts: int = 10
    calibrated: int = 4
    windows: int = 64
    calibrated_windows: int = 16
    seed: int = 1

    @classmethod
    def quick(cls) -> Self:
        return cls(sigmas=(2,), lengths=(128,), elements=8192, shipped_every=64, texts=0, windows=0)

    def run(self, progress: Progress = silent) -> dict[str, Any]:
        # First of all: what is missing is said before hours have passed.
        models = self._models()
        grid = list(product(self.sigmas, self.lengths))
        total = len(grid) + 1 + len(models) * (len(VARIANTS) + 1)
        gaussian = []
        for done, (sigma, row) in enumerate(grid):
            progress(done, total, f"sigma {sigma}, rows of {row}")
            gaussian += self._gaussian(sigma, row)
        progress(len(grid), total, "shipped rows")
        result: dict[str, Any] = {
            "seed": self.seed,
            "steps": [{"sigma": sigma, "step": fitting_step(sigma)} for sigma in self.sigmas],
            "gaussian": gaussian,
            "shipped": _shipped(shipped_rows(self.shipped_every)),
        }
        steps = iter(range(len(grid) + 1, total))

        def step(now: str) -> None:
            progress(next(steps), total, now)

        for name, (task, calibrated) in models.items():
            result[name] = _through(task, calibrated, step)
        progress(total, total, "")
        return rounded(result)

    def _models(self) -> dict[str, tuple[Any, int]]:
        """Tasks of the models that run and their texts of calibration, by their places in the
        report.
        """
        wanted = {
            "model": ("minilm", self.texts, self.calibrated),
            "decoder": ("decoder", self.windows, self.calibrated_windows),
        }
        wanted = {place: each for place, each in wanted.items() if each[1]}
        if not wanted:
            return {}
        # Its message names the extra where PyTorch is missing.
        import_module("exaq.torch")
        from exaq_eval import tasks
        from exaq_eval.models import ModelError

        try:
            return {
                place: (tasks.load(name, texts), calibrated)
                for place, (name, texts, calibrated) in wanted.items()
            }
        except ModelError as error:
            raise StudyError(str(error)) from error

    def _gaussian(self, sigma: int, row: int) -> list[dict[str, Any]]:
        random = np.random.default_rng((self.seed, sigma, row))
        logits = random.normal(0, sigma, (max(64, self.elements // row), row))
        exact, step = reference.softmax(logits), fitting_step(sigma)
        shared: dict[str, Any] = {"lanes": LANES[0], "max_row": row, "logit_scale": step}
        integers = exaq.logits_to_integers(logits, SoftmaxConfig(**shared))
        own = {"sigma": sigma, "row": row, "rows": len(logits)}
        kept = reference.softmax(integers * step)
        cases = [own | {"softmax": EXACT, "kl": metrics.kl_divergence(exact, kept)}]
        for variant in VARIANTS:
            config = variant.config(**shared, **clip_of(variant, sigma))
            kl = given(integers, config).kl(exact)
            cases.append(own | {"softmax": variant.name, "kl": kl})
        return cases

    def joined(self, result: dict[str, Any], reports: Path) -> dict[str, Any]:
        """With ``units``: the figures of each unit, from the reports of ``exaq bench``."""
        units = [
            {"softmax": variant.name, "preset": preset, "lanes": lanes}
            | {"measured": measured(reports, preset, "ecp5-85")}
            for lanes in LANES
            for variant in VARIANTS
            for preset in (unit.format(lanes) for unit in variant.units)
        ]
        return result | {"units": units}

    def body(self, result: dict[str, Any]) -> list[str]:
        return kernels_text.body(result)

    def plot(self, result: dict[str, Any], path: Path) -> Path:
        kernels_text.draw(result, path)
        return path


def _through(task: Any, calibrated: int, step: Callable[[str], None]) -> dict[str, Any]:
    """The task's scores with every kernel; EXAQ's tables from so many texts of calibration."""
    from exaq.torch import record, set_tables

    step(f"{task.name}: recording logits")
    with record(task.model) as recording:
        for text in task.calibration[:calibrated]:
            task.run(text)
    form = LogitFormat()
    logits: dict[str, Any] = {"logit_width": form.logit_width, "logit_scale": form.logit_scale}
    longest = max(map(len, task.texts))
    rows = []
    try:
        exact = task.outputs()
        for variant in VARIANTS:
            step(f"{task.name}: {variant.name}")
            if variant.bits is None:
                config = variant.probability_config(
                    max_row=-(-longest // LANES[0]) * LANES[0],
                    prob_bits=form.prob_bits,
                    lanes=LANES[0],
                    **logits,
                )
                set_tables(task.model, config)
            else:
                tables = exaq.calibrate(
                    recording.layers,
                    bits=variant.bits,
                    per="head",
                    stage="clip",
                    exp_frac=form.exp_frac,
                    **logits,
                )
                set_tables(task.model, tables, prob_bits=form.prob_bits)
            scores = task.scores(exact, task.outputs(), 0)
            rows.append({"softmax": variant.name} | scores)
    finally:
        set_tables(task.model, None)
    return {"task": task.describe(), "calibration_texts": calibrated, "rows": rows}


def _shipped(rows: RealRows) -> dict[str, Any]:
    """Every kernel on real rows of 8-bit logits, in their own steps."""
    step, exact = load_attention_sample().scale, rows.exact
    integers = np.rint(rows.logits / step).astype(np.int64)
    row = -(-integers.shape[-1] // LANES[0]) * LANES[0]
    shared: dict[str, Any] = {"lanes": LANES[0], "max_row": row, "logit_scale": step}
    cases = []
    for variant in VARIANTS:
        config, heads = _of_heads(variant, rows, shared)
        found = given(integers, config, rows.live, heads)
        error = np.abs(np.where(rows.live, found.values - exact, 0)).max()
        kl = found.kl(exact, rows.live)
        cases.append({"softmax": variant.name, "kl": kl, "largest_error": float(error)})
    return {
        "name": rows.name,
        "rows": len(integers),
        "elements": int(rows.live.sum()),
        "cases": cases,
    }


def _of_heads(
    variant: Variant, rows: RealRows, shared: dict[str, Any]
) -> tuple[SoftmaxConfig, NDArray[np.intp] | None]:
    """The configuration, of EXAQ with the paper's clip for each head, and the rows' contexts."""
    if variant.bits is None:
        return variant.config(**shared), None
    tables = tuple(
        SoftmaxConfig(bits=variant.bits, clip=clip, **shared).tables
        for clip in rows.paper_clips(variant.bits)
    )
    config = variant.config(**shared, contexts=len(tables), context_tables=tables)
    return config, rows.heads
