"""Every kind of model that the installed Transformers knows: as "eager" has it, or refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch_zoo import KINDS, CannotBuildError, cannot_build, inputs, outputs, tiny
from transformers import AttentionInterface

import exaq.torch
import exaq.torch.layers
from exaq.torch.modules import head_count

# The walk in parts, which may run side by side.
SLICES = 12
#: Kinds of models that agree with "eager", at least, in all parts together; see docs/torch.md.
AGREEING = 180

REFUSED = re.compile(
    r"\w+ hands attention ((\w+|is_causal without a mask|sliding_window without a mask)(, )?)+, "
    r'which the implementation "exaq" does not support'
)


def outcome(kind: str) -> str:
    """What became of a kind: "agrees", "refused", "no layers" or why there is no tiny model."""
    try:
        model = tiny(kind, exaq.torch.attention_layers)
        with cannot_build():
            given = inputs(model)
            want = outputs(model, given)
    except CannotBuildError as error:
        return "no layers" if "has no attention layer" in str(error) else f"not built: {error}"
    layers = exaq.torch.attention_layers(model)
    heads: dict[nn.Module, int] = {}

    def watched(module: nn.Module, query: Tensor, *args: Any, **options: Any) -> Any:
        heads[module] = query.shape[1]
        return exaq.torch.attention(module, query, *args, **options)

    exaq.torch.set_tables(model, None)
    with mock.patch.dict(AttentionInterface._global_mapping, exaq=watched):
        try:
            got = outputs(model, given)
        except NotImplementedError as error:
            if REFUSED.fullmatch(str(error)):
                return "refused"
            raise
    assert len(got) == len(want), kind
    for ours, eager in zip(got, want, strict=True):
        torch.testing.assert_close(
            ours, eager, rtol=0, atol=1e-6, equal_nan=True, msg=lambda text: f"{kind}: {text}"
        )
    for layer in layers:
        assert getattr(layer, "config", model.config)._attn_implementation == "exaq", kind
    for layer, count in heads.items():
        assert layer in layers, f"{kind}: {type(layer).__name__} is not listed"
        assert head_count(layer) in (None, count), f"{kind}: heads of {type(layer).__name__}"
    return "agrees" if heads else "not built: no attention layer ran"


@pytest.mark.parametrize("part", range(SLICES))
def test_float_softmax_is_eager_attention_or_the_model_is_refused(part: int) -> None:
    found = {kind: outcome(kind) for kind in KINDS[part::SLICES]}
    counts = {
        name: sum(result.startswith(name) for result in found.values())
        for name in ("agrees", "refused", "no layers", "not built")
    }
    print(counts, *(f"{kind}: {result}" for kind, result in found.items()), sep="\n")
    assert sum(counts.values()) == len(found)
    assert counts["agrees"] >= AGREEING / SLICES


def test_the_documentation_says_how_many_agree() -> None:
    page = Path(__file__).resolve().parents[2] / "docs/torch.md"
    assert f"At least {AGREEING} kinds agree." in page.read_text(encoding="utf-8")
