"""Sinks and lengths: elements without an output, and rows that end early, against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest

import exaq


def config_of(bits: int, **fields: Any) -> exaq.SoftmaxConfig:
    return exaq.SoftmaxConfig(bits=bits, clip=-4.0, logit_width=8, **fields)


def with_sink(
    logits: list[int], live: list[bool], sink: int, config: exaq.SoftmaxConfig
) -> tuple[list[int], list[int]]:
    """Codes and probabilities of a row whose last element, always live, is the sink."""
    row, alive = [*logits, sink], [*live, True]
    return oracle.code_row(row, alive, config)[:-1], oracle.softmax_row(row, alive, config)[:-1]


@pytest.mark.parametrize("bits", range(2, 7))
def test_a_sink_is_an_element_without_an_output(bits: int) -> None:
    """Sinks far above, within and far below; rows of any density, those without a live one too."""
    config = config_of(bits)
    rng = np.random.default_rng(bits)
    logits = rng.integers(-128, 128, (120, 33))
    mask = rng.random(logits.shape) < rng.choice([0, 0.05, 0.5, 1], (120, 1))
    sink = rng.choice([-128, -90, 0, 60, 127], 120) + 0
    for live in (None, mask):
        codes = exaq.quantize(logits, config, live, sink=sink)
        probabilities = exaq.softmax(logits, config, live, sink=sink)
        for row in range(len(logits)):
            flags = [True] * 33 if live is None else live[row].tolist()
            expected = with_sink(logits[row].tolist(), flags, int(sink[row]), config)
            assert (codes[row].tolist(), probabilities[row].tolist()) == expected


def test_every_pair_of_a_logit_and_a_sink() -> None:
    config = config_of(2, prob_bits=12)
    values = np.arange(-128, 128)
    logits, sink = np.repeat(values, 256)[:, None], np.tile(values, 256)
    got = exaq.softmax(logits, config, sink=sink)
    expected = exaq.softmax(np.stack([logits[:, 0], sink], axis=1), config)
    np.testing.assert_array_equal(got[:, 0], expected[:, 0])


def test_a_row_of_masked_elements_has_the_sink_alone() -> None:
    config = config_of(2)
    assert exaq.softmax([[5, 6]], config, [False, False], sink=3).tolist() == [[0, 0]]
    assert config.tables.exp_rom[0] == 150
    total = 8192 + 150
    # One element as high as the sink shares with it; one far above has nearly all; far below, 150.
    for logit, sink, share in ((3, 3, 0.5), (127, -128, 8192 / total), (-128, 127, 150 / total)):
        assert exaq.softmax([[logit]], config, sink=sink).tolist() == [[round(share * 2**16)]]


def test_sinks_broadcast_and_go_with_contexts() -> None:
    """A sink of each head beside tables of each head."""
    tables = tuple(exaq.SoftmaxConfig(clip=clip).tables for clip in (-2.0, -6.0))
    config = exaq.SoftmaxConfig(contexts=2, context_tables=tables)
    rng = np.random.default_rng(8)
    logits = rng.integers(-60, 60, (3, 2, 5, 17))
    mask = rng.random(logits.shape) < 0.8
    sink = np.array([[-20], [35]])
    got = exaq.softmax(logits, config, mask, [[0], [1]], sink=sink)
    for head in range(2):
        alone = exaq.SoftmaxConfig(tables=tables[head])
        joined = np.concatenate([logits[:, head], np.full((3, 5, 1), sink[head, 0])], axis=-1)
        live = np.concatenate([mask[:, head], np.ones((3, 5, 1), bool)], axis=-1)
        np.testing.assert_array_equal(got[:, head], exaq.softmax(joined, alone, live)[..., :-1])


@pytest.mark.parametrize("width", [4, 8, 9, 16, 17, 24])
def test_sinks_of_every_width_reach_both_ends(width: int) -> None:
    config = exaq.SoftmaxConfig(logit_width=width, logit_scale=2.0**-width)
    low, high = config.logit_range
    for sink in (low, -1, 0, high):
        for live in (None, [True, True, False]):
            got = exaq.softmax([[low, high, 0]], config, live, sink=sink).tolist()
            flags = [True, True, live is None]
            assert got == [with_sink([low, high, 0], flags, sink, config)[1]]


def test_lengths_end_rows() -> None:
    config = config_of(3)
    rng = np.random.default_rng(2)
    logits = rng.integers(-128, 128, (4, 9))
    lengths = [1, 9, 4, 8]
    got = exaq.softmax(logits, config, lengths=lengths)
    np.testing.assert_array_equal(got, exaq.softmax(logits, config, exaq.length_mask(lengths, 9)))
    mask = rng.random(logits.shape) < 0.5
    both = mask & exaq.length_mask(lengths, 9)
    np.testing.assert_array_equal(
        exaq.softmax(logits, config, mask, lengths=lengths, sink=7),
        exaq.softmax(logits, config, both, sink=7),
    )
    # Room beyond a short row does not count towards the longest legal one.
    small = config_of(2, max_row=8)
    assert exaq.softmax(np.zeros((1, 9), int), small, lengths=8)[0, -1] == 0


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"sink": 128}, ValueError, "sink must be in -128..127, not 128"),
        ({"sink": [[-129], [0]]}, ValueError, "sink must be in -128..127, not -129"),
        ({"sink": 0.5}, TypeError, "sink must be integers, not float64"),
        ({"sink": True}, TypeError, "sink must be integers, not bool"),
        (
            {"sink": [1, 2]},
            ValueError,
            "sink of shape (2,) must broadcast to the rows' shape, (2, 3)",
        ),
        ({"lengths": 0}, ValueError, "lengths must be in 1..4, not 0"),
        ({"lengths": 5}, ValueError, "lengths must be in 1..4, not 5"),
        (
            {"lengths": [1, 2]},
            ValueError,
            "lengths of shape (2,) must broadcast to the rows' shape, (2, 3)",
        ),
    ],
)
def test_refusals(fields: dict[str, Any], error: type[Exception], message: str) -> None:
    for function in (exaq.softmax, exaq.quantize):
        with pytest.raises(error) as caught:
            function(np.zeros((2, 3, 4), int), config_of(2), **fields)
        assert str(caught.value) == message
