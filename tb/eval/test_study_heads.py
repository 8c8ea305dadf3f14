"""Attention heads in integers within a model: masks, shared keys, scales, and the study's words."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from exaq import Tables
from exaq_eval.studies.questions.heads import Heads
from exaq_eval.studies.subjects.integer_heads import HeadSetting, IntegerHeads, of_steps


def llama() -> PreTrainedModel:
    """Four heads of q on two of k and v."""
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config)


def bert() -> PreTrainedModel:
    config = BertConfig(
        vocab_size=40,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    return BertModel(config)


@pytest.fixture(params=[llama, bert])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    make: Callable[[], PreTrainedModel] = request.param
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        made = make().eval()
        for weight in made.parameters():
            # Larger than a fresh model's, so that its attention is not flat.
            weight.data *= 5 if weight.ndim == 2 else 1
    return made


def run(model: PreTrainedModel, text: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model(input_ids=text[None])[0][0]
    return found.double()


def test_integers_of_8_bits_are_near_float(model: PreTrainedModel) -> None:
    texts = list(torch.randint(0, 40, (4, 30), generator=torch.Generator().manual_seed(1)))
    exact = run(model, texts[3])
    heads = IntegerHeads(model=model, run=lambda text: run(model, text), texts=texts)
    errors = {}
    for setting in (
        HeadSetting(keys="int8", bits=None),
        HeadSetting(keys="dint4", bits=None),
        HeadSetting(keys="int8", bits=6),
        HeadSetting(keys="int8", bits=2),
        HeadSetting(keys="int8", bits=6, output_width=8),
        HeadSetting(keys="int8", probabilities=16),
        HeadSetting(keys="int8", probabilities=5),
    ):
        with heads.using(setting):
            given = run(model, texts[3])
        errors[setting] = float((given - exact).norm() / exact.norm())
    by_8, by_4, fine, coarse, rough, multiplied, roughly = errors.values()
    assert by_8 < 0.03
    assert by_8 < fine < 0.06
    assert by_8 < by_4 < 0.6
    assert fine < coarse < 0.6
    assert fine < rough
    assert multiplied < 1.1 * by_8
    assert fine < roughly < 0.6
    # What it was before.
    assert torch.equal(run(model, texts[3]), exact)


@pytest.mark.parametrize("other", [2.0**-8, 2.0**-11, 0.013, 0.7, 3.1])
def test_thresholds_in_other_steps_are_reached_by_the_same_distances(other: float) -> None:
    tables = Tables(thresholds=(-700, -256, -3), exp_rom=(1, 20, 300, 8192))
    given = of_steps(tables, 2.0**-8, other)
    for distance in range(0, -int(4 / other) - 2, -1):
        real = distance * Fraction(other)
        reached = [real >= Fraction(each) / 256 for each in tables.thresholds]
        assert [distance >= each for each in given.thresholds] == reached
    assert given.exp_rom == tables.exp_rom


def test_quick_study_says_what_it_found() -> None:
    study = Heads.quick()
    result = study.run()
    (found,) = result["models"]
    multiplied, *rows = found["rows"]
    of_it = [multiplied[name] for name in ("keys", "bits", "probabilities")]
    assert of_it == ["int8", None, 16]
    assert [(row["keys"], row["bits"]) for row in rows] == [
        ("int8", None),
        ("int8", 2),
        ("dint4", None),
        ("dint4", 2),
    ]
    cosines = [row["cosine_mean"] for row in rows]
    assert abs(multiplied["cosine_mean"] - cosines[0]) < 0.0003
    assert cosines[0] > 0.998
    assert cosines[0] > cosines[1] > 0.98
    assert cosines[0] > cosines[2] > cosines[3] > 0.98
    text = study.markdown(result)
    for cosine in cosines:
        assert f"{cosine:.4f}" in text
    added = np.round(cosines[0] - cosines[1], 4)
    assert f"2 bits {added:+.4f} beside int8" in text
