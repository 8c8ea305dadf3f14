"""Units for a chip give the bits of the golden model, as those for an FPGA do, and as fast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exaq
from exaq import PRESETS, SoftmaxConfig
from exaq_cosim import golden, golden_results, simulate
from exaq_hdl import emit_verilog
from exaq_hdl.emit.target import Target

pytestmark = pytest.mark.simulator

TWO_PORT = Target(kind="asic")
SINGLE_PORT = Target(kind="asic", ram="single-port", reset="async")
SLOW = Target(kind="asic", ram_latency=2)
SLOW_SINGLE_PORT = Target(kind="asic", ram="single-port", ram_latency=2)

#: Each kernel, with what else makes memories: contexts, floats, codes, sinks, windows.
UNITS: dict[str, SoftmaxConfig] = {
    "2bit-x4": SoftmaxConfig(),
    "2bit-x1": SoftmaxConfig(lanes=1, max_row=16),
    "4bit-x4": SoftmaxConfig(bits=4, max_row=64),
    "2bit-x16": SoftmaxConfig(**PRESETS["2bit-x16"] | {"max_row": 256}),
    "2bit-x4-contexts": SoftmaxConfig(contexts=3, max_row=64),
    "3bit-x4-bf16-contexts": SoftmaxConfig(bits=3, contexts=2, max_row=64, logit_format="bf16"),
    "2bit-x4-codes": SoftmaxConfig(max_row=64, output="codes"),
    "2bit-x4-window": SoftmaxConfig(max_row=64, window=True),
} | {
    preset: SoftmaxConfig(**PRESETS[preset] | {"max_row": 64})
    for preset in ("multiply-x4", "lut-x4", "shift-x4", "softermax-x4", "baps-x4")
}


def rows_for(config: SoftmaxConfig, seed: int) -> tuple[Any, Any, Any]:
    """Logits, lengths and a mask: rows of all lengths, near-equal, extreme, masked, empty."""
    rng = np.random.default_rng(seed)
    row = min(config.max_row, 64)
    if config.float_format is None:
        low, high = config.logit_range
        logits = rng.integers(low, high + 1, (40, row))
        logits[::4] = rng.integers(high - 3, high + 1, (10, row))
        logits[1] = low
    else:
        logits = exaq.round_logits(rng.normal(0, 3, (40, row)), config)
    lengths = rng.integers(1, row + 1, 40)
    lengths[-12:] = rng.integers(1, 5, 12)
    mask = rng.random((40, row)) < rng.random((40, 1)) if config.masking else None
    return logits, lengths, mask


#: Every unit in the plain way, and in one of the others.
OTHERS = (SINGLE_PORT, SLOW, SLOW_SINGLE_PORT)
PAIRS = [
    (unit, target) for k, unit in enumerate(UNITS) for target in (TWO_PORT, OTHERS[k % len(OTHERS)])
]


@pytest.mark.parametrize(("unit", "target"), PAIRS, ids=lambda each: str(each).replace(" ", ""))
def test_a_unit_for_a_chip_gives_the_golden_models_bits(unit: str, target: Target) -> None:
    config = UNITS[unit]
    emitted = emit_verilog(config, target=target)
    logits, lengths, mask = rows_for(config, 1)
    contexts = np.arange(len(logits)) % config.contexts if config.contexts else None
    given: dict[str, Any] = {"mask": mask, "lengths": lengths, "contexts": contexts}
    wanted = golden(logits, config, **given)
    results = golden_results(logits, config, **given) if config.row_results != "none" else None
    for stall, reset in ((0.0, 0.0), (0.4, 0.0), (0.2, 0.002)):
        run = simulate(
            logits, config, **given, stall=stall, reset=reset, seed=3, verilog=emitted.verilog
        )
        kept = ~run.lost
        assert kept.sum() > len(kept) // 4
        assert np.array_equal(run.given[kept], wanted[kept])
        if results is not None:
            assert run.results is not None
            differing = [
                np.any(np.reshape(found != asked, (len(kept), -1)), axis=1)
                for found, asked in zip(
                    run.results.arrays().values(), results.arrays().values(), strict=True
                )
            ]
            assert not (np.logical_or.reduce(differing) & kept).any()
        assert not run.row_errors.any()


@pytest.mark.parametrize("target", [TWO_PORT, *OTHERS], ids=str)
def test_latency_is_what_the_manifest_says_and_the_rate_is_kept(target: Target) -> None:
    config = SoftmaxConfig(max_row=256)
    emitted = emit_verilog(config, target=target)
    rng = np.random.default_rng(7)
    logits = rng.integers(-128, 128, (60, 256))
    # A row that comes alone: the others are far behind it.
    for length in (1, 4, 5, 30, 128, 255, 256):
        run = simulate(logits[:1, :length], config, verilog=emitted.verilog)
        assert run.latency.min == run.latency.max == emitted.manifest["latency"]["cycles"]
    lengths = rng.integers(config.full_rate_row, 257, 60)
    run = simulate(logits, config, lengths=lengths, verilog=emitted.verilog)
    assert np.array_equal(run.given, golden(logits, config, lengths=lengths))
    # Taken at a beat a cycle, without a pause.
    taken = -(-lengths // config.lanes)
    assert run.last_in[-1] - run.first_in[0] + 1 == taken.sum()
