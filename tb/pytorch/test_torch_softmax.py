"""The softmax in PyTorch against the golden model on the same integer logits: every bit."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch_models import MODELS

import exaq
import exaq.torch

CONFIG = exaq.SoftmaxConfig(clip=-4.0)
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@st.composite
def free_tables(draw: st.DrawFn, bits: int, exp_frac: int, far: int) -> exaq.Tables:
    """Any thresholds in order, repeated and useless ones too, any exponentials."""
    levels, most = 2**bits, 2 ** (exp_frac + 1) - 1
    steps = draw(st.lists(st.integers(-far, 0), min_size=levels - 1, max_size=levels - 1))
    rom = draw(st.lists(st.integers(0, most), min_size=levels - 1, max_size=levels - 1))
    top = draw(st.integers(1, most))
    return exaq.Tables(thresholds=tuple(sorted(steps)), exp_rom=(*rom, top))


@st.composite
def configs(draw: st.DrawFn, contexts: st.SearchStrategy[int]) -> exaq.SoftmaxConfig:
    bits, exp_frac = draw(st.integers(2, 4)), draw(st.integers(4, 24))
    far = draw(st.sampled_from([4, 40, 300, 70_000, 2**26, 2**70]))
    scales: list[float | Fraction] = [1.0, 0.0625, 0.1, 2.0**-12, Fraction(1, 3)]
    common: dict[str, Any] = {
        "bits": bits,
        "exp_frac": exp_frac,
        "logit_width": draw(st.integers(4, 24)),
        "logit_scale": draw(st.sampled_from(scales)),
        "prob_bits": draw(st.integers(4, 24)),
    }
    count = draw(contexts)
    each = tuple(draw(free_tables(bits, exp_frac, far)) for _ in range(max(count, 1)))
    if count:
        return exaq.SoftmaxConfig(**common, contexts=count, context_tables=each)
    return exaq.SoftmaxConfig(**common, tables=each[0])


def drawn_rows(
    config: exaq.SoftmaxConfig, data: st.DataObject
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows (2, 3, 4, row) close together or wide apart, and a mask of any density."""
    low, high = config.logit_range
    length = data.draw(st.integers(1, 70), label="length")
    spread = data.draw(st.integers(1, high - low + 1), label="spread")
    start = data.draw(st.integers(low, high + 1 - spread), label="start")
    density = data.draw(st.sampled_from([0.0, 0.1, 0.9, 1.0]), label="density")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    shape = (2, 3, 4, length)
    return rng.integers(start, start + spread, shape), rng.random(shape) < density


def bits_of(probabilities: torch.Tensor, config: exaq.SoftmaxConfig) -> NDArray[np.float64]:
    """Probabilities in steps; not whole numbers where they are not exact."""
    return probabilities.double().numpy() * 2.0**config.prob_bits


@settings(max_examples=120)
@given(config=configs(st.just(0)), data=st.data())
def test_integers_give_the_bits_of_the_golden_model(
    config: exaq.SoftmaxConfig, data: st.DataObject
) -> None:
    logits, mask = drawn_rows(config, data)
    for live in (None, mask):
        flags = None if live is None else torch.from_numpy(live)
        got = exaq.torch.softmax(torch.from_numpy(logits), config, flags)
        assert got.dtype == torch.float32
        np.testing.assert_array_equal(bits_of(got, config), exaq.softmax(logits, config, live))


@settings(max_examples=80)
@given(config=configs(st.integers(1, 5)), data=st.data())
def test_contexts_choose_tables_by_row(config: exaq.SoftmaxConfig, data: st.DataObject) -> None:
    logits, mask = drawn_rows(config, data)
    shape = data.draw(st.sampled_from([(2, 3, 4), (3, 1), (4,), ()]), label="shape")
    numbers = np.random.default_rng(3).integers(0, config.contexts, shape)
    got = exaq.torch.softmax(
        torch.from_numpy(logits), config, torch.from_numpy(mask), torch.from_numpy(numbers)
    )
    np.testing.assert_array_equal(bits_of(got, config), exaq.softmax(logits, config, mask, numbers))


@settings(max_examples=80)
@given(config=configs(st.just(0)), dtype=st.sampled_from(FLOATS), data=st.data())
def test_real_scores_are_rounded_as_by_logits_to_integers(
    config: exaq.SoftmaxConfig, dtype: torch.dtype, data: st.DataObject
) -> None:
    logits, mask = drawn_rows(config, data)
    halves = np.random.default_rng(4).integers(0, 4, logits.shape) / 4
    scores = torch.from_numpy((logits + halves) * float(config.logit_scale)).to(dtype)
    scores = scores.clamp(-1e4, 1e4)
    got = exaq.torch.softmax(scores, config, torch.from_numpy(mask))
    real = scores.double().numpy()
    integers = exaq.logits_to_integers(real, config)
    mask = mask & (real > -4096)  # as low as that, a score is masked whatever a mask says
    want = exaq.probabilities_to_float(exaq.softmax(integers, config, mask), config)
    assert got.dtype == dtype
    torch.testing.assert_close(got, torch.from_numpy(want).to(dtype), rtol=0, atol=0)


def test_ties_between_steps_go_to_the_even_one() -> None:
    config = exaq.SoftmaxConfig(
        logit_scale=0.5, tables=exaq.Tables(thresholds=(-3, -2, -1), exp_rom=(1, 2, 4, 8))
    )
    # -0.25 and -0.75 are half-way: steps 0 (even) and -2 (even), codes 3 and 2.
    got = exaq.torch.softmax(torch.tensor([0.0, -0.25, -0.75]), config)
    np.testing.assert_array_equal(bits_of(got, config), [26214, 26214, 13107])


@pytest.mark.parametrize("dtype", FLOATS)
def test_lowest_scores_are_masked(dtype: torch.dtype) -> None:
    lowest = torch.finfo(dtype).min
    row = torch.tensor([1.0, -torch.inf, 0.5, lowest, lowest / 1.9, -3.0], dtype=dtype)
    live = torch.tensor([True, False, True, False, False, True])
    filled = torch.where(live, row, torch.tensor(0.0, dtype=dtype))
    got = exaq.torch.softmax(row, CONFIG)
    assert torch.equal(got, exaq.torch.softmax(filled, CONFIG, live))
    assert (got > 0).tolist() == live.tolist()


def test_rows_without_a_live_element_are_zeros() -> None:
    rows = torch.tensor([[0.0, 1.0], [-torch.inf, -torch.inf], [2.0, 3.0]])
    got = exaq.torch.softmax(rows, CONFIG, torch.tensor([[True], [True], [False]]))
    assert got[1:].count_nonzero() == 0
    assert got[0].sum() > 0.9
    assert exaq.torch.softmax(torch.full((2, 3), torch.finfo().min), CONFIG).count_nonzero() == 0


def test_masked_scores_may_be_anything() -> None:
    row = torch.tensor([0.0, torch.nan, torch.inf, -1.0])
    live = torch.tensor([True, False, False, True])
    got = exaq.torch.softmax(row, CONFIG, live)
    assert torch.equal(got[live], exaq.torch.softmax(row[live], CONFIG))


def test_rows_may_be_longer_than_those_of_the_unit() -> None:
    config = exaq.SoftmaxConfig(max_row=4, prob_bits=24)
    got = exaq.torch.softmax(torch.zeros(3, 1000), config)
    np.testing.assert_array_equal(bits_of(got, config), np.full((3, 1000), 16777))


def test_no_rows_give_no_probabilities() -> None:
    assert exaq.torch.softmax(torch.zeros(0, 5), CONFIG).shape == (0, 5)


def test_gradient_does_not_flow() -> None:
    assert not exaq.torch.softmax(torch.zeros(3, requires_grad=True), CONFIG).requires_grad


def two_sets() -> exaq.TableFile:
    each = [
        exaq.TableSet(
            name=name,
            tables=exaq.Tables.from_clip(clip, bits=2, logit_scale=0.0625, exp_frac=13),
        )
        for name, clip in (("near", -2.0), ("far", -6.0))
    ]
    return exaq.TableFile(bits=2, logit_width=8, logit_scale=0.0625, exp_frac=13, sets=tuple(each))


def test_file_stands_for_its_configuration() -> None:
    scores = torch.from_numpy(np.random.default_rng(8).normal(0, 2, (2, 50)))
    file = two_sets()
    got = exaq.torch.softmax(scores, file, contexts=[1, 0])
    for row, name in enumerate(("far", "near")):
        assert torch.equal(got[row], exaq.torch.softmax(scores[row], file.config(name)))
    one = exaq.TableFile(**{**vars(file), "sets": file.sets[:1]})
    assert torch.equal(exaq.torch.softmax(scores, one), exaq.torch.softmax(scores, one.config()))
    assert torch.equal(exaq.torch.softmax(scores, one, contexts=0), exaq.torch.softmax(scores, one))


def message(error: type[Exception], scores: Any, tables: Any = CONFIG, **others: Any) -> str:
    with pytest.raises(error) as caught:
        exaq.torch.softmax(scores, tables, **others)
    return str(caught.value)


def test_refusals() -> None:
    row = torch.zeros(2, 3)
    contexts = CONFIG.replace(contexts=4)
    assert message(ValueError, torch.tensor(1.0)) == "logits must have at least one axis, the row"
    assert message(ValueError, torch.zeros(2, 0)) == "a row must have at least 1 element, not 0"
    for wrong in ("nan", "inf"):
        assert message(ValueError, torch.tensor([0.0, float(wrong)])) == (
            f"logits must be finite, not {wrong}; use a mask to leave elements out"
        )
    for wrong_integer in (-129, 128):
        assert message(ValueError, torch.tensor([0, wrong_integer])) == (
            f"logits of 8 bits must be in -128..127, not {wrong_integer}"
        )
    assert message(TypeError, row == 0) == "logits must be real numbers or integers, not torch.bool"
    assert message(TypeError, row, mask=row) == "mask must be boolean, not torch.float32"
    assert message(ValueError, row, mask=torch.ones(2, dtype=torch.bool)) == (
        "mask of shape (2,) does not fit the shape (2, 3)"
    )
    assert message(TypeError, row, {"bits": 2}) == (
        "tables must be a SoftmaxConfig or a TableFile, not {'bits': 2}"
    )
    assert message(ValueError, row, two_sets()) == (
        "a file of 2 sets of tables needs contexts; or choose a set by its config(name)"
    )
    assert message(ValueError, row, contexts=0) == (
        "a configuration without contexts takes no contexts"
    )
    assert message(TypeError, row, contexts, contexts=[0.0, 1.0]) == (
        "contexts must be integers, not torch.float32"
    )
    assert message(ValueError, row, contexts, contexts=[0, 1, 2]) == (
        "contexts of shape (3,) must broadcast to the rows' shape, (2,)"
    )
    for wrong_context in (-1, 4):
        assert message(ValueError, row, contexts, contexts=wrong_context) == (
            f"contexts must be in 0..3, not {wrong_context}"
        )


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_floating_point_formats_are_refused_by_name(name: str) -> None:
    config = exaq.SoftmaxConfig(logit_format=name)
    message = "exaq.torch computes with integer logits: logit_format must be integer, not " + name
    with pytest.raises(ValueError, match=rf"\A{re.escape(message)}\Z"):
        exaq.torch.softmax(torch.zeros(2, 3), config)
    with pytest.raises(ValueError, match=rf"\A{re.escape(message)}\Z"):
        exaq.torch.set_tables(MODELS["bert"](), config)
