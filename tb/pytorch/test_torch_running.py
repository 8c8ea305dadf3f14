"""The unit's softmax in models as people run them: compiled, with cached keys, in other types."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch_models import MODELS

import exaq
import exaq.torch

CONFIG = exaq.SoftmaxConfig(bits=2, logit_width=16, logit_scale=2.0**-8, clip=-6.0)
IDS = torch.randint(1, 50, (2, 9), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", list(MODELS))
def test_compiled_models_give_the_same(name: str) -> None:
    model: Any = MODELS[name]()
    exaq.torch.set_tables(model, CONFIG)
    # The backend that runs what was traced as it is: no compiler of C++ is needed.
    compiled: Any = torch.compile(model, backend="eager")
    with torch.inference_mode():
        assert torch.equal(compiled(IDS)[0], model(IDS)[0])
        exaq.torch.set_tables(model, CONFIG.replace(clip=-3.0))
        assert torch.equal(compiled(IDS)[0], model(IDS)[0])


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_generation_with_cached_keys_is_that_without(name: str) -> None:
    model: Any = MODELS[name]()
    exaq.torch.set_tables(model, CONFIG)
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    with torch.no_grad():
        cached = model.generate(IDS, use_cache=True, **options)
        assert torch.equal(cached, model.generate(IDS, use_cache=False, **options))
        exaq.torch.set_tables(model, None)
        assert cached.shape == (2, 15)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_probabilities_in_narrow_types_are_rounded_once(kind: torch.dtype) -> None:
    model: Any = MODELS["llama"]()
    model = model.to(kind)
    exaq.torch.set_tables(model, CONFIG)
    with torch.no_grad(), exaq.torch.record(model) as recording:
        weights = model(IDS, output_attentions=True).attentions
    for logits, given in zip(recording.layers, weights, strict=True):
        scores = torch.from_numpy(logits[0]).reshape(4, 2, 9, 9).transpose(0, 1)
        wanted = exaq.torch.softmax(scores, CONFIG, torch.isfinite(scores)).to(kind)
        assert torch.equal(given, wanted)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("bits", [2, 4])
def test_a_graphics_card_gives_the_same_bits(bits: int) -> None:
    config = CONFIG.replace(bits=bits)
    scores = torch.randn(2, 3, 40, 300, generator=torch.Generator().manual_seed(1)) * 6
    mask = torch.rand(2, 1, 40, 300, generator=torch.Generator().manual_seed(2)) < 0.8
    there = exaq.torch.softmax(scores.cuda(), config, mask.cuda())
    assert there.device.type == "cuda"
    assert torch.equal(there.cpu(), exaq.torch.softmax(scores, config, mask))
