"""The studies behind docs/accuracy.md and docs/kernels.md: a question each, and one command.

Importing them needs NumPy alone; what a single one needs besides is imported when it runs.
"""

from __future__ import annotations

from exaq_eval.studies.questions.architectures import Architectures
from exaq_eval.studies.questions.choice import Choice
from exaq_eval.studies.questions.clip import Clip
from exaq_eval.studies.questions.distribution import Distribution
from exaq_eval.studies.questions.heads import Heads
from exaq_eval.studies.questions.heads_unit import HeadsUnit
from exaq_eval.studies.questions.kernels import Kernels
from exaq_eval.studies.questions.lut_size import LutSize
from exaq_eval.studies.questions.phases import Phases
from exaq_eval.studies.questions.shapes import Shapes
from exaq_eval.studies.questions.training import Training
from exaq_eval.studies.questions.weights import Weights
from exaq_eval.studies.questions.widths import Widths
from exaq_eval.studies.study import Study, StudyError

#: All studies, by name, at the sizes that their reports have.
STUDIES: dict[str, Study] = {
    each.name: each
    for each in (
        Choice(),
        Distribution(),
        Clip(),
        Shapes(),
        LutSize(),
        Phases(),
        Architectures(),
        Widths(),
        Training(),
        Weights(),
        Heads(),
        HeadsUnit(),
        Kernels(),
    )
}

__all__ = ["STUDIES", "Study", "StudyError"]
