"""Scales, tables and errors of the logits that the search measures units on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exaq
from exaq import SoftmaxConfig
from exaq_explore import Gaussian, Model, Space
from exaq_explore.logits import tables_of

LOGITS = Gaussian(sigma=2.0, row=48)


def divergence(config: SoftmaxConfig, logits: Gaussian = LOGITS) -> float:
    """Mean KL in nats from the float softmax of unrounded rows, by its formula."""
    rows = np.random.default_rng((logits.seed, logits.row, 0)).normal(
        0, logits.sigma, (200_000 // logits.row, logits.row)
    )
    exact = np.exp(rows - rows.max(axis=-1, keepdims=True))
    exact /= exact.sum(axis=-1, keepdims=True)
    given = exaq.softmax(exaq.logits_to_integers(rows, config), config) / 2.0**config.prob_bits
    given = np.maximum(given, 2.0**-config.prob_bits / 2)
    given /= given.sum(axis=-1, keepdims=True)
    return float((exact * np.log(exact / given)).sum(axis=-1).mean())


def test_errors_are_divergences() -> None:
    config = SoftmaxConfig(kernel="multiply", logit_scale=LOGITS.scale(8), max_row=48)
    assert LOGITS.error(config.to_dict())["kl"] == pytest.approx(divergence(config), rel=1e-9)


@pytest.mark.parametrize(("width", "scale"), [(8, 0.125), (6, 0.5), (12, 2.0**-7)])
def test_scales_reach_five_sigma(width: int, scale: float) -> None:
    assert LOGITS.scale(width) == scale
    most = 2 ** (width - 1) - 1
    assert scale / 2 * most < 5 * LOGITS.sigma <= scale * most


def test_calibrated_tables_are_better_than_the_papers() -> None:
    scale = LOGITS.scale(8)
    tables = tables_of(LOGITS.tables(3, 8, scale))
    own = SoftmaxConfig(bits=3, logit_scale=scale, tables=tables)
    paper = SoftmaxConfig(bits=3, logit_scale=scale, clip=exaq.paper_clip(2.0, 3))
    errors = [LOGITS.error(each.to_dict())["kl"] for each in (own, paper)]
    assert errors[0] < errors[1] / 1.3


def test_codes_are_measured_as_what_they_stand_for() -> None:
    """Those of exaq, as probabilities with next to no rounding; of baps, put together."""
    scale = LOGITS.scale(8)
    codes = SoftmaxConfig(logit_scale=scale, output="codes", row_results="sum")
    fine = SoftmaxConfig(logit_scale=scale, prob_bits=24)
    assert LOGITS.error(codes.to_dict()) == LOGITS.error(fine.to_dict())
    baps = SoftmaxConfig(kernel="baps", logit_scale=scale)
    of_baps = {"codes": baps.replace(output="codes", row_results="sum"), "probabilities": baps}
    kl = {name: LOGITS.error(each.to_dict())["kl"] for name, each in of_baps.items()}
    assert kl["codes"] == pytest.approx(kl["probabilities"], rel=0.2)
    assert kl["codes"] != kl["probabilities"]


@pytest.fixture
def minilm(monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr("exaq_explore.logits._CALIBRATION", 1)
    return Model.of("minilm", texts=2)


def test_a_models_error_is_how_far_embeddings_turn(minilm: Model) -> None:
    scale = minilm.scale(8)
    assert 2.0**-12 <= scale <= 4
    tables = minilm.tables(2, 8, scale)
    (few,) = Space(kernels=("exaq",), choices={"bits": (2,), "lanes": (4,)}, max_row=64).units()
    (fine,) = Space(
        kernels=("multiply",), choices={"exponential": ("split",), "lanes": (4,)}, max_row=64
    ).units()
    errors = [
        minilm.error(config.to_dict())
        for config in (
            few.config(logit_scale=scale, tables=tables_of(tables)),
            fine.config(logit_scale=scale),
        )
    ]
    for error in errors:
        assert error["error"] == 1 - error["cosine"]
    assert 1e-3 < errors[0]["error"] < 0.2
    assert 0 < errors[1]["error"] < errors[0]["error"] / 10


def test_a_folder_is_known_by_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Task:
        kind = "encoder"

    class Loaded:
        task = Task()

    monkeypatch.setattr("exaq_explore.logits._load", lambda *given: Loaded())
    (tmp_path / "config.json").write_text("{}")
    first = Model.of(str(tmp_path))
    assert Model.of(str(tmp_path)) == first
    (tmp_path / "config.json").write_text("{ }")
    assert Model.of(str(tmp_path)) != first

    Task.kind = "decoder"
    with pytest.raises(ValueError, match="gives no embeddings"):
        Model.of(str(tmp_path))


def test_what_they_are_is_told_in_plain_values() -> None:
    told: dict[str, Any] = Gaussian(sigma=1.5, row=8).to_dict()
    assert told == {"kind": "gaussian", "sigma": 1.5, "row": 8, "seed": 1}
