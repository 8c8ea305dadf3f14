"""Gradients straight through the quantizer: the formula by loops, the bits of the forward pass."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_models import MODELS, PADDING
from transformers import LlamaForCausalLM

import exaq
import exaq.torch

CONFIG = exaq.SoftmaxConfig(clip=-4.0)
CONTEXTS = CONFIG.replace(
    contexts=2,
    context_tables=(
        exaq.Tables(thresholds=(-40, -20, -5), exp_rom=(0, 700, 3000, 9000)),
        exaq.Tables(thresholds=(-90, -30, -30), exp_rom=(90, 500, 1, 8192)),
    ),
)
# Steps of the result's type, half of which is lost where it is rounded.
PRECISION = {
    torch.float64: 1e-12,
    torch.float32: 1e-6,
    torch.float16: 2e-3,
    torch.bfloat16: 2e-2,
}


def drawn(*shape: int, seed: int = 3, spread: float = 2.0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, spread, shape))


def by_hand(probabilities: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
    """p_j * (g_j - sum_i g_i p_i), element by element."""
    found = np.zeros_like(given)
    for place in np.ndindex(*given.shape[:-1]):
        p, g = probabilities[place], given[place]
        for j in range(len(p)):
            found[place][j] = p[j] * (g[j] - sum(g[i] * p[i] for i in range(len(p))))
    return found


@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("config", [CONFIG, CONTEXTS], ids=["one", "contexts"])
def test_forward_is_the_units_and_back_flows_the_softmax_of_its_values(
    dtype: torch.dtype, masked: bool, config: exaq.SoftmaxConfig
) -> None:
    scores = drawn(2, 3, 17).to(dtype).requires_grad_()
    mask = drawn(2, 1, 17, seed=4) > -1 if masked else None
    if mask is not None:
        mask[1] = False
    contexts = torch.tensor([[0, 1, 0], [1, 1, 0]]) if config.contexts else None
    plain = exaq.torch.softmax(scores, config, mask, contexts)
    found = exaq.torch.softmax(scores, config, mask, contexts, gradient="ste")
    assert torch.equal(found, plain)
    assert not plain.requires_grad
    given = drawn(2, 3, 17, seed=5).to(dtype)
    found.backward(given)
    assert scores.grad is not None
    assert scores.grad.dtype == dtype
    expected = by_hand(plain.double().numpy(), given.double().numpy())
    np.testing.assert_allclose(scores.grad.double(), expected, rtol=0, atol=PRECISION[dtype])
    if mask is not None:
        assert not scores.grad.masked_select(~mask).any()
        assert not scores.grad[1].any()


@pytest.mark.parametrize("config", [CONFIG, CONTEXTS], ids=["one", "contexts"])
@pytest.mark.parametrize("height", [-60.0, -1.0, 3.0])
def test_a_sink_gets_the_gradient_of_an_element_without_output(
    config: exaq.SoftmaxConfig, height: float
) -> None:
    """The row with its sink as an element more is the same row, if that has no gradient."""
    # Whole steps, so that the sink's step is that of an element; a dead row keeps its sink.
    scores, sink = (drawn(4, 2, 9) * 16).round() / 16, torch.full((2,), height)
    mask = torch.ones(4, 2, 9, dtype=torch.bool)
    mask[0, :, :3], mask[2] = False, False
    contexts = torch.tensor([0, 1]) if config.contexts else None
    scores, sink = scores.float().requires_grad_(), sink.requires_grad_()
    given = drawn(4, 2, 9, seed=6).float()
    found = exaq.torch.softmax(scores, config, mask, contexts, sink=sink, gradient="ste")
    assert torch.equal(found, exaq.torch.softmax(scores, config, mask, contexts, sink=sink))
    found.backward(given)

    longer = torch.cat([scores.detach(), sink.detach().expand(4, 2).unsqueeze(-1)], dim=-1)
    live = torch.cat([mask, torch.ones(4, 2, 1, dtype=torch.bool)], dim=-1)
    values = exaq.torch.softmax(longer, config.replace(prob_bits=24), live, contexts)
    rows = torch.cat([given, torch.zeros(4, 2, 1)], dim=-1)
    expected = by_hand(values.double().numpy(), rows.double().numpy())
    assert scores.grad is not None
    assert sink.grad is not None
    # The probabilities here have 24 bits; those of the unit play no part but for the sink.
    np.testing.assert_allclose(scores.grad, expected[..., :-1], rtol=0, atol=1e-5)
    np.testing.assert_allclose(sink.grad, expected[..., -1].sum(axis=0), rtol=0, atol=1e-5)


def test_gradients_of_the_scores_do_not_depend_on_whether_the_sink_gets_one() -> None:
    given, sink = drawn(5, 9, seed=6), torch.tensor([0.0, 1.0, -1.0, 2.0, -9.0]).double()
    gradients = []
    for learns in (False, True):
        scores = drawn(5, 9).requires_grad_()
        own = sink.clone().requires_grad_(learns)
        exaq.torch.softmax(scores, CONFIG.replace(prob_bits=24), sink=own, gradient="ste").backward(
            given
        )
        gradients.append(scores.grad)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-6)


def test_other_kernels_get_gradients_of_their_values() -> None:
    config = exaq.SoftmaxConfig.preset("softermax-x4", max_row=64)
    scores, given = drawn(3, 8).requires_grad_(), drawn(3, 8, seed=6)
    found = exaq.torch.softmax(scores, config, gradient="ste")
    found.backward(given)
    expected = by_hand(found.detach().numpy(), given.numpy())
    assert scores.grad is not None
    np.testing.assert_allclose(scores.grad, expected, rtol=0, atol=1e-12)
    sink = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"^the kernel softermax takes no sinks$"):
        exaq.torch.softmax(scores, config, sink=sink, gradient="ste")


def test_nothing_flows_where_nothing_is_asked_for() -> None:
    scores = drawn(2, 5).requires_grad_()
    with torch.no_grad():
        assert not exaq.torch.softmax(scores, CONFIG, gradient="ste").requires_grad
    assert not exaq.torch.softmax(scores.detach(), CONFIG, gradient="ste").requires_grad
    assert exaq.torch.softmax(torch.zeros(0, 5), CONFIG, gradient="ste").shape == (0, 5)


@pytest.mark.parametrize("sink", [None, 0.5])
def test_gradients_of_gradients_are_refused(sink: float | None) -> None:
    scores = drawn(2, 5).requires_grad_()
    own = None if sink is None else torch.full((2,), sink, dtype=torch.float64, requires_grad=True)
    found = exaq.torch.softmax(scores, CONFIG, sink=own, gradient="ste")
    (first,) = torch.autograd.grad(found[:, 0].square().sum(), scores, create_graph=True)
    message = (
        r"^trying to differentiate twice a function that was marked with @once_differentiable$"
    )
    with pytest.raises(RuntimeError, match=message):
        first.square().sum().backward()


def test_refusals() -> None:
    def refused(error: type[Exception], message: str, **options: Any) -> None:
        with pytest.raises(error, match=rf"^{re.escape(message)}$"):
            exaq.torch.softmax(options.pop("scores", torch.zeros(2, 3)), CONFIG, **options)

    refused(ValueError, "gradient must be None or 'ste', not 'exact'", gradient="exact")
    whole = torch.zeros(2, 3, dtype=torch.int64)
    message = "a gradient needs floating-point scores, not torch.int64"
    refused(TypeError, message, scores=whole, gradient="ste")
    with pytest.raises(ValueError, match=r"^gradient must be None or 'ste', not True$"):
        exaq.torch.set_tables(MODELS["gpt2"](), CONFIG, gradient=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("padding", PADDING)
def test_models_compute_the_same_bits_while_they_train(name: str, padding: str) -> None:
    model = MODELS[name]()
    tokens = torch.randint(50, (3, 9), generator=torch.Generator().manual_seed(2))

    def output() -> Tensor:
        out = model(tokens, attention_mask=PADDING[padding])
        return out.logits if hasattr(out, "logits") else out.last_hidden_state

    exaq.torch.set_tables(model, CONFIG)
    plain = output()
    exaq.torch.set_tables(model, CONFIG, gradient="ste")
    assert model.config._attn_implementation == "exaq-train"
    trained = output()
    assert torch.equal(trained, plain)
    trained.square().sum().backward()
    queries = [weight for key, weight in model.named_parameters() if "attn.c_attn.weight" in key]
    queries += [w for key, w in model.named_parameters() if key.endswith(("q_proj.weight",))]
    queries += [w for key, w in model.named_parameters() if key.endswith("query.weight")]
    assert queries
    for weight in queries:
        assert weight.grad is not None
        assert torch.isfinite(weight.grad).all()
        assert weight.grad[:, :32].any()
    # The other name lets nothing through, with the same tables.
    model.set_attn_implementation("exaq")
    model.zero_grad()
    output().square().sum().backward()
    if name != "gpt2":  # whose queries and values are one matrix
        assert not any(w.grad is not None and w.grad.any() for w in queries)


def test_without_tables_gradients_are_those_of_eager() -> None:
    model = MODELS["llama"]()
    tokens = torch.arange(12).reshape(2, 6)
    found = []
    for implementation in ("eager", "exaq-train"):
        model.set_attn_implementation(implementation)
        model.zero_grad()
        model(tokens, labels=tokens).loss.backward()
        found.append([weight.grad for weight in model.parameters()])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


def test_a_plain_training_loop_lowers_the_loss_and_drops_probabilities() -> None:
    model = MODELS["llama"]()
    assert isinstance(model, LlamaForCausalLM)
    layers: list[Any] = [*exaq.torch.attention_layers(model)]
    for layer in layers:
        layer.attention_dropout = 0.1
    exaq.torch.set_tables(model, CONFIG, gradient="ste")
    tokens = torch.randint(50, (4, 9), generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        one, other = (model(tokens, labels=tokens).loss for _ in range(2))
        assert one.item() != other.item()
        for _ in range(25):
            loss = model(tokens, labels=tokens).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.eval()
    assert model(tokens, labels=tokens).loss.item() < one.item() / 2
