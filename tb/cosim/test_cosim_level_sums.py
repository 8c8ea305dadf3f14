"""The emitted Verilog of the sums of values by level, compiled, against the golden model."""

from __future__ import annotations

import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exaq.attention import AttentionConfig, level_sums, outputs
from exaq_cosim.compiler import Harness, compile_verilog
from exaq_hdl import Emitted
from exaq_hdl.emit.attention_verilog import emit_level_sums

MOST_CYCLES = 200_000
SECONDS = 600

CONFIGS = {
    "2 bits": AttentionConfig(head_size=64, max_row=256),
    "4 bits": AttentionConfig(head_size=17, max_row=128, bits=4, lanes=2, output_width=8),
    "6 bits": AttentionConfig(head_size=16, max_row=64, bits=6, lanes=1, value_width=4),
    "8 lanes": AttentionConfig(
        head_size=32, max_row=64, bits=3, lanes=8, value_width=4, output_width=8, sink=0
    ),
}


@dataclass(frozen=True)
class Rows:
    """Rows of keys, each of a length, and what must come of them."""

    lengths: list[int]
    codes: NDArray[Any]
    live: NDArray[np.bool_]
    values: NDArray[Any]
    sums: NDArray[Any]
    outputs: NDArray[Any]


def random_rows(config: AttentionConfig, lengths: list[int], seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    softmax = config.softmax
    keys, count = softmax.max_row, len(lengths)
    codes = rng.integers(0, softmax.levels, (count, keys))
    present = np.arange(keys) < np.array(lengths)[:, None]
    live = (rng.random((count, keys)) < rng.choice([0, 0.5, 1], (count, 1))) & present
    half = 1 << config.value_width - 1
    values = rng.integers(-half, half, (count, keys, config.head_size))
    # Values at either end, which make the largest sums.
    values[::3] = np.where(values[::3] < 0, -half, half - 1)
    rom = np.array(softmax.tables.exp_rom)
    sums = (rom[codes] * live).sum(axis=-1)
    if softmax.sink is not None:
        sums += rom[rng.integers(0, softmax.levels, count)] * (sums > 0)
    found = [
        outputs(level_sums(codes[r][None], live[r][None], values[r], config), [sums[r]], config)[0]
        for r in range(count)
    ]
    return Rows(lengths, codes, live, values, sums, np.array(found))


def packed(numbers: NDArray[Any], width: int) -> int:
    word = 0
    for k, number in enumerate(numbers.reshape(-1).tolist()):
        word |= (number & (1 << width) - 1) << k * width
    return word


def beats_of(config: AttentionConfig, rows: Rows) -> list[str]:
    """Lines of data, user and last; what is absent is whatever the arrays hold there."""
    lanes, bits = config.lanes, config.softmax.bits
    first_value = 8 * -(-bits * lanes // 8)
    lines = []
    for r, length in enumerate(rows.lengths):
        for k in range(0, length, lanes):
            part = slice(k, k + lanes)
            data = packed(rows.codes[r, part], bits)
            data |= packed(rows.values[r, part], config.value_width) << first_value
            user = packed(rows.live[r, part].astype(int), 1)
            lines.append(f"{data:x} {user:x} {int(k + lanes >= length)}")
    return lines


@dataclass(frozen=True)
class Taken:
    """What came out, and from a row's last beat to the first of it the cycles."""

    outputs: NDArray[Any]
    cycles: int


@functools.cache
def emitted_unit(name: str) -> Emitted:
    return emit_level_sums(CONFIGS[name], name="unit")


def simulate(name: str, rows: Rows, *, stalls: tuple[int, int, int], seed: int) -> Taken:
    config, emitted = CONFIGS[name], emitted_unit(name)
    harness = Harness(
        name="streams",
        top="unit",
        prefix="Vunit",
        sources={"streams_main.cpp": (Path(__file__).parent / "streams_main.cpp").read_text()},
    )
    program = compile_verilog({"unit.v": emitted.verilog}, harness)
    per_beat = emitted.manifest["outputs_per_beat"]
    steps = config.head_size // per_beat
    beats = beats_of(config, rows)
    given = [
        f"{seed} {' '.join(map(str, stalls))} {MOST_CYCLES}",
        f"{len(beats)}",
        *beats,
        f"{len(rows.lengths)}",
        *(f"{each:x}" for each in rows.sums.tolist()),
        f"{len(rows.lengths) * steps}",
    ]
    done = subprocess.run(
        [program],
        input="\n".join(given),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    width, half = config.output_width, 1 << config.output_width - 1
    found = []
    for k, line in enumerate(lines):
        data, last = line.split()
        assert int(last) == int(k % steps == steps - 1)
        word = int(data, 16)
        found += [
            ((word >> width * place) + half & 2 * half - 1) - half for place in range(per_beat)
        ]
    last_in, first_out = map(int, first.split())
    return Taken(np.array(found).reshape(-1, config.head_size), first_out - last_in)


@pytest.mark.simulator
@pytest.mark.parametrize("stalls", [(0, 0, 0), (100, 100, 100), (0, 200, 30), (30, 0, 200)])
@pytest.mark.parametrize("name", CONFIGS)
def test_outputs_are_those_of_the_golden_model(name: str, stalls: tuple[int, int, int]) -> None:
    config = CONFIGS[name]
    rng = np.random.default_rng(sum(stalls) + 1)
    most = config.softmax.max_row
    lengths = [1, most, most, 1, 2, *rng.integers(1, most + 1, 35).tolist()]
    rows = random_rows(config, lengths, seed=sum(stalls))
    taken = simulate(name, rows, stalls=stalls, seed=sum(stalls) + 1)
    np.testing.assert_array_equal(taken.outputs, rows.outputs)


@pytest.mark.simulator
@pytest.mark.parametrize("name", CONFIGS)
def test_latency_is_that_of_the_manifest(name: str) -> None:
    config = CONFIGS[name]
    rows = random_rows(config, [config.softmax.max_row], seed=1)
    taken = simulate(name, rows, stalls=(0, 0, 0), seed=1)
    assert taken.cycles == emitted_unit(name).manifest["latency"]["cycles"]
    np.testing.assert_array_equal(taken.outputs, rows.outputs)
