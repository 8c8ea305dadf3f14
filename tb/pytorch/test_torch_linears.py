"""Linear layers in few bits: integers give the same, scales fold, and all can be undone."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from linear_cases import TEXTS, output, relative, spread_out, state
from torch import Tensor, nn
from torch_models import MODELS

from exaq import dint
from exaq.dint import WEIGHT_FORMATS
from exaq.torch import quantize_linears
from exaq.torch.linears.level_rounding import nearest_levels, rounded_rows
from exaq.torch.linears.linear_layers import linear_layers
from exaq.torch.linears.quantized_linears import SCALINGS
from exaq.torch.linears.scale_search import RATIOS, clipped_scales, whole_scales

FORMATS = tuple(WEIGHT_FORMATS)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_are_those_of_the_codes(name: str, dtype: torch.dtype) -> None:
    marks = torch.arange(-80, 81, dtype=dtype) / 8
    ends = [torch.nextafter(marks, torch.full_like(marks, end)) for end in (-9e9, 9e9)]
    steps = torch.cat([marks, *ends, 4 * torch.randn(1017, dtype=dtype)]).view(3, -1)
    format = WEIGHT_FORMATS[name]
    expected = format.values(format.encode(steps.numpy()))
    assert (nearest_levels(steps, format).numpy() == expected).all()


def test_rounded_rows_are_those_of_the_model() -> None:
    values = torch.randn(40, 30, dtype=torch.float64)
    values[3] = 0
    integers, scales = rounded_rows(values)
    expected, steps = dint.activations(values.numpy())
    assert (integers.numpy() == expected).all()
    assert (scales.numpy() == steps).all()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("group_size", [24, 10, 1])
def test_whole_scales_are_those_of_the_model(name: str, group_size: int) -> None:
    matrix = torch.randn(7, 24, dtype=torch.float64) * torch.randn(7, 1, dtype=torch.float64)
    matrix[2] = 0
    found = whole_scales(matrix, WEIGHT_FORMATS[name], group_size)
    assert (found.numpy() == dint.scales(matrix.numpy(), name, group_size=group_size)).all()


@pytest.mark.parametrize("group_size", [24, 10])
@pytest.mark.parametrize("with_inputs", [False, True])
def test_clips_have_the_least_error_of_all_ratios(group_size: int, with_inputs: bool) -> None:
    matrix = torch.randn(5, 24, dtype=torch.float64) ** 3
    rows = torch.randn(50, 24, dtype=torch.float64) * torch.rand(24) if with_inputs else None
    found = clipped_scales(matrix, dint.DINT4, group_size, rows)
    whole = dint.scales(matrix.numpy(), group_size=group_size)
    for output_row, weights in enumerate(matrix.numpy()):
        for group, start in enumerate(range(0, 24, group_size)):
            part = weights[start : start + group_size]
            errors = []
            for ratio in RATIOS:
                scale = whole[output_row, group] * ratio
                off = dint.quantize(part, scales=[scale]).dequantize() - part
                if rows is None:
                    errors.append((off**2).sum())
                elif group_size == 24:
                    errors.append(((rows.numpy() @ off) ** 2).sum())
                else:
                    inputs = rows.numpy()[:, start : start + group_size]
                    errors.append((off**2 * (inputs**2).mean(axis=0)).sum())
            best = whole[output_row, group] * RATIOS[int(np.argmin(errors))]
            assert found[output_row, group].item() == pytest.approx(best, rel=1e-12)


def captured(model: nn.Module, name: str) -> tuple[Tensor, Tensor]:
    """What a layer is given by those before it, and what it gives, in a run."""
    layer, found = model.get_submodule(name), []
    # Before all other hooks, which divide and round.
    hooks = [
        layer.register_forward_pre_hook(lambda _, args: found.append(args[0]), prepend=True),
        layer.register_forward_hook(lambda _, args, result: found.append(result)),
    ]
    output(model)
    for hook in hooks:
        hook.remove()
    given, result = found
    return given, result


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    ("weights", "scaling", "group_size"),
    [
        ("dint4", "none", None),
        ("int4", "clip", 12),
        ("fp4", "aqas", None),
        ("dint4", "aqas+clip", 12),
    ],
)
def test_layers_compute_what_integers_give(
    kind: str, weights: str, scaling: str, group_size: int | None
) -> None:
    model = spread_out(kind)
    texts = None if scaling in ("none", "clip") else TEXTS
    made = quantize_linears(
        model, weights, scaling=scaling, group_size=group_size, calibration=texts
    )
    layers = {layer.name: layer for layer in linear_layers(model)}
    assert set(made.weights) == set(layers)
    for name, layer in layers.items():
        held = made.weights[name]
        # Codes and scales are all there is of the weights: they decode to them exactly.
        assert (layer.matrix.numpy() == held.dequantize().astype(np.float32)).all()
        assert (held.scales == held.scales.astype(np.float32)).all()
        if name.startswith("pooler"):
            continue
        given, result = captured(model, name)
        if name in made.input_scales:
            given = given / made.input_scales[name]
        integers, steps = dint.activations(given.reshape(-1, given.shape[-1]).numpy())
        size, row = held.group_size, given.shape[-1]
        total = np.zeros((len(integers), len(layer.matrix)))
        for group, start in enumerate(range(0, row, size)):
            part = slice(start, start + size)
            sums = dint.dot(integers[:, part], held.codes[:, part], weights)
            total += sums * steps * held.scales[:, group] / 2
        if layer.bias is not None:
            total += layer.bias.numpy()
        found = result.reshape(total.shape).numpy()
        # A tie of activations may round the other way in float32: one step of one input then.
        assert np.abs(found - total).max() <= 2e-5 * np.abs(total).max()


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_restored_model_is_what_it_was(kind: str, scaling: str) -> None:
    model = spread_out(kind)
    before, exact = state(model), output(model)
    with quantize_linears(
        model, scaling=scaling, calibration=None if scaling == "none" else TEXTS
    ) as made:
        assert 0 < relative(output(model), exact) < 2
    assert all((tensor == before[name]).all() for name, tensor in model.state_dict().items())
    assert (output(model) == exact).all()
    made.restore()
    assert (output(model) == exact).all()


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        # After attention, Llama has fewer values than outputs here, and GPT-2 all of it in one.
        ("llama", {"norm": 10, "linear": 2, "input": 2}),
        ("gpt2", {"norm": 4, "input": 4}),
        # The norms of BERT are also what the next layer is added to; the pooler's token is apart.
        ("bert", {"linear": 2, "input": 11}),
    ],
)
def test_scales_are_where_they_leave_the_model_the_same(kind: str, places: dict[str, int]) -> None:
    model = spread_out(kind)
    with quantize_linears(model, scaling="aqas", calibration=TEXTS) as made:
        assert Counter(made.places.values()) == places
        assert set(made.input_scales) <= {
            name for name, place in made.places.items() if place == "input"
        }
        if kind == "llama":
            assert {
                name.rpartition(".")[2] for name, place in made.places.items() if place == "linear"
            } == {"down_proj"}


def test_values_fold_where_each_head_has_its_own() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "vocab_size": 50}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = LlamaForCausalLM(
            LlamaConfig(**shape, num_hidden_layers=1, num_attention_heads=4)
        ).eval()
    for implementation in ("sdpa", "eager", "exaq"):
        model.set_attn_implementation(implementation)
        with quantize_linears(model, scaling="aqas", calibration=TEXTS) as made:
            assert made.places["model.layers.0.self_attn.o_proj"] == "linear"


@pytest.mark.parametrize("weights", FORMATS)
def test_scales_are_those_of_least_error(weights: str) -> None:
    """The search in NumPy, with the golden model's rounding, on all that the layers are given."""
    model = spread_out("gpt2")
    name = "transformer.h.0.mlp.c_fc"
    layer: Any = model.get_submodule(name)
    taken: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, args: taken.append(args[0][0]))
    with torch.no_grad():
        for text in TEXTS[:2]:
            model(input_ids=text[None])
    hook.remove()
    inputs, matrix = torch.cat(taken).double().numpy(), layer.weight.detach().double().numpy().T
    exact, errors = inputs @ matrix.T, {}
    for alpha in (None, *(k / 10 for k in range(11))):
        scales = np.ones(len(matrix.T))
        if alpha is not None:
            scales = np.abs(inputs).max(0) ** alpha / np.abs(matrix).max(0) ** (1 - alpha)
            scales /= np.exp(np.log(scales).mean())
        integers, steps = dint.activations(inputs / scales)
        rounded = dint.quantize(matrix * scales, weights).dequantize()
        errors[alpha] = (((integers * steps) @ rounded.T - exact) ** 2).sum()
    best = min(errors, key=errors.__getitem__)
    with quantize_linears(model, weights, scaling="aqas", calibration=TEXTS[:2]) as made:
        assert errors[made.alphas[name]] == pytest.approx(errors[best], rel=1e-3)
    assert errors[best] < errors[None]


def test_float_activations_stay_float() -> None:
    model = spread_out("llama")
    exact = output(model)
    with quantize_linears(model, activations=None, group_size=1) as made:
        alone = relative(output(model), exact)
        assert made.bits() == 4 + 32
        assert made.activations is None
    # With a scale for each weight every weight is a level of its own.
    assert alone < 1e-5
    with quantize_linears(model, group_size=1):
        assert 1e-4 < relative(output(model), exact) < 0.5


def test_texts_of_a_length_are_cut() -> None:
    from exaq.torch.linears.layer_inputs import checked_texts

    def shapes(length: int | None) -> list[tuple[int, ...]]:
        found = []
        for text in checked_texts(TEXTS, length):
            assert isinstance(text, Tensor)
            found.append(tuple(text.shape))
        return found

    assert shapes(None) == [(1, 20), (1, 17), (2, 11), (1, 9)]
    assert shapes(8) == [(1, 8), (1, 8), (1, 8), (1, 8), (2, 8), (1, 8)]
    assert shapes(18) == [(1, 18), (1, 17), (2, 11), (1, 9)]


def test_inputs_that_are_kept_are_spread_over_all() -> None:
    from exaq.torch.linears.layer_inputs import LayerInputs

    kept = LayerInputs(4)
    for start in range(0, 50, 5):
        kept.add(-torch.arange(start, start + 5.0)[None, :, None])
    assert kept.largest.tolist() == [49]
    gaps = kept.rows.squeeze(-1).diff().unique()
    assert gaps.numel() == 1
    assert 4 <= len(kept.rows) <= 8


def test_mappings_of_arguments_are_texts_too() -> None:
    model = spread_out("bert")
    text = {"input_ids": TEXTS[2], "attention_mask": torch.ones_like(TEXTS[2])}
    with quantize_linears(model, scaling="aqas", calibration=[text]) as by_name:
        names = by_name.alphas
    with quantize_linears(model, scaling="aqas", calibration=[TEXTS[2]]) as made:
        assert made.alphas == names
    message = "calibration_length cuts tensors of token numbers, not mappings"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        quantize_linears(model, scaling="aqas", calibration=[text], calibration_length=4)


def test_output_embeddings_and_what_is_skipped_stay_float() -> None:
    model = spread_out("llama")
    with quantize_linears(model, skip=["*.down_proj"]) as made:
        kinds = {name.rpartition(".")[2] for name in made.weights}
    assert kinds == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj"}


def test_layers_that_do_not_run_are_quantized_without_scales() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(50, 8)
            self.used, self.unused = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, input_ids: Tensor) -> Tensor:
            found: Tensor = self.used(self.embed(input_ids))
            return found

    with quantize_linears(Half(), scaling="aqas+clip", calibration=TEXTS) as made:
        assert made.places == {"used": "input", "unused": "unseen"}
        assert set(made.weights) == {"used", "unused"}


class Narrow(nn.Linear):
    """A linear layer that might be anything."""


def with_layer(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), layer)


def broken() -> nn.Module:
    layer = nn.Linear(4, 4)
    with torch.no_grad():
        layer.weight[1, 2] = torch.nan
    return nn.Sequential(layer)


def tied() -> nn.Module:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return nn.Sequential(first, second)


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (None, {"weights": "int8"}, ValueError, "weights must be dint4, int4 or fp4, not 'int8'"),
        (
            None,
            {"activations": "int4"},
            ValueError,
            "activations must be 'int8' or None, not 'int4'",
        ),
        (
            None,
            {"scaling": "slac"},
            ValueError,
            "scaling must be none, clip, aqas or aqas+clip, not 'slac'",
        ),
        (None, {"group_size": 0}, ValueError, "group_size must be at least 1, not 0"),
        (None, {"scaling": "aqas"}, ValueError, "scaling 'aqas' needs calibration texts"),
        (
            None,
            {"scaling": "clip", "calibration_length": 4},
            ValueError,
            "calibration_length needs calibration texts",
        ),
        (
            None,
            {"calibration": TEXTS},
            ValueError,
            "scaling 'none' takes no calibration texts",
        ),
        (
            None,
            {"scaling": "clip", "calibration": []},
            ValueError,
            "calibration must have at least 1 text, not 0",
        ),
        (
            None,
            {"scaling": "clip", "calibration": TEXTS[0]},
            TypeError,
            "calibration must be a sequence of texts, not a Tensor",
        ),
        (
            None,
            {"scaling": "clip", "calibration": ["text"]},
            TypeError,
            "a calibration text must be token numbers, (tokens,) or (texts, tokens), or a mapping "
            "of the model's arguments, not a str",
        ),
        (
            None,
            {"scaling": "clip", "calibration": [TEXTS[0][:0]]},
            ValueError,
            "a calibration text must have at least 1 token, not 0",
        ),
        (None, {"skip": ["x*"]}, ValueError, "skip: no linear layer matches 'x*'"),
        (None, {"skip": "*"}, TypeError, "skip must be a sequence of patterns, not '*'"),
        (None, {"skip": ["*"]}, ValueError, "Sequential has no linear layer to make few bits of"),
        (
            with_layer(Narrow(4, 4)),
            {},
            NotImplementedError,
            "1 is a Narrow, which may compute otherwise than a linear layer; skip= leaves it in "
            "float",
        ),
        (
            with_layer(nn.Linear(4, 4, dtype=torch.bfloat16)),
            {},
            NotImplementedError,
            "weights must be float32 or float64 to be made few bits, not torch.bfloat16 as those "
            "of 1",
        ),
        (broken(), {}, ValueError, "weights must be finite, not nan as in 0"),
        (
            tied(),
            {},
            NotImplementedError,
            "0 shares its weight with another linear layer; skip= leaves it in float",
        ),
    ],
)
def test_what_is_refused(
    model: nn.Module | None, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = nn.Sequential(nn.Linear(4, 4)) if model is None else model
    before = state(model)
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        quantize_linears(model, **options)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor.nan_to_num(), before[name].nan_to_num())


@pytest.mark.parametrize("activations", ["int8", None])
def test_a_quantized_model_is_not_quantized_again(activations: str | None) -> None:
    model = spread_out("llama")
    with quantize_linears(model, activations=activations):
        message = (
            "model.layers.0.self_attn.q_proj is quantized already: restore the model before it is "
            "again"
        )
        with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
            quantize_linears(model)
    with quantize_linears(model):
        pass


def test_a_model_that_fails_on_its_texts_is_left_as_it_was() -> None:
    model = spread_out("llama").train()
    before = state(model)
    with pytest.raises(IndexError):
        quantize_linears(model, scaling="aqas", calibration=[torch.tensor([1, 2, 9999])])
    assert all((tensor == before[name]).all() for name, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_pre_hooks for module in model.modules())


class OnePlus(nn.Module):
    """A norm whose factor is 1 + weight, as Gemma's is: dividing the weight is something else."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(8))

    def forward(self, states: Tensor) -> Tensor:
        return states / states.norm(dim=-1, keepdim=True) * (1 + self.weight)


class OnePlusNorm(OnePlus):
    """The same under a name that says norm."""


class Forked(nn.Module):
    """A norm whose output is also added to what comes behind, or changed in place, or returned."""

    def __init__(self, fork: str, norm: nn.Module) -> None:
        super().__init__()
        self.embed, self.norm, self.linear = nn.Embedding(50, 8), norm, nn.Linear(8, 8)
        self.fork = fork

    def forward(self, input_ids: Tensor) -> Any:
        states = self.norm(self.embed(input_ids))
        if self.fork == "in place":
            states += 1
        result = self.linear(states)
        if self.fork == "added":
            result = result + states
        return (result, states) if self.fork == "returned" else (result,)


@pytest.mark.parametrize(
    ("fork", "norm", "place"),
    [
        ("", nn.LayerNorm(8), "norm"),
        ("", nn.LayerNorm(8, elementwise_affine=False), "input"),
        ("", OnePlusNorm(), "input"),
        ("", OnePlus(), "input"),
        ("added", nn.LayerNorm(8), "input"),
        ("in place", nn.LayerNorm(8), "input"),
        ("returned", nn.LayerNorm(8), "input"),
    ],
)
def test_a_norm_takes_scales_where_nothing_else_reads_it(
    fork: str, norm: nn.Module, place: str
) -> None:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(5)
        model = Forked(fork, norm)
        # One channel has far larger weights, so that scaling is best.
        model.linear.weight[:, 0] *= 30
    exact = model(TEXTS[0])[0].detach()
    with quantize_linears(model, scaling="aqas", calibration=TEXTS) as made:
        assert made.places == {"linear": place}
        assert made.alphas["linear"] is not None
        assert relative(model(TEXTS[0])[0].detach(), exact) < 0.2


class Twice(Forked):
    """Reads its linear layer's weight by itself too, which no layer tells of."""

    def forward(self, input_ids: Tensor) -> Any:
        (result,) = super().forward(input_ids)
        return (result + self.embed(input_ids) @ self.linear.weight.T,)


def test_scales_that_change_the_model_are_refused_and_taken_back() -> None:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(5)
        model = Twice("", nn.LayerNorm(8))
        model.linear.weight[:, 0] *= 30
    before, exact = state(model), model(TEXTS[0])[0]
    message = (
        r"folded scales change the output of Twice, by [0-9.e+-]+ of its largest number: it "
        r"computes otherwise than its layers say"
    )
    with pytest.raises(RuntimeError, match=f"^{message}$"):
        quantize_linears(model, scaling="aqas", calibration=TEXTS)
    assert all((tensor == before[name]).all() for name, tensor in model.state_dict().items())
    assert (model(TEXTS[0])[0] == exact).all()


def test_inputs_that_are_not_finite_are_refused() -> None:
    model = spread_out("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[7] = torch.inf
    message = "the input of model.layers.0.self_attn.q_proj is not finite on these texts"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        quantize_linears(model, scaling="clip", calibration=[torch.tensor([7, 8])])
