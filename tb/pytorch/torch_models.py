"""Tiny models with random weights: an encoder, a decoder, and one with fewer keys than queries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

BATCH, TOKENS, LAYERS, HEADS = 3, 9, 2, 4
_VOCABULARY = 50
_SHAPE: dict[str, Any] = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 40,
    # Attention that is far from even, so that a wrong one shows.
    "initializer_range": 0.4,
}


def _model(kind: Callable[[Any], PreTrainedModel], config: Any) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return kind(config).eval()


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "bert": lambda: _model(BertModel, BertConfig(**_SHAPE, intermediate_size=64)),
    "gpt2": lambda: _model(GPT2LMHeadModel, GPT2Config(**_SHAPE, bos_token_id=0, eos_token_id=0)),
    "llama": lambda: _model(
        LlamaForCausalLM, LlamaConfig(**_SHAPE, intermediate_size=64, num_key_value_heads=2)
    ),
}


def _padding(*dead: tuple[int, slice]) -> Tensor:
    mask = torch.ones(BATCH, TOKENS, dtype=torch.long)
    for text, tokens in dead:
        mask[text, tokens] = 0
    return mask


#: Masks of padding tokens (batch, tokens), 1 = live.
PADDING: dict[str, Tensor | None] = {
    "none": None,
    "right": _padding((0, slice(6, None)), (2, slice(1, None))),
    "left": _padding((1, slice(0, 3))),
}


def run(model: PreTrainedModel, mask: Tensor | None) -> Any:
    """The model's outputs, attention probabilities among them, for the same random tokens."""
    tokens = torch.randint(_VOCABULARY, (BATCH, TOKENS), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return model(tokens, attention_mask=mask, output_attentions=True, use_cache=False)


def save(model: PreTrainedModel, folder: Path) -> Path:
    """Write the model with a tokenizer of words into ``folder``, as Transformers does."""
    words = {"[UNK]": 0, "the": 1, "def": 2, "return": 3, "self": 4, ".": 5, "(": 6, ")": 7}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)
    model.save_pretrained(folder)
    return folder
