"""Sliding-window attention: a decoder's own weights in a model whose queries see few keys."""

from __future__ import annotations

from dataclasses import replace

from transformers import LlamaConfig, MistralConfig, MistralForCausalLM

from exaq_eval.tasks import Prediction, Task

# Fields that the two configurations share and that a trained model depends on.
_SHARED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_parameters",
    "tie_word_embeddings",
    "use_cache",
)


def slide(task: Task, window: int) -> Prediction:
    """The task with each query seeing its last ``window`` keys, its own among them.

    Mistral is Llama with a sliding window, so the weights fit as they are; the model was not
    trained with the window.

    Parameters
    ----------
    task
        Of a Llama decoder.
    window
        Keys that a query sees.

    Raises
    ------
    TypeError
        The model is no Llama.
    """
    config = task.model.config
    if not isinstance(task, Prediction) or not isinstance(config, LlamaConfig):
        raise TypeError(f"a sliding window needs a Llama decoder, not {type(task.model).__name__}")
    shared = {name: getattr(config, name) for name in _SHARED}
    model = MistralForCausalLM(MistralConfig(**shared, sliding_window=window))
    model.load_state_dict(task.model.state_dict())
    return replace(task, name=f"{task.name}-window-{window}", model=model.eval())
