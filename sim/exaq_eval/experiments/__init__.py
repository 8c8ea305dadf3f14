"""The experiments behind docs/accuracy.md: each answers one question and needs one command.

Importing them needs NumPy alone; what a single one needs besides is imported when it runs.
"""

from __future__ import annotations

from exaq_eval.experiments.architectures import Architectures
from exaq_eval.experiments.base import Experiment, ExperimentError, Progress
from exaq_eval.experiments.clip import Clip
from exaq_eval.experiments.distribution import Distribution
from exaq_eval.experiments.lut_size import LutSize
from exaq_eval.experiments.shapes import Shapes
from exaq_eval.experiments.widths import Widths

#: All experiments, by name, at the sizes that their reports have.
EXPERIMENTS: dict[str, Experiment] = {
    each.name: each
    for each in (Distribution(), Clip(), Shapes(), LutSize(), Architectures(), Widths())
}

__all__ = ["EXPERIMENTS", "Experiment", "ExperimentError", "Progress"]
