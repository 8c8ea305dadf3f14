"""Every kind of model that the installed Transformers knows, built tiny where that can be done."""

from __future__ import annotations

import importlib
import inspect
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import (
    CONFIG_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    PreTrainedConfig,
    PreTrainedModel,
)

#: Names of the kinds, as configurations give them.
KINDS: list[str] = list(CONFIG_MAPPING)

BATCH, TOKENS, TARGETS, HEAD = 2, 12, 7, 8
_MOST_WEIGHTS = 8e6
_SECONDS = 30.0

# What a configuration is asked for, where it has a number of this name.
_SIZES: dict[str, int] = {
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), 96),
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "hidden_dim"), 32),
    **dict.fromkeys(("embedding_size", "emb_dim", "n_embed", "encoder_hidden_size"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim"), 64),
    **dict.fromkeys(("d_ff", "n_inner", "mlp_dim", "feed_forward_size"), 64),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_blocks"), 2),
    **dict.fromkeys(("num_encoder_layers", "num_decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_head", "n_heads"), 4),
    **dict.fromkeys(("attention_heads", "encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_decoder_attention_heads",), 4),
    **dict.fromkeys(("head_dim", "d_kv", "attention_head_size"), HEAD),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx"), 64),
    "num_key_value_heads": 2,
    "type_vocab_size": 2,
    "sliding_window": 6,
    # Experts.
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 16),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "moe_topk"), 2),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "first_k_dense_replace"), 1),
    "moe_num_experts": 4,
    # Latent and sparse attention.
    **dict.fromkeys(("kv_lora_rank", "q_lora_rank", "index_head_dim"), 16),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), HEAD),
    "index_topk": 4,
    "index_n_heads": 2,
    # State spaces and linear attention.
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads"), 4),
    **dict.fromkeys(("mamba_d_head", "mamba_head_dim"), 16),
    **dict.fromkeys(("mamba_d_state", "ssm_state_size"), 8),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads", "mamba_expand"), 2),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), 8),
    "hidden_size_per_layer_input": 8,
    "n_groups": 1,
    # Images and sound.
    **dict.fromkeys(("image_size", "projection_dim", "out_hidden_size"), 32),
    **dict.fromkeys(("num_mel_bins", "feature_size"), 16),
    **dict.fromkeys(("max_source_positions", "max_target_positions"), 50),
    "patch_size": 8,
    # Tokens with a meaning, none of which the inputs hold.
    **dict.fromkeys(("image_token_id", "image_token_index"), 90),
    **dict.fromkeys(("video_token_id", "video_token_index"), 91),
    **dict.fromkeys(("audio_token_id", "audio_token_index"), 92),
    **dict.fromkeys(("bos_token_id", "decoder_start_token_id"), 1),
    "pad_token_id": 0,
    "eos_token_id": 2,
}


class CannotBuildError(Exception):
    """This walk has no tiny model of a kind, or no inputs that it takes."""


@contextmanager
def cannot_build() -> Iterator[None]:
    """Whatever fails or takes too long in the block is ``CannotBuildError``; no warnings."""

    def expire(*_: Any) -> None:
        raise TimeoutError(f"took more than {_SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        raise CannotBuildError(f"{type(error).__name__}: {error}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@cannot_build()
def tiny(kind: str, refuse: Callable[[PreTrainedModel], Any] | None = None) -> PreTrainedModel:
    """A model of this kind with random weights, in evaluation mode, on "eager" attention.

    ``refuse`` gets the model before it has weights, and may raise, which is cheaper then.
    """
    of_kind: Any = AutoConfig.for_model
    config = of_kind(kind, **_smaller(of_kind(kind)))
    build: Any = AutoModel.from_config
    if type(config) not in MODEL_MAPPING:
        build = _model_class(config)._from_config
    with torch.device("meta"):
        bare = build(config)
    if refuse is not None:
        refuse(bare)
    weights = sum(weight.numel() for weight in bare.parameters())
    if weights > _MOST_WEIGHTS:
        raise ValueError(f"{weights / 1e6:.0f} M weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model: PreTrainedModel = build(config, attn_implementation="eager")
    return model.eval()


def inputs(model: PreTrainedModel) -> dict[str, Tensor]:
    """Random inputs: texts of which one is padded, an image, or sound, as ``forward`` takes it."""
    takes, main = inspect.signature(model.forward).parameters, model.main_input_name
    generator = torch.Generator().manual_seed(3)
    given: dict[str, Tensor] = {}
    if "input_ids" in takes:
        given["input_ids"] = torch.randint(3, 80, (BATCH, TOKENS), generator=generator)
        if "attention_mask" in takes:
            mask = torch.ones(BATCH, TOKENS, dtype=torch.long)
            mask[1, 9:] = 0
            given["attention_mask"] = mask
    if "decoder_input_ids" in takes:
        given["decoder_input_ids"] = torch.randint(3, 80, (BATCH, TARGETS), generator=generator)
    if "pixel_values" in takes and (main == "pixel_values" or hasattr(model, "logit_scale")):
        size = _number(model.config, "image_size", default=32)
        channels = _number(model.config, "num_channels", "in_channels", default=3)
        given["pixel_values"] = torch.randn(BATCH, channels, size, size, generator=generator)
    if "grid_thw" in takes:
        patch = _number(model.config, "patch_size", default=8)
        values = _number(model.config, "in_channels", "in_chans", "num_channels", default=3)
        values *= _number(model.config, "temporal_patch_size", default=1) * patch**2
        given["grid_thw"] = torch.tensor([[1, 4, 4], [1, 2, 4]])
        name = "hidden_states" if "hidden_states" in takes else "pixel_values"
        given[name] = torch.randn(24, values, generator=generator)
    if main == "input_values":
        given["input_values"] = torch.randn(BATCH, 4000, generator=generator)
    if main == "input_features":
        bands = _number(model.config, "num_mel_bins", "feature_size", default=16)
        frames = 2 * _number(model.config, "max_source_positions", default=50)
        given["input_features"] = torch.randn(BATCH, bands, frames, generator=generator)
    return given


def outputs(model: PreTrainedModel, given: dict[str, Tensor]) -> list[Tensor]:
    """All real tensors that the model returns, in order."""

    def visit(value: Any) -> Iterator[Tensor]:
        if isinstance(value, Tensor) and value.is_floating_point():
            yield value
        elif isinstance(value, dict):
            yield from visit(list(value.values()))
        elif isinstance(value, list | tuple):
            for each in value:
                yield from visit(each)

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return list(visit(model(**given)))


def _model_class(config: PreTrainedConfig) -> Any:
    """The first model class of this configuration; there are parts that no automatic class has."""
    name = type(config).__module__.replace("configuration_", "modeling_")
    for found in vars(importlib.import_module(name)).values():
        if (
            inspect.isclass(found)
            and issubclass(found, PreTrainedModel)
            and found.config_class is type(config)
            and not found.__name__.endswith("PreTrainedModel")
        ):
            return found
    raise ValueError(f"{name} has no model for {type(config).__name__}")


def _smaller(config: PreTrainedConfig) -> dict[str, Any]:
    """Arguments that make a configuration of this kind small."""
    found: dict[str, Any] = {}
    for name, size in _SIZES.items():
        present = _attribute(config, name)
        if type(present) is int or (present is None and name == "num_key_value_heads"):
            found[name] = size
    if "kv_lora_rank" in found:
        found["num_key_value_heads"] = found["num_attention_heads"]
    rope = _attribute(config, "rope_parameters")
    if isinstance(rope, dict) and "mrope_section" in rope:
        turned = int(HEAD * rope.get("partial_rotary_factor", 1)) // 2
        rest = 2 * (turned // 3)
        section = [turned - rest, rest // 2, rest // 2]
        found["rope_parameters"] = rope | {"mrope_section": section}
    for name in config.sub_configs:
        inner = _attribute(config, name)
        if isinstance(inner, PreTrainedConfig):
            found[name] = _smaller(inner) | {"model_type": inner.model_type}
    return found


def _number(config: PreTrainedConfig, *names: str, default: int) -> int:
    """The first of the numbers that the configuration or one inside it has."""
    waiting = [config]
    while waiting:
        config = waiting.pop(0)
        for name in names:
            value = _attribute(config, name)
            value = value[0] if isinstance(value, list | tuple) and value else value
            if isinstance(value, int) and value:
                return value
        inner = (_attribute(config, name) for name in config.sub_configs)
        waiting += [each for each in inner if isinstance(each, PreTrainedConfig)]
    return default


def _attribute(config: PreTrainedConfig, name: str) -> Any:
    """None where it has none, or where it differs between layers and cannot be read so."""
    try:
        return getattr(config, name, None)
    except (RuntimeError, ValueError):
        return None
