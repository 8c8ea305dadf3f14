"""Task figures against counts made by hand or by plain loops."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from exaq_eval.measures.scores import embedding_scores, loss_scores, spearman


def test_same_embeddings_score_best() -> None:
    exact = np.random.default_rng(0).normal(size=(5, 8))
    scores = embedding_scores(exact, 3 * exact, calibrated=5)
    assert scores == pytest.approx(
        {"cosine_mean": 1, "cosine_min": 1, "nearest_kept": 1, "spearman": 1}
    )


def test_embeddings_by_hand() -> None:
    # Texts on a circle, by degrees; the last moves across to the others.
    exact, given_degrees = [0, 11, 90, 102], [0, 11, 90, 40]
    scores = embedding_scores(_circle(exact), _circle(given_degrees), calibrated=2)
    cosines = [1, 1, 1, math.cos(math.radians(62))]
    assert scores["cosine_mean"] == pytest.approx(statistics.fmean(cosines))
    assert scores["cosine_min"] == pytest.approx(cosines[3])
    assert scores["held_out_cosine_mean"] == pytest.approx((cosines[2] + cosines[3]) / 2)
    assert scores["held_out_cosine_min"] == pytest.approx(cosines[3])
    # Nearest before: 1, 0, 3, 2; after: 1, 0, 3 (at 50 degrees), 1.
    assert scores["nearest_kept"] == 3 / 4
    assert scores["held_out_nearest_kept"] == 1 / 2
    # Angles of the pairs 01 02 03 12 13 23: from 11 90 102 79 91 12 to 11 90 40 79 29 50.
    before, after = [1, 4, 6, 3, 5, 2], [1, 6, 3, 5, 2, 4]
    assert scores["spearman"] == pytest.approx(statistics.correlation(before, after))


def test_without_held_out_texts_there_are_no_figures_of_them() -> None:
    exact = _circle([0, 10, 90])
    assert "held_out_cosine_mean" not in embedding_scores(exact, exact, calibrated=3)
    assert "held_out_cosine_mean" not in embedding_scores(exact, exact, calibrated=9)
    assert embedding_scores(exact, exact, calibrated=2)["held_out_cosine_min"] == pytest.approx(1)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=9))
def test_spearman_counts_smaller_and_equal_values(pairs: list[tuple[int, int]]) -> None:
    def ranks(values: list[int]) -> list[float]:
        return [
            sum(other < value for other in values) + (values.count(value) + 1) / 2
            for value in values
        ]

    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    if len(set(a)) == 1 or len(set(b)) == 1:
        expected = float(ranks(a) == ranks(b))
    else:
        expected = statistics.correlation(ranks(a), ranks(b))
    assert spearman(np.array(a), np.array(b)) == pytest.approx(expected, abs=1e-12)


def test_losses() -> None:
    scores = loss_scores(np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.25, 3.75]))
    assert scores["loss"] == pytest.approx(2.5)
    assert scores["perplexity"] == pytest.approx(math.exp(2.5))
    assert scores["increase"] == pytest.approx(0.5)
    assert scores["increase_error"] == pytest.approx(statistics.stdev([0.5, 0.25, 0.75]) / 3**0.5)
    alone = loss_scores(np.array([1.0]), np.array([3.0]))
    assert (alone["increase"], alone["increase_error"]) == (2, 0)


def test_order_of_texts_does_not_matter() -> None:
    generator = np.random.default_rng(1)
    exact = generator.normal(size=(4, 3))
    changed = exact + generator.normal(0, 0.4, size=exact.shape)
    first = embedding_scores(exact, changed, calibrated=4)
    for order in itertools.permutations(range(4)):
        again = embedding_scores(exact[list(order)], changed[list(order)], calibrated=4)
        assert again == pytest.approx(first)


def _circle(degrees: list[int]) -> NDArray[np.float64]:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)
