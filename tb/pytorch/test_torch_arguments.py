"""What models hand to attention beside queries, keys and values: understood, or refused by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_zoo import tiny

import exaq
import exaq.torch


class Layer(torch.nn.Module):
    """Stands for an attention layer in calls of the function itself."""


def call(mask: Tensor | None, **options: Any) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    query, key, value = (torch.randn(2, 4, 6, 8, generator=generator) for _ in range(3))
    return exaq.torch.attention(Layer(), query, key, value, mask, **options)[1]


def refusal(mask: Tensor | None, **options: Any) -> str:
    with pytest.raises(NotImplementedError) as caught:
        call(mask, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"indices": torch.zeros(2, 6, 2, dtype=torch.long)}, "indices"),
        ({"block_indices": torch.zeros(2, 1, dtype=torch.long)}, "block_indices"),
        (
            {"seq_idx": torch.zeros(2, 6), "cu_seq_lens_q": torch.arange(3)},
            "cu_seq_lens_q, seq_idx",
        ),
        ({"window": 0, "use_cache": True}, "window"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arguments_that_may_decide_are_refused_by_name(
    arguments: dict[str, Any], named: str
) -> None:
    assert refusal(torch.zeros(2, 1, 6, 6), **arguments) == (
        f'Layer hands attention {named}, which the implementation "exaq" does not support'
    )


def test_arguments_of_no_effect_are_taken() -> None:
    mask = torch.zeros(2, 1, 6, 6)
    plain = call(mask)
    harmless: dict[str, Any] = {
        "num_items_in_batch": torch.tensor(7),
        "output_attentions": True,
        "output_hidden_states": True,
        "output_router_logits": True,
        "return_dict": True,
        "use_cache": True,
        "cache_position": torch.arange(6),
        "position_ids": torch.arange(6)[None],
        "token_type_ids": torch.ones(2, 6, dtype=torch.long),
        "deterministic": True,
        "is_causal": True,
        "sliding_window": 2,
        "indices": None,
        "anything": None,
    }
    assert torch.equal(call(mask, **harmless), plain)
    # Without a mask they are of no effect where they hide no key.
    assert torch.equal(call(None, is_causal=False, sliding_window=6), plain)


def test_what_only_a_mask_says_needs_a_mask() -> None:
    tail = 'without a mask, which the implementation "exaq" does not support'
    assert refusal(None, is_causal=True) == f"Layer hands attention is_causal {tail}"
    assert refusal(None, sliding_window=5) == f"Layer hands attention sliding_window {tail}"
    one = torch.randn(1, 2, 1, 4)
    exaq.torch.attention(Layer(), one, torch.randn(1, 2, 5, 4), torch.randn(1, 2, 5, 4), None)
    exaq.torch.attention(
        Layer(), one, torch.randn(1, 2, 5, 4), torch.randn(1, 2, 5, 4), None, is_causal=True
    )


@pytest.mark.parametrize("name", ["attention_mask", "position_bias"])
def test_masks_of_other_types_are_refused_by_name(name: str) -> None:
    wrong = torch.ones(2, 1, 6, 6, dtype=torch.long)
    expected = f"^{name} must be boolean or floating-point, not torch.int64$"
    arguments = {"attention_mask": None, "position_bias": None} | {name: wrong}
    with pytest.raises(TypeError, match=expected):
        call(arguments["attention_mask"], position_bias=arguments["position_bias"])


@pytest.mark.parametrize("tables", [None, exaq.SoftmaxConfig(clip=-2.0)], ids=["float", "tables"])
def test_sparse_attention_is_refused_by_name(tables: exaq.SoftmaxConfig | None) -> None:
    """Its model leaves the choice of keys to attention, and would attend to all of them."""
    model = tiny("deepseek_v32")
    tokens = torch.arange(3, 15)[None]
    expected = re.escape(
        "DeepseekV32Attention hands attention indices, "
        'which the implementation "exaq" does not support'
    )
    exaq.torch.set_tables(model, tables)
    with pytest.raises(NotImplementedError, match=f"^{expected}$"):
        model(tokens)
    with (
        exaq.torch.record(model) as recording,
        pytest.raises(NotImplementedError, match=f"^{expected}$"),
    ):
        model(tokens)
    assert recording.layers == [[], []]


def test_the_documentation_lists_what_is_of_no_effect() -> None:
    page = Path(__file__).resolve().parents[2] / "docs/torch.md"
    text = page.read_text(encoding="utf-8")
    listed = text.partition("change nothing are\n")[2].partition("- `is_causal`")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == exaq.torch.layers._HARMLESS
