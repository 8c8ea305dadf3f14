"""Attention heads through the compiled Verilog against the golden model."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exaq.attention import AttentionConfig, attend
from exaq.attention.head_operands import HeadOperands, packed
from exaq_cosim import HangError, ProtocolError, simulate_head
from exaq_cosim.build import build_head_library
from exaq_cosim.head_stream import stream_heads
from exaq_hdl import Emitted
from exaq_hdl.emit.attention_verilog import emit_attention

CONFIGS = {
    "causal": AttentionConfig(
        head_size=16, max_row=24, lanes=2, causal=True, logit_scale=2**-9, value_width=4
    ),
    "wide": AttentionConfig(
        head_size=17, keys="int8", max_row=24, lanes=3, bits=3, output_width=8, sink=900
    ),
}
Array = NDArray[Any]


def operands(
    config: AttentionConfig,
    rows: int,
    keys: int,
    *,
    q: tuple[int, ...] = (),
    k: tuple[int, ...] = (),
    v: tuple[int, ...] = (),
    seed: int = 0,
) -> tuple[Array, Array, Array]:
    """Random operands with these leading shapes; every other row of q is small."""
    rng = np.random.default_rng(seed)
    size, half = config.head_size, 2 ** (config.value_width - 1)
    queries = rng.integers(-128, 128, (*q, rows, size))
    queries[..., ::2, :] //= 16
    low, high = (-128, 128) if config.keys == "int8" else (0, 16)
    return (
        queries,
        rng.integers(low, high, (*k, keys, size)),
        rng.integers(-half, half, (*v, keys, size)),
    )


@functools.cache
def emitted(name: str) -> Emitted:
    return emit_attention(CONFIGS[name])


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.3, 0.8])
@pytest.mark.parametrize("keys", [1, 7, 24])
@pytest.mark.parametrize("name", CONFIGS)
def test_outputs_are_those_of_the_golden_model(name: str, keys: int, stall: float) -> None:
    config = CONFIGS[name]
    q, k, v = operands(config, 9, keys, q=(2, 3), k=(2, 3), v=(2, 3), seed=keys)
    found = simulate_head(q, k, v, config, stall=stall, seed=keys)
    want = attend(q, k, v, config)
    assert found.outputs.dtype == want.dtype
    np.testing.assert_array_equal(found.outputs, want)
    assert not found.row_errors.any()
    rows = np.minimum(np.arange(9) + 1, keys) if config.causal else np.full(9, keys)
    np.testing.assert_array_equal(found.keys, np.broadcast_to(rows, (2, 3, 9)))
    assert (found.heads, found.loads, found.rows) == (6, 6, 54)
    assert found.scores == 6 * rows.sum()
    assert (found.last_out >= found.first_out).all()
    assert (found.first_out > np.maximum(found.row_in, found.loaded[..., None])).all()


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize(
    ("q", "k", "v", "loads"),
    [
        ((4,), (), (), 1),
        ((2, 3), (2, 1), (2, 1), 2),
        ((2, 3), (2, 1), (2, 3), 6),
        ((2, 3), (3,), (3,), 6),
        ((), (3,), (3,), 3),
        ((3, 1, 2), (1, 2, 1), (2, 1), 6),
    ],
)
def test_heads_that_share_keys_and_values_have_them_loaded_once(
    q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...], loads: int, stall: float
) -> None:
    config = CONFIGS["causal"]
    arrays = operands(config, 5, 11, q=q, k=k, v=v)
    found = simulate_head(*arrays, config, stall=stall, seed=3)
    np.testing.assert_array_equal(found.outputs, attend(*arrays, config))
    assert found.loads == loads
    assert found.loaded.shape == np.broadcast_shapes(q, k, v)
    assert len(np.unique(found.loaded)) == loads


@pytest.mark.simulator
@pytest.mark.parametrize("name", CONFIGS)
def test_each_head_has_its_own_number_of_keys(name: str) -> None:
    config = CONFIGS[name]
    q, k, v = operands(config, 26, 24, q=(4, 2), k=(4, 1), v=(4, 1))
    lengths = np.array([[1], [24], [2], [13]])
    found = simulate_head(q, k, v, config, lengths=lengths, stall=0.2)
    live = np.arange(24) < lengths[..., None, None]
    np.testing.assert_array_equal(found.outputs, attend(q, k, v, config, live))
    assert found.loads == 4
    np.testing.assert_array_equal(found.keys[:, :, -1], np.broadcast_to(lengths, (4, 2)))


@pytest.mark.simulator
@pytest.mark.parametrize("name", CONFIGS)
def test_latency_is_that_of_the_manifest(name: str) -> None:
    config = CONFIGS[name]
    found = simulate_head(*operands(config, 1, 24), config)
    declared = emitted(name).manifest["latency"]["cycles"]
    assert vars(found.latency) == {"min": declared, "median": declared, "max": declared}
    assert found.row_interval is None
    begin = max(int(found.row_in[0]), int(found.loaded))
    assert found.first_out[0] - begin == 2 * (-(-found.keys[0] // config.lanes)) + declared
    assert found.cycles == found.last_out[0] + 1
    assert found.row_cycles.max == found.last_out[0] - found.row_in[0] + 1


@pytest.mark.simulator
def test_long_rows_follow_each_other_and_loading_is_hidden() -> None:
    """Here outputs take longer than scores: heads with other keys follow without a pause."""
    config = CONFIGS["wide"]
    assert emitted("wide").manifest["full_rate_row"] >= 24
    steps = emitted("wide").manifest["full_rate_row"] // config.lanes
    found = simulate_head(*operands(config, 12, 24, q=(3,), k=(3,), v=(3,)), config)
    assert found.row_interval is not None
    assert vars(found.row_interval) == {"min": steps, "median": steps, "max": steps}
    assert found.cycles_per_row == found.cycles / 36
    assert found.scores_per_cycle == 36 * 24 / found.cycles


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.4])
@pytest.mark.parametrize("name", CONFIGS)
def test_too_many_keys_are_flagged_and_harm_no_neighbour(name: str, stall: float) -> None:
    config = CONFIGS[name]
    q, k, v = operands(config, 4, 60, q=(5,), k=(5,), v=(5,))
    lengths = np.array([24, 25, 7, 60, 24])
    found = simulate_head(q, k, v, config, lengths=lengths, faulty=True, stall=stall, seed=1)
    right = lengths <= 24
    np.testing.assert_array_equal(found.row_errors, np.broadcast_to(~right[:, None], (5, 4)))
    live = np.arange(24) < lengths[right, None, None]
    want = attend(q[right], k[right, :24], v[right, :24], config, live)
    np.testing.assert_array_equal(found.outputs[right], want)
    assert found.to_dict()["row_errors"] == 8


@pytest.mark.simulator
@pytest.mark.parametrize("values", [4, 6, 30])
def test_another_number_of_values_is_flagged(values: int) -> None:
    config = CONFIGS["causal"]
    q, k, _ = operands(config, 3, 5, q=(2,), k=(2,))
    v = np.zeros((2, values, config.head_size), np.int8)
    found = simulate_head(q, k, v, config, faulty=True, stall=0.2)
    assert found.row_errors.all()


# Text of the emitted Verilog, what takes its place, and what comes of it.
FAULTS = {
    "a head lets go of keys that others still use": (
        ".scores_q_payload({ s_axis_q_tuser,",
        ".scores_q_payload({ s_axis_q_tlast,",
        HangError,
    ),
    "keys are never let go": (
        ".scores_q_payload({ s_axis_q_tuser,",
        ".scores_q_payload({ 1'b0,",
        ProtocolError,
    ),
    "a bit of each value is lost": (
        "{ s_axis_v_tlast, s_axis_v_tdata }",
        "{ s_axis_v_tlast, s_axis_v_tdata & ~64'h8 }",
        None,
    ),
}


@pytest.mark.simulator
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_verilog_are_noticed(fault: str) -> None:
    config = CONFIGS["causal"]
    right, wrong, error = FAULTS[fault]
    verilog, per_beat = emitted("causal").verilog, emitted("causal").manifest["outputs_per_beat"]
    assert verilog.count(right) == 1
    library = build_head_library(verilog.replace(right, wrong), config, per_beat)
    arrays = operands(config, 6, 9, q=(3, 2), k=(3, 1), v=(3, 1))
    given = HeadOperands.of(*arrays, config)
    if error is not None:
        with pytest.raises(error):
            stream_heads(library, config, given)
        return
    found = stream_heads(library, config, given)
    want = attend(*arrays, config).reshape(found.outputs.shape)
    assert (found.outputs != want).any()


@pytest.mark.simulator
def test_stalls_repeat_with_their_seed_and_progress_is_told() -> None:
    config = CONFIGS["causal"]
    arrays = operands(config, 20, 24, q=(8,), k=(8,), v=(8,))
    told: list[tuple[int, int]] = []
    first, again, other = (
        simulate_head(
            *arrays, config, stall=0.5, seed=seed, progress=lambda *each: told.append(each)
        )
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.last_out, again.last_out)
    assert (first.last_out != other.last_out).any()
    assert told == [(160, 160)] * 3
    assert first.cycles > simulate_head(*arrays, config).cycles
    figures = first.to_dict()
    assert (figures["stall"], figures["seed"], figures["heads"]) == (0.5, 1, 8)


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("size", [16, 17])
def test_elements_are_packed_the_first_one_lowest(width: int, size: int) -> None:
    half = 2 ** (width - 1)
    given = np.random.default_rng(0).integers(-half, half, (5, size))
    for row, octets in zip(given.tolist(), packed(given, width), strict=True):
        word = sum((each % 2**width) << width * k for k, each in enumerate(row))
        assert int.from_bytes(octets.tobytes(), "little") == word
        assert len(octets) == -(-size * width // 8)


ZEROS = np.zeros((4, 16), np.int64)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"q": ZEROS / 1.0}, TypeError, "q must be integers, not float64"),
        ({"q": ZEROS + 128}, ValueError, "q must be in -128..127, not 128"),
        ({"v": ZEROS + 8}, ValueError, "v must be in -8..7, not 8"),
        ({"k": ZEROS - 1}, ValueError, "elements of dint4 keys must be in 0..15, not -1"),
        ({"q": ZEROS[0]}, ValueError, "q of shape (16,) must be (..., rows, 16)"),
        ({"k": ZEROS[:, 1:]}, ValueError, "k of shape (4, 15) must be (..., keys, 16)"),
        ({"v": ZEROS[:0]}, ValueError, "v of shape (0, 16) is empty"),
        ({"v": ZEROS[1:]}, ValueError, "a head has as many values as keys, 4, not 3"),
        (
            {"k": np.zeros((25, 16), np.int8), "v": np.zeros((25, 16), np.int8)},
            ValueError,
            "keys of a head must be in 1..24, not 25",
        ),
        (
            {"q": np.zeros((3, 4, 16), np.int8), "k": np.zeros((2, 4, 16), np.int8)},
            ValueError,
            "the leading axes of q, k and v of shapes (3, 4, 16), (2, 4, 16), (4, 16) differ",
        ),
        ({"lengths": 5}, ValueError, "lengths must be in 1..4, not 5"),
        ({"lengths": 1.0}, TypeError, "lengths must be integers, not float64"),
        (
            {"lengths": [1, 2]},
            ValueError,
            "lengths of shape (2,) must broadcast to the leading shape of keys, ()",
        ),
        ({"stall": 1}, ValueError, "stall must be at least 0 and below 1, not 1.0"),
        ({"seed": -1}, ValueError, "seed must be in 0..2**64 - 1, not -1"),
    ],
)
def test_refusals(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"q": ZEROS, "k": ZEROS, "v": ZEROS} | changes
    with pytest.raises(error) as refused:
        simulate_head(**arguments, config=CONFIGS["causal"])
    assert str(refused.value) == message
