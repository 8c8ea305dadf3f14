"""Models to evaluate, and the texts that they are evaluated on; nothing is downloaded."""

from exaq_eval.models.loading import (
    EvaluationModel,
    ModelError,
    from_folder,
    minilm,
    tiny_decoder,
    unswitched,
)

__all__ = [
    "EvaluationModel",
    "ModelError",
    "from_folder",
    "minilm",
    "tiny_decoder",
    "unswitched",
]
