"""Figures of the attention against plain sums, and the unit's softmax against the golden model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig, TableFile, Tables, TableSet, reference
from exaq_eval.measures import attention
from exaq_eval.measures.attention import Comparison, Sharpness, rounded_softmax, unit_softmax
from exaq_eval.settings import LogitFormat

HEADS = 3


def causal(rows: int, seed: int = 0) -> NDArray[np.float32]:
    logits = np.random.default_rng(seed).normal(0, 3, (HEADS, rows, rows)).astype(np.float32)
    live = np.tril(np.ones((rows, rows), bool))
    return np.where(live, logits, -np.inf).astype(np.float32)


def tables(clip: int, head: int) -> TableSet:
    return TableSet(
        name=f"h{head}",
        head=head,
        tables=Tables.from_clip(clip, bits=2, logit_scale=2**-8, exp_frac=13),
    )


@pytest.fixture
def per_head() -> TableFile:
    return TableFile(
        bits=2,
        logit_width=16,
        logit_scale=2**-8,
        exp_frac=13,
        sets=tuple(tables(-2 - head, head) for head in range(HEADS)),
    )


def test_unit_softmax_takes_each_heads_tables(per_head: TableFile) -> None:
    logits = causal(5)
    given = unit_softmax(per_head, prob_bits=12)(0, logits)
    assert given.shape == logits.shape
    for head in range(HEADS):
        config = SoftmaxConfig(
            logit_width=16, logit_scale=2**-8, prob_bits=12, tables=per_head.sets[head].tables
        )
        live = np.isfinite(logits[head])
        integers = np.rint(np.where(live, logits[head], 0) * 256).astype(int)
        expected = exaq.softmax(integers, config, live) / 4096
        np.testing.assert_array_equal(given[head], expected)


def test_rounded_softmax_has_the_formats_error_alone() -> None:
    logits = causal(6).astype(np.float64)
    for scale in (2**-8, 0.5):
        given = rounded_softmax(LogitFormat(logit_scale=scale))(0, logits)
        steps = np.where(np.isfinite(logits), np.rint(logits / scale) * scale, -np.inf)
        weights = np.exp(steps - steps.max(axis=-1, keepdims=True))
        np.testing.assert_allclose(given, weights / weights.sum(axis=-1, keepdims=True))
    # Two bits of logits saturate at -8 and 7 steps.
    narrow = rounded_softmax(LogitFormat(logit_width=4, logit_scale=1.0))
    saturated = narrow(0, np.array([[[20.0, 9.0, -50.0]]], np.float32))
    weights = np.exp([7, 7, -8])
    np.testing.assert_allclose(saturated[0, 0], weights / weights.sum())


def test_figures_are_means_over_all_rows(per_head: TableFile) -> None:
    softmax = unit_softmax(per_head, prob_bits=16)
    comparison = Comparison({"unit": softmax}, layers=2, floor=2**-17)
    blocks = [(0, causal(4, 1)), (1, causal(7, 2)), (0, causal(2, 3)), (1, causal(3, 4))]
    divergences: dict[int, list[float]] = {0: [], 1: []}
    errors, hits, sums = [], [], []
    for layer, logits in blocks:
        comparison.add(layer, logits)
        given = softmax(layer, logits)
        for head in range(HEADS):
            for row in range(logits.shape[1]):
                x, q = logits[head, row, : row + 1].astype(float), given[head, row, : row + 1]
                p = [math.exp(v - x.max()) for v in x]
                p = [v / sum(p) for v in p]
                floored = [max(v, 2**-17) for v in q]
                divergences[layer].append(
                    sum(
                        a * math.log(a / (b / sum(floored)))
                        for a, b in zip(p, floored, strict=True)
                    )
                )
                errors.append(sum((a - b) ** 2 for a, b in zip(p, q, strict=True)))
                ties = [i for i, v in enumerate(q) if v == max(q)]
                hits.append((p.index(max(p)) in ties) / len(ties))
                sums.append(sum(q))
    result = comparison.to_dict("unit")
    everything = divergences[0] + divergences[1]
    assert result["rows"] == len(everything) == HEADS * 16
    assert result["kl"] == pytest.approx(np.mean(everything))
    assert result["kl_of_layers"] == pytest.approx([np.mean(divergences[k]) for k in (0, 1)])
    assert result["squared_error"] == pytest.approx(np.mean(errors))
    assert result["top1"] == pytest.approx(np.mean(hits))
    assert result["row_sum"] == pytest.approx(
        {"min": min(sums), "mean": np.mean(sums), "max": max(sums)}
    )


def test_rows_without_a_live_element_do_not_count(per_head: TableFile) -> None:
    logits = causal(4)
    comparison = Comparison({"unit": unit_softmax(per_head, 16)}, layers=1, floor=2**-17)
    comparison.add(0, logits)
    alone = comparison.to_dict("unit")
    dead = np.full((HEADS, 2, 4), -np.inf, np.float32)
    comparison.add(0, dead)
    assert comparison.to_dict("unit") == alone
    comparison.add(0, np.concatenate([dead, logits], axis=1))
    doubled = comparison.to_dict("unit")
    assert doubled["rows"] == 2 * alone["rows"]
    for name in ("kl", "squared_error", "top1"):
        assert doubled[name] == pytest.approx(alone[name])


def test_of_many_rows_some_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MOST_ROWS", 2)
    logits = np.random.default_rng(4).normal(size=(3, 5, 5)).astype(np.float32)
    seen = []

    def softmax(layer: int, given: attention.Array) -> attention.Array:
        seen.append(given)
        return reference.softmax(given) + np.arange(5)[:, None] / 100

    whole = Comparison({"x": softmax}, layers=1, floor=1e-9)
    whole.add(0, logits)
    # The softmax gets the whole call; rows 0 and 3 are compared.
    np.testing.assert_array_equal(seen[0], logits)
    figures = whole.to_dict("x")
    assert figures["rows"] == 6
    assert figures["squared_error"] == pytest.approx(5 * 0.03**2 / 2)


def test_sharpness_is_a_mean_over_live_rows() -> None:
    far = -2000.0
    rows = np.array([[0.0, far, far], [1.0, 1.0, -np.inf], [-np.inf] * 3, [2.0, 2.0, 2.0]])
    sharpness = Sharpness()
    sharpness.add(rows[None, :1])
    sharpness.add(rows[None, 1:])
    assert sharpness.to_dict() == pytest.approx(
        {
            "rows": 3,
            "largest_probability": (1 + 1 / 2 + 1 / 3) / 3,
            "entropy": (0 + math.log(2) + math.log(3)) / 3,
        }
    )
