"""The rows of a proof: every corner is there, and they are the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from exaq import PRESETS, SoftmaxConfig
from exaq.data import load_attention_sample
from exaq_fpga.prove.proof_rows import ProofRows, proof_rows

CONFIGS = {
    "default": SoftmaxConfig(**PRESETS["2bit-x4"]),
    "one lane": SoftmaxConfig(bits=2, lanes=1, max_row=64),
    "narrow": SoftmaxConfig(bits=2, lanes=2, max_row=32, logit_width=5),
    "wide": SoftmaxConfig(bits=3, lanes=4, max_row=256, logit_width=20, logit_scale=2**-12),
    "short": SoftmaxConfig(bits=2, lanes=4, max_row=8),
    "no masks": SoftmaxConfig(bits=2, lanes=4, max_row=128, masking=False),
    "contexts": SoftmaxConfig(bits=2, lanes=4, max_row=128, contexts=5),
}


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest) -> SoftmaxConfig:
    return CONFIGS[request.param]


def split(rows: ProofRows) -> list[tuple[list[int], list[bool]]]:
    return [
        (row[:length].tolist(), live[:length].tolist())
        for row, live, length in zip(rows.logits, rows.mask, rows.lengths.tolist(), strict=True)
    ]


def test_corners_are_always_there(config: SoftmaxConfig) -> None:
    rows = split(proof_rows(config, 0))
    lengths = {len(logits) for logits, _ in rows}
    low, high = config.logit_range
    assert set(range(1, min(3 * config.lanes, config.max_row) + 1)) <= lengths
    assert max(lengths) == config.max_row
    for value in (low, high):
        assert any(set(logits) == {value} and len(logits) > 1 for logits, _ in rows)
    if config.masking:
        assert any(not any(live) for _, live in rows)
        assert any(sum(live) == 1 and len(live) > 1 for _, live in rows)
        assert any(len(live) == config.max_row and 0 < sum(live) < len(live) for _, live in rows)
    else:
        assert all(all(live) for _, live in rows)


def test_rows_are_what_the_unit_takes(config: SoftmaxConfig) -> None:
    rows = proof_rows(config, 20_000)
    low, high = config.logit_range
    assert rows.logits.shape == rows.mask.shape == (len(rows.lengths), config.max_row)
    assert 1 <= rows.lengths.min() <= rows.lengths.max() <= config.max_row
    assert rows.logits.min() == low
    assert rows.logits.max() == high
    beyond = np.arange(config.max_row) >= rows.lengths[:, None]
    assert not rows.logits[beyond].any()
    assert not rows.mask[beyond].any()
    assert 20_000 <= rows.elements == rows.lengths.sum() < 20_000 + 2 * config.max_row
    if config.contexts:
        assert rows.contexts is not None
        assert set(rows.contexts.tolist()) == set(range(config.contexts))
    else:
        assert rows.contexts is None


def test_rows_are_the_same_every_time(config: SoftmaxConfig) -> None:
    first, second = proof_rows(config, 10_000), proof_rows(config, 10_000)
    assert split(first) == split(second)
    fewer = split(proof_rows(config, 5_000))
    assert split(first)[: len(fewer)] == fewer


def test_real_rows_are_among_them() -> None:
    sample = load_attention_sample()
    real = {row.tobytes() for row in sample.logits.reshape(-1, sample.logits.shape[-1])}
    rows = proof_rows(CONFIGS["default"], 60_000)
    whole = [row[:128].astype(np.int8).tobytes() for row in rows.logits[rows.lengths == 128]]
    assert sum(row in real for row in whole) > 50


def test_first_rows_stay_what_they_are() -> None:
    rows = proof_rows(CONFIGS["contexts"], 0)
    few = rows.first(5)
    assert split(few) == split(rows)[:5]
    assert few.logits.shape == (5, 5)
    assert few.contexts is not None
    assert rows.contexts is not None
    assert few.contexts.tolist() == rows.contexts[:5].tolist()
