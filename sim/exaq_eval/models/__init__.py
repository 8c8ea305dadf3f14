"""Models to evaluate, and the texts that they are evaluated on; nothing is downloaded."""

from exaq_eval.models.built_in import minilm, smollm2, tiny_decoder
from exaq_eval.models.evaluation_model import EvaluationModel, ModelError
from exaq_eval.models.folder import from_folder, unswitched

__all__ = [
    "EvaluationModel",
    "ModelError",
    "from_folder",
    "minilm",
    "smollm2",
    "tiny_decoder",
    "unswitched",
]
