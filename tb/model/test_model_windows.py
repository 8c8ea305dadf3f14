"""Windows and mask values in the golden model, and what a unit of each kind is given for them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from oracle import code_row, softmax_row

import exaq
from exaq import SoftmaxConfig, StreamFormat
from exaq.rows import Rows

CONFIG = SoftmaxConfig(lanes=2, max_row=12, logit_width=5, logit_scale=0.5)
LOWEST = CONFIG.replace(mask_value="lowest")


def refuses(kind: type[Exception], message: str, call: Callable[[], object]) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize("span", [None, 1, 2, 3, 8])
def test_causal_windows_are_the_masks_of_causal_attention(span: int | None) -> None:
    for queries, keys in itertools.product(range(1, 8), repeat=2):
        starts, stops = exaq.causal_windows(queries, keys, span=span)
        assert starts.dtype == stops.dtype == np.int32
        assert starts.shape == stops.shape == (queries,)
        assert starts.min() >= 0
        assert 0 <= stops.min() <= stops.max() <= keys
        for query in range(queries):
            own = query + keys - queries
            seen = {key for key in range(keys) if key <= own and (span is None or own - key < span)}
            assert seen == set(range(starts[query], stops[query])), (queries, keys, query)
    # As many queries as keys: PyTorch's is_causal.
    starts, stops = exaq.causal_windows(5, 5)
    mask = np.arange(5) < stops[:, None]
    assert (mask == np.tril(np.ones((5, 5), bool))).all()
    assert not starts.any()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        ((0, 3, None), ValueError, "queries must be at least 1, not 0"),
        ((3, 0, None), ValueError, "keys must be at least 1, not 0"),
        ((3, 3, 0), ValueError, "span must be at least 1, not 0"),
        ((3.0, 3, None), TypeError, "queries must be an integer, not 3.0"),
        ((3, True, None), TypeError, "keys must be an integer, not True"),
        ((3, 3, "2"), TypeError, "span must be an integer, not '2'"),
    ],
)
def test_causal_windows_refuse(call: tuple[Any, ...], kind: type[Exception], message: str) -> None:
    queries, keys, span = call
    refuses(kind, message, lambda: exaq.causal_windows(queries, keys, span=span))


@pytest.mark.parametrize("config", [CONFIG, LOWEST], ids=["plain", "lowest"])
def test_every_window_of_a_row(config: SoftmaxConfig) -> None:
    """With every length: element by element what the oracle makes of the same live elements."""
    rng = np.random.default_rng(2)
    row = 7
    low, high = config.logit_range
    starts, stops, lengths = np.array(
        list(itertools.product(range(row + 1), range(row + 1), range(1, row + 1)))
    ).T
    logits = rng.integers(low, high + 1, (len(starts), row))
    logits[rng.random(logits.shape) < 0.3] = low
    options: dict[str, Any] = {"lengths": lengths, "window": (starts, stops)}
    probabilities = exaq.softmax(logits, config, **options)
    codes = exaq.quantize(logits, config, **options)
    for k, given in enumerate(logits.tolist()):
        live = [
            starts[k] <= place < stops[k]
            and place < lengths[k]
            and not (config is LOWEST and logit == low)
            for place, logit in enumerate(given)
        ]
        assert probabilities[k].tolist() == softmax_row(given, live, config), k
        assert codes[k].tolist() == code_row(given, live, config), k


def test_windows_broadcast_and_join_masks() -> None:
    rng = np.random.default_rng(3)
    logits = rng.integers(-16, 16, (2, 3, 4, 6))
    mask = rng.random(logits.shape) < 0.7
    starts, stops = np.array([[0], [1], [2]]), np.array([6, 0, 4, 5])
    got = exaq.softmax(logits, CONFIG, mask, window=(starts, stops))
    for place in np.ndindex(2, 3, 4):
        inside = [int(starts[place[1], 0]) <= k < int(stops[place[2]]) for k in range(6)]
        live = [a and bool(b) for a, b in zip(inside, mask[place], strict=True)]
        assert got[place].tolist() == softmax_row(logits[place].tolist(), live, CONFIG)
    whole = exaq.softmax(logits, CONFIG, mask)
    assert (exaq.softmax(logits, CONFIG, mask, window=(0, 6)) == whole).all()
    assert (exaq.softmax(logits, CONFIG, mask) == whole).all()


@pytest.mark.parametrize(
    ("window", "kind", "message"),
    [
        ([0, 2], TypeError, "window must be a tuple of starts and stops, not [0, 2]"),
        ((0, 2, 3), TypeError, "window must be a tuple of starts and stops, not (0, 2, 3)"),
        ((0.0, 2), TypeError, "starts of windows must be integers, not float64"),
        ((0, [True, False]), TypeError, "stops of windows must be integers, not bool"),
        ((-1, 2), ValueError, "starts of windows must be in 0..3, not -1"),
        ((0, 4), ValueError, "stops of windows must be in 0..3, not 4"),
        (
            ([0, 0, 0], 2),
            ValueError,
            "starts of windows of shape (3,) must broadcast to the rows' shape, (2,)",
        ),
        (
            (0, [[1, 2]] * 3),
            ValueError,
            "stops of windows of shape (3, 2) must broadcast to the rows' shape, (2,)",
        ),
        (
            (0, np.ma.MaskedArray([1, 2], [True, False])),
            TypeError,
            "stops of windows must be a plain array, not a numpy.ma.MaskedArray",
        ),
    ],
)
def test_windows_refused(window: Any, kind: type[Exception], message: str) -> None:
    logits = np.zeros((2, 3), np.int8)
    for function in (exaq.softmax, exaq.quantize, exaq.row_results):
        refuses(kind, message, partial(function, logits, CONFIG, window=window))


def test_mask_value_is_legal_for_integers_only() -> None:
    assert StreamFormat(mask_value="lowest").live_range == (-127, 127)
    assert StreamFormat(mask_value="lowest").masked_logit == -128
    assert StreamFormat(logit_width=4).live_range == (-8, 7)
    assert StreamFormat(logit_width=4).masked_logit is None
    refuses(
        ValueError,
        "mask_value must be none or lowest, not 'highest'",
        lambda: StreamFormat(mask_value="highest"),
    )
    refuses(
        ValueError,
        "mask_value must be none with logit_format bf16, whose -inf means masked, not lowest",
        lambda: StreamFormat(mask_value="lowest", logit_format="bf16"),
    )
    one: Any = 1
    refuses(TypeError, "window must be True or False, not 1", lambda: StreamFormat(window=one))


def test_a_sink_is_no_mask_value() -> None:
    message = "sink must be in -15..15, not -16"
    refuses(ValueError, message, lambda: LOWEST.replace(sink=-16))
    refuses(ValueError, message, lambda: exaq.softmax([1, 2], LOWEST, sink=-16))
    assert CONFIG.replace(sink=-16).sink == -16
    together = softmax_row([1, 2, -15], None, CONFIG)
    assert exaq.softmax([1, 2], LOWEST, sink=-15).tolist() == together[:2]


def test_real_logits_never_become_the_mask_value() -> None:
    real = np.array([-1e9, -8.2, -7.9, -7.4, 0.2, 1e9])
    assert exaq.logits_to_integers(real, CONFIG).tolist() == [-16, -16, -16, -15, 0, 15]
    for function in (exaq.logits_to_integers, exaq.round_logits):
        assert function(real, LOWEST).tolist() == [-15, -15, -15, -15, 0, 15]
        masked = function(real, LOWEST, real > -8)
        assert masked.tolist() == [-16, -16, -15, -15, 0, 15]
        assert masked.dtype == np.int8
        kept: Any = function(np.ma.MaskedArray(real, real > 0.1), LOWEST)
        assert kept.mask.tolist() == [False] * 4 + [True] * 2
        assert kept.data.tolist() == [-15, -15, -15, -15, -16, -16]
        both = function(np.ma.MaskedArray(real, real > 1), LOWEST, real > -8)
        assert both.data.tolist() == [-16, -16, -15, -15, 0, -16]
    # Masked elements stay 0 where no value masks.
    assert exaq.logits_to_integers(real, CONFIG, real > -8).tolist() == [0, 0, -16, -15, 0, 15]


def test_masked_integers_need_no_mask_beside_them() -> None:
    rng = np.random.default_rng(4)
    real = rng.normal(0, 6, (50, 9))
    live = rng.random(real.shape) < 0.6
    integers = exaq.logits_to_integers(real, LOWEST, live)
    beside = exaq.softmax(np.where(live, integers, 0), LOWEST, live)
    assert (exaq.softmax(integers, LOWEST) == beside).all()
    for k, row in enumerate(integers.tolist()):
        assert beside[k].tolist() == softmax_row(row, live[k].tolist(), LOWEST)


def test_calibration_knows_the_mask_value() -> None:
    rng = np.random.default_rng(5)
    logits = rng.integers(-16, 10, (200, 11))
    options: dict[str, Any] = {"logit_width": 5, "logit_scale": 0.5}
    by_value = exaq.calibrate([logits], mask_value="lowest", **options)
    by_mask = exaq.calibrate([np.maximum(logits, -15)], masks=[logits > -16], **options)
    without = exaq.calibrate([logits], **options)
    assert by_value.sets[0].tables == by_mask.sets[0].tables != without.sets[0].tables
    assert by_value.provenance["mask_value"] == "lowest"
    assert "mask_value" not in without.provenance
    # Real logits saturate above it.
    real = np.where(rng.random(logits.shape) < 0.2, -9.0, logits / 2)
    shares = [
        exaq.calibrate([real], mask_value=value, **options).sets[0].statistics["saturated"]
        for value in ("none", "lowest")
    ]
    counts = [np.count_nonzero(real < low) / real.size for low in (-8, -7.5)]
    assert shares == pytest.approx(counts, rel=1e-5)
    assert counts[0] < counts[1]
    refuses(
        ValueError,
        "mask_value must be none or lowest, not 'low'",
        lambda: exaq.calibrate([logits], mask_value="low", **options),
    )


def of_the_unit(rows: Rows, config: SoftmaxConfig, row: int) -> list[int]:
    """What a unit makes of a row that it is given in its own ways, element by element."""
    length = min(int(rows.lengths[row]), config.max_row)
    logits = rows.logits[row, :length].tolist()
    live = [True] * length
    for place, logit in enumerate(logits):
        if rows.flags is not None:
            live[place] &= bool(rows.flags[row, place])
        if rows.windows is not None:
            live[place] &= bool(rows.windows[row, 0] <= place < rows.windows[row, 1])
        if config.mask_value == "lowest":
            live[place] &= logit != config.logit_range[0]
    return softmax_row(logits, live, config)


KINDS = list(itertools.product([True, False], [True, False], ["none", "lowest"]))
INTERVAL = (
    "a unit with windows and without masking takes only masks that keep one interval of each row; "
    "that of row 0 is another"
)
PREFIX = (
    "a unit without masking takes only masks that keep the beginning of each row, at least one "
    "element; that of row 0 is another"
)


@pytest.mark.parametrize(("masking", "window", "mask_value"), KINDS)
def test_every_mask_reaches_every_unit_or_is_refused(
    masking: bool, window: bool, mask_value: str
) -> None:
    """All masks of a short row with all lengths, and windows: as the golden model has them."""
    config = CONFIG.replace(masking=masking, window=window, mask_value=mask_value)
    rng = np.random.default_rng(6)
    low, high = config.logit_range
    row, refused = 5, 0
    for bits, length in itertools.product(itertools.product([False, True], repeat=row), [3, 5]):
        logits = rng.integers(low, high + 1, (1, row))
        logits[rng.random(logits.shape) < 0.1] = low
        edges = tuple(int(edge) for edge in rng.integers(0, row + 1, 2))
        given: NDArray[np.bool_] = np.array([bits])
        options: dict[str, Any] = {"mask": given, "lengths": [length]}
        if rng.random() < 0.6:
            options["window"] = edges
        expected = exaq.softmax(logits, config, **options)[0, :length].tolist()
        rows = Rows.of(logits, config.format, **options)
        live = [
            bits[k] and ("window" not in options or edges[0] <= k < edges[1]) for k in range(length)
        ]
        text = "".join("x" if each else "." for each in live)
        shape = r"\.*x*\.*" if window else r"x+\.*"
        if not (masking or mask_value == "lowest" or re.fullmatch(shape, text)):
            message = INTERVAL if window else PREFIX
            refuses(ValueError, message, partial(rows.streamed, config.format))
            refused += 1
            continue
        streamed = rows.streamed(config.format)
        assert streamed.flags is None or masking
        assert (streamed.windows is not None) == window
        got = of_the_unit(streamed, config, 0)
        kept = int(streamed.lengths[0])
        assert got == expected[:kept]
        assert not any(expected[kept:])
        assert kept == length or not (masking or window or mask_value == "lowest")
    assert bool(refused) == (not masking and mask_value == "none")


def test_intervals_are_those_of_what_is_computed() -> None:
    """What a mask says behind a row's end, or behind max_row, plays no part."""
    config = SoftmaxConfig(lanes=2, max_row=4, masking=False, window=True)
    mask = np.array([[0, 1, 1, 0, 0, 1, 0], [1, 1, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 0, 1]], bool)
    rows = Rows.of(
        np.zeros((3, 7), np.int8), config.format, mask=mask, lengths=[7, 3, 7], overlong=True
    ).streamed(config.format)
    assert rows.windows is not None
    assert rows.windows.tolist() == [[1, 3], [0, 2], [0, 0]]
    assert rows.lengths.tolist() == [7, 3, 7]


def test_windows_fit_their_bits_beyond_max_row() -> None:
    config = SoftmaxConfig(lanes=1, max_row=3, window=True)
    logits = np.zeros((4, 20), np.int8)
    window = (np.array([0, 2, 9, 20]), np.array([20, 3, 12, 1]))
    for given in (window, None):
        rows = Rows.of(logits, config.format, window=given, overlong=True).streamed(config.format)
        assert rows.windows is not None
        assert rows.windows.max() < 1 << config.format.index_bits
        for row in range(4):
            seen = range(*rows.windows[row].tolist())
            asked = range(20) if given is None else range(window[0][row], window[1][row])
            assert {k for k in range(3) if k in seen} == {k for k in range(3) if k in asked}
