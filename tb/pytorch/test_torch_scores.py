"""Finite masks and sinks on tensors: what exaq decides and computes on arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

import exaq
import exaq.torch
from exaq.torch.tensor_masks import find_live, live_addends

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
CONFIG = exaq.SoftmaxConfig(logit_width=16, logit_scale=2**-8)


def live_scores(scores: Tensor, mask: Tensor | None) -> Tensor:
    """What takes part, with the warning of what only a gap has masked."""
    live, doubt = find_live(scores, mask)
    if doubt is not None:
        doubt.warn()
    return live


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.floats(-300, 300, width=16),
            st.sampled_from([-4096.0, -4080.0, -4112.0, 0.0, -64.0, -64.5, 64.0, -128.0]),
            st.sampled_from([-np.inf, -1e4, -1e9, -65504.0, np.nan, np.inf]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(FLOATS),
    st.booleans(),
)
def test_the_rule_is_that_of_arrays(row: list[float], dtype: torch.dtype, told: bool) -> None:
    scores = torch.tensor([row, row[::-1]], dtype=dtype)
    array, mask = scores.double().numpy(), torch.tensor(True) if told else None
    calls: list[Callable[[], NDArray[np.bool_]]] = [
        lambda: live_scores(scores, mask).numpy(),
        lambda: exaq.live_scores(array, None if mask is None else mask.numpy()),
    ]
    results, said = [], []
    for call in calls:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            results.append(call())
        said.append([str(warning.message) for warning in caught])
    np.testing.assert_array_equal(results[0], results[1])
    assert said[0] == said[1]
    np.testing.assert_array_equal(live_addends(scores).numpy(), exaq.live_addends(array))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "addend", [-torch.inf, torch.finfo(torch.float32).min, -65504.0, -1e9, -1e4, -100.0]
)
@pytest.mark.filterwarnings("ignore::exaq.MaskWarning")
def test_masks_inside_scores_leak_nothing(addend: float, dtype: torch.dtype) -> None:
    """4 live and 60 masked keys; also where a narrower type's lowest is seen as float32."""
    scores = torch.zeros(3, 64, dtype=dtype)
    scores[:, 4:] += addend
    for seen in (scores, scores.float()):
        probabilities = exaq.torch.softmax(seen, CONFIG)
        assert probabilities[:, 4:].count_nonzero() == 0
        assert (probabilities[:, :4] == 0.25).all()


def test_the_doubt_is_said_where_the_user_calls() -> None:
    with pytest.warns(exaq.MaskWarning, match=r"^2 scores, the highest -100, are more") as said:
        exaq.torch.softmax(torch.tensor([0.0, 1.0, -100.0, -101.0]), CONFIG)
    assert said[0].filename == __file__
    told = exaq.torch.softmax(torch.tensor([0.0, -100.0]), CONFIG, torch.tensor([True, True]))
    assert told[1] > 0


@pytest.mark.parametrize("dtype", FLOATS[:2])
def test_sinks_give_the_golden_bits(dtype: torch.dtype) -> None:
    config = exaq.SoftmaxConfig(bits=3, logit_width=12, logit_scale=0.01, prob_bits=20)
    rng = np.random.default_rng(4)
    real = rng.normal(0, 5, (4, 3, 7, 20))
    mask = rng.random(real.shape) < rng.choice([0, 0.3, 1], (4, 3, 7, 1))
    sink = rng.normal(0, 9, (3, 1))
    scores, sinks = (torch.tensor(x, dtype=dtype) for x in (real, sink))
    got = exaq.torch.softmax(scores, config, torch.tensor(mask), sink=sinks)
    expected = exaq.softmax(
        exaq.logits_to_integers(scores.numpy(), config),
        config,
        mask,
        sink=exaq.logits_to_integers(sinks.numpy(), config),
    )
    np.testing.assert_array_equal(
        got.double().numpy(), exaq.probabilities_to_float(expected, config)
    )
    steps = torch.tensor(rng.integers(-2048, 2048, (5, 9)))
    np.testing.assert_array_equal(
        exaq.torch.softmax(steps, config, sink=torch.arange(-2, 3)).double().numpy() * 2**20,
        exaq.softmax(steps.numpy(), config, sink=np.arange(-2, 3)),
    )


def test_sinks_go_with_contexts() -> None:
    tables = tuple(exaq.SoftmaxConfig(clip=clip).tables for clip in (-2.0, -6.0))
    config = exaq.SoftmaxConfig(contexts=2, context_tables=tables)
    steps = np.random.default_rng(1).integers(-90, 90, (2, 5, 12))
    sink = np.array([[10], [-30]])
    got = exaq.torch.softmax(
        torch.tensor(steps), config, contexts=torch.tensor([[0], [1]]), sink=torch.tensor(sink)
    )
    expected = exaq.softmax(steps, config, contexts=[[0], [1]], sink=sink)
    np.testing.assert_array_equal(got.double().numpy() * 2**16, expected)


@pytest.mark.parametrize(
    ("scores", "sink", "error", "message"),
    [
        (torch.zeros(2, 3), 1, TypeError, "sink must be of the logits' kind, torch.float32, not "),
        (torch.zeros(2, 3).int(), 1.0, TypeError, "sink must be of the logits' kind, torch.int32,"),
        (torch.zeros(2, 3), torch.nan, ValueError, "sink must be finite, not nan"),
        (torch.zeros(2, 3), -torch.inf, ValueError, "sink must be finite, not -inf"),
        (torch.zeros(2, 3).int(), 2**15, ValueError, "sink must be in -32768..32767, not 32768"),
        (
            torch.zeros(2, 3),
            torch.zeros(3),
            ValueError,
            "sink of shape (3,) must broadcast to the rows' shape, (2,)",
        ),
    ],
)
def test_refused_sinks(scores: Any, sink: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        exaq.torch.softmax(scores, CONFIG, sink=sink)
    assert str(caught.value).startswith(message)
